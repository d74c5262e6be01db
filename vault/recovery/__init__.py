"""Recovery: backups of data and keystore, bringing them back, and proving beforehand that it would work (ADR 0028)."""
