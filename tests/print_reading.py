"""Reads a print as a screen reader does: its tags, and its text by the maps that letters are copied by."""

import io
import re

import pikepdf


def opened(document):
    return pikepdf.open(io.BytesIO(document))


def elements(document):
    """Every element of the structure tree, depth first, as a reader of tags walks them."""

    def below(node):
        kids = node.get("/K")
        for each in kids if isinstance(kids, pikepdf.Array) else [kids]:
            if isinstance(each, pikepdf.Dictionary) and "/S" in each:
                yield each
                yield from below(each)

    return list(below(document.Root.StructTreeRoot))


def tags(document):
    return [str(each.S) for each in elements(document)]


def letters(document):
    """All text of the pages, by the maps from glyphs to Unicode that a reader copies by."""
    text = ""
    for page in document.pages:
        maps = {str(name): _unicode(font) for name, font in page.Resources.get("/Font", {}).items()}
        font = {}
        for operands, operator in pikepdf.parse_content_stream(page):
            if str(operator) == "Tf":
                font = maps[str(operands[0])]
            elif str(operator) in {"Tj", "TJ"}:
                shown = operands[0] if str(operator) == "TJ" else [operands[0]]
                for each in shown:
                    if isinstance(each, pikepdf.String):
                        raw = bytes(each)
                        text += "".join(font.get(raw[at : at + 2], "") for at in range(0, len(raw), 2))
            elif str(operator) == "ET":
                text += " "
    return text.replace("\u200b", "")


def _unicode(font):
    found = {}
    cmap = font.ToUnicode.read_bytes().decode()
    for block in re.findall(r"beginbfchar\n(.*?)endbfchar", cmap, re.DOTALL):
        for code, told in re.findall(r"<([0-9a-fA-F]+)>\s*<([0-9a-fA-F]+)>", block):
            found[bytes.fromhex(code)] = bytes.fromhex(told).decode("utf-16-be")
    for block in re.findall(r"beginbfrange\n(.*?)endbfrange", cmap, re.DOTALL):
        for first, last, told in re.findall(r"<([0-9a-fA-F]+)>\s*<([0-9a-fA-F]+)>\s*<([0-9a-fA-F]+)>", block):
            for at in range(int(first, 16), int(last, 16) + 1):
                found[at.to_bytes(2, "big")] = chr(int(told, 16) + at - int(first, 16))
    return found
