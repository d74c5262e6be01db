"""Entries in the shapes of security monitoring: OCSF, ECS, CEF and CloudEvents. Pure; who sends them is another matter."""
