"""The log told to security monitoring: a process of its own that reads what is committed and remembers how far it came."""
