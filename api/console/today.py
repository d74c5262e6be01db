"""The first page: what waits, what is amiss, what happened in the last day. Shows nothing about anybody."""

from starlette.responses import Response

from api.console.visit import Visit


def page(visit: Visit) -> Response:
    """Show the day."""
    return visit.page("today.html")
