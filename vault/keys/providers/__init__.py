"""Roots that are not bare files: Shamir shares, HSMs, cloud key services. Each loads its own third-party client."""
