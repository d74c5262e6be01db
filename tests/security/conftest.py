"""The whole application on real parts, with systems of two maisons."""

from served_maison import maison, migration, pos, sister

__all__ = ["maison", "migration", "pos", "sister"]
