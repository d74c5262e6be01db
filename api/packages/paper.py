"""The paper of a package: what the page says, for whoever prints or files it, drawn as all our PDFs are (`api.pdf`)."""

from typing import Any

from api import pdf
from api.packages.document import Document
from api.packages.page import told
from api.packages.words import TEXTS


def paper_of(document: Document) -> bytes:
    """Write a package as PDF. Raises `api.pdf.PrintFailed`."""
    words, data = TEXTS[document.language], document.data
    controller = data["controller"]
    return pdf.draw(
        pdf.Sheet(
            words["title"].format(brand=controller["name"]),
            [],
            [words["made"].format(day=data["made"], request=data["request"], received=data["received"])],
            [*_held(words, data), *_used(words, data), *_happened(words, data), *_rest(words, data)],
            document.name,
            to_sign=False,
            language=document.language,
            landscape=False,
            house=controller["name"],
            under=[each for each in (controller["address"], controller["contact"]) if each],
        )
    )


def _held(words: Any, data: Any) -> list[pdf.Part]:
    notes = [words["source"].format(brand=data["controller"]["name"]), words["redacted"]]
    if not data["categories"]:
        notes.insert(0, words["nothing"])
    if data["not_opened"]:
        notes.append(words["unread"].format(names=", ".join(data["not_opened"])))
    if data["withheld"]["categories"]:
        names = ", ".join(data["withheld"]["categories"])
        notes.append(words["withheld"].format(ground=data["withheld"]["ground"], names=names))
    return [pdf.Part(words["held"], notes), *(_category(words, each) for each in data["categories"])]


def _category(words: Any, category: Any) -> pdf.Part:
    kept = words["retention"].format(days=category["retention_days"])
    law = category["kept_by_law"]
    if law is not None:
        kept += " " + words["law"].format(days=law["days"], basis=law["basis"])
    rows = [(field["title"], told(value)) for field in category["fields"] for value in field["values"]]
    return pdf.Part(category["title"], [kept], (words["field"], words["value"]), rows, (1, 3), 3)


def _used(words: Any, data: Any) -> list[pdf.Part]:
    purposes = [
        (each["title"], each["basis"], ", ".join(each["categories"]), ", ".join(each["recipients"]))
        for each in data["purposes"]
    ]
    recipients = [(each["name"], each["country"], each["safeguard"]) for each in data["recipients"]]
    head = (words["purpose"], words["basis"], words["categories"], words["recipients"])
    return [
        pdf.Part(words["purposes"], (), head, purposes, (3, 2, 3, 2)),
        pdf.Part(words["recipients"], (), (words["name"], words["country"], words["ground"]), recipients, (3, 1, 2)),
    ]


def _happened(words: Any, data: Any) -> list[pdf.Part]:
    looks = [
        (
            each["at"], f"{each['brand']}: {each['by']}", " ".join([each["event"], *each["fields"]]), each["purpose"],
            words["yes" if each["given"] else "no"], str(each["entry"]),
        )
        for each in data["disclosures"]
    ]  # fmt: skip
    consents = [
        (each["at"], each["purpose"], each["state"], _notice(each), each["valid_until"] or "")
        for each in data["consents"]
    ]
    heads = [words[each] for each in ("when", "who", "what", "why", "allowed", "index")]
    said = [words[each] for each in ("when", "purpose", "state", "notice", "until")]
    return [
        pdf.Part(words["looks"], [words["looks_note"]], heads, looks, (4, 4, 6, 4, 2, 2)),
        pdf.Part(words["consents"], [words["notices"]], said, consents, (3, 3, 2, 4, 3)),
    ]


def _rest(words: Any, data: Any) -> list[pdf.Part]:
    return [
        pdf.Part(words["transfers"], [words["storage"].format(countries=", ".join(data["storage"]))]),
        pdf.Part(words["decisions_title"], [words["decisions"]]),
        pdf.Part(
            words["rights"],
            [words["rights_text"].format(contact=data["controller"]["contact"], authority=""), words["check"]],
        ),
    ]


def _notice(event: Any) -> str:
    return f"{event['notice']}.{event['notice_version']}.{event['notice_language']}" if event["notice"] else ""
