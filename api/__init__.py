"""Transport and composition: HTTP, OAuth, settings, the command line. Everything below is called from here."""
