"""The portal of data subjects: HTML pages under /me."""
