"""The process that sets one print: reads it as JSON, writes the PDF, and is gone, with all that it read and remembered.

Run as `python -m api.typesetting.press` by `api.pdf`. It opens no file but our template and our fonts, reaches no network,
leaves no core, and says of what went wrong nothing but that it did: a message would quote the print.
"""

import resource
import sys
from pathlib import Path
from typing import Any, Final

import orjson
import typst

from api.typesetting.glyphs import FAMILIES, Glyphs, folders

FAILED: Final = 3
_TEMPLATE: Final = Path(__file__).parent / "sheet.typ"
_MOST_MEMORY: Final = 4 << 30  # of addresses: what a print may take before it fails instead of the machine
_MOST_SECONDS: Final = 120  # of the processor


def main() -> int:
    """Set what stands on the standard input. Returns the exit status."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_MOST_SECONDS, _MOST_SECONDS))
    try:
        sheet = orjson.loads(sys.stdin.buffer.read())
        try:
            document = pressed(sheet, Glyphs())
        except typst.TypstError:  # letters that a font has, and yet no shape of them together
            document = pressed(sheet, Glyphs(only_plain=True))
    except Exception:  # noqa: BLE001 - whatever it was, its message holds what was to be printed
        return FAILED
    sys.stdout.buffer.write(document)
    return 0


def pressed(sheet: dict[str, Any], glyphs: Glyphs) -> bytes:
    """Return a sheet as PDF that holds PDF/UA-1 (ISO 14289-1) as the typesetter checks it. Raises as typst does."""
    told: dict[str, Any] = {name: _said(glyphs, value) for name, value in sheet.items() if name != "style"}
    told["title"] = glyphs.said(sheet["title"], whole=True)
    told["style"] = sheet["style"] | {"families": FAMILIES}
    told["spelled"] = glyphs.spelled
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=list(folders()))
    return typst.compile(
        _TEMPLATE.read_bytes(),
        font_paths=fonts,
        ignore_system_fonts=True,
        sys_inputs={"data": orjson.dumps(told).decode()},
        format="pdf",
        pdf_standards=["ua-1"],
        timestamp=0,
    )


def _said(glyphs: Glyphs, value: Any) -> Any:
    if isinstance(value, str):
        return glyphs.said(value)
    if isinstance(value, list):
        return [_said(glyphs, each) for each in value]
    if isinstance(value, dict):
        return {name: _said(glyphs, each) for name, each in value.items()}
    return value


if __name__ == "__main__":
    sys.exit(main())
