"""Authentication of systems: DPoP proofs and client assertions, verified without touching the database."""
