"""The decision plane: what exists, who may see it, how much of it. Pure: no I/O, no clock, no key."""
