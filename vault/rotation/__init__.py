"""Rotation without downtime: data keys moved to fresh leaves, values sealed anew, in small units beside the daily work."""
