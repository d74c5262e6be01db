"""The command line: a second adapter on the same composition root as the server."""
