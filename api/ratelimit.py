"""The `RateLimit` and `RateLimit-Policy` fields (draft-ietf-httpapi-ratelimit-headers-10), as structured fields.

A policy is `"<name>";q=<quota>;w=<window in seconds>`, what is left of it `"<name>";r=<remaining>;t=<seconds>`.
"""

from vault.errors import BudgetExhausted


def policy(name: str, quota: int, window: int) -> str:
    """Write one item of `RateLimit-Policy`."""
    return f'"{name}";q={quota};w={window}'


def left(name: str, remaining: int, reset: int) -> str:
    """Write one item of `RateLimit`."""
    return f'"{name}";r={remaining};t={reset}'


def exhausted(error: BudgetExhausted) -> dict[str, str]:
    """Give the fields of an answer that a budget refused: which limit, and when its window ends. Never whose look."""
    return {
        "Retry-After": str(error.reset),
        "RateLimit-Policy": policy(error.limit, error.quota, error.window),
        "RateLimit": left(error.limit, 0, error.reset),
    }
