"""Pure ASGI middleware. None reads a body into memory, none logs a path."""
