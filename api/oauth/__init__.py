"""The OAuth 2.0 edge: token, introspection, revocation and the two metadata documents."""
