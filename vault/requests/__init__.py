"""Requests of data subjects, from receipt to their artefact; decisions on them take a ground and two officers."""
