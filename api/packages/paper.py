"""The paper of a package: what the page says, for whoever prints or files it, drawn as all our PDFs are (`api.pdf`)."""

from api import pdf
from api.packages.document import Document
from api.packages.parts import parts_of, title_of


def paper_of(document: Document) -> bytes:
    """Write a package as PDF. Raises `api.pdf.PrintFailed`."""
    house = document.data["controller"]
    return pdf.draw(
        pdf.Sheet(
            title_of(document),
            [],
            [],
            parts_of(document),
            document.name,
            to_sign=False,
            language=document.language,
            landscape=False,
            house=house["name"],
            under=[each for each in (house["address"], house["contact"]) if each],
            accent=house["accent"] or pdf.INK,
        )
    )
