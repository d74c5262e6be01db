"""The data database: tables, engine, migrations. Reached through the vault's service modules only."""
