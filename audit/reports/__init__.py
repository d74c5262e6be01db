"""Reports for officers: their form, and the queries that need nothing but the log and who its actors are."""
