"""Attestations: SD-JWTs (RFC 9901) of predicates and generalised values, and the status lists they die by."""
