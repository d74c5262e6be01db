"""The application of one server process among several; it reads its settings from the environment it was started in."""

from fastapi import FastAPI

from api.app import create_app
from api.settings import load


def application() -> FastAPI:
    """Build the application of this process."""
    return create_app(load())
