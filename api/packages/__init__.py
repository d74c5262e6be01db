"""Access packages: what was collected of a person, as pages, tables and data, in one signed archive."""
