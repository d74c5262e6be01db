"""The thin client: what a brand's system needs to talk to Ecrin, and nothing of the server."""
