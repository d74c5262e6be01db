"""The page of a package: one file without scripts that fetches nothing, for a browser or for paper."""

from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.packages.document import Document
from api.packages.words import TEXTS

_FOLDER: Final = Path(__file__).parent / "templates"


def page_of(document: Document) -> bytes:
    """Write a package as HTML in its language."""
    template = _environment().get_template("package.html")
    return template.render(words=TEXTS[document.language], language=document.language, data=document.data).encode()


def told(value: Any) -> str:
    """Write a value for people: text as it is, a record as `name: value` pairs, a list by semicolons."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {told(each)}" for name, each in value.items())
    if isinstance(value, list):
        return "; ".join(map(told, value))
    return value if isinstance(value, str) else orjson.dumps(value).decode()


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["told"] = told
    return made
