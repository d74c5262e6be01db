"""The page of a package: one file without scripts that fetches nothing, for a browser or for paper."""

from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.packages.document import Document
from api.packages.parts import parts_of, title_of
from api.pdf import INK

_FOLDER: Final = Path(__file__).parent / "templates"


def page_of(document: Document) -> bytes:
    """Write a package as HTML in its language, in the look of its house."""
    template = _environment().get_template("package.html")
    house = document.data["controller"]
    return template.render(
        title=title_of(document),
        parts=parts_of(document),
        language=document.language,
        house=house,
        accent=house["accent"] or INK,  # a bundle names a colour of one form alone (`policies.parties`)
    ).encode()


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
