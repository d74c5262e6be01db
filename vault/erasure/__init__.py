"""Erasure: asked for, held back where something forbids it, carried out by an epoch change, certified (ADR 0026)."""
