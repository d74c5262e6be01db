"""Definitions of the tables, a module per matter; `vault.store.tables` lists them all."""
