"""The key holder as a process of its own: a server on a Unix socket, and the client that stands in for the keys.

The holder alone has the keystore and what opens it. Leaf keys never leave it: data keys, tokens, signatures do. What a
process that serves people holds in memory is then what it was just told, and not what opens everything.
"""
