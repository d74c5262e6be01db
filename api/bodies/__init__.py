"""Request and answer bodies of the HTTP API, one module per resource. Separate from tables on purpose."""
