"""The paper of a package: the same content for whoever prints or files it, drawn as all our PDFs are (`api.pdf`)."""

from api import pdf
from api.packages.document import Document
from api.packages.page import told
from api.packages.words import TEXTS


def paper_of(document: Document) -> bytes:
    """Write a package as PDF. Letters that the built-in fonts lack are told as `?`: the page and the data have them."""
    words, data = TEXTS[document.language], document.data
    name = data["controller"]["name"]
    rows = [
        (category["title"], field["title"], told(value))
        for category in data["categories"]
        for field in category["fields"]
        for value in field["values"]
    ]
    rows += [
        (words["purposes"], each["title"], f"{each['basis']}: {', '.join(each['categories'])}")
        for each in data["purposes"]
    ]
    rows += [(words["recipients"], each["name"], each["country"]) for each in data["recipients"]]
    rows += [
        (words["looks"], f"{each['at']} {each['by']}", f"{each['event']} {each['purpose']} {' '.join(each['fields'])}")
        for each in data["disclosures"]
    ]
    rows += [(words["consents"], f"{each['at']} {each['purpose']}", each["state"]) for each in data["consents"]]
    notes = [words["redacted"], words["source"].format(brand=name), words["decisions"]]
    notes.append(words["storage"].format(countries=", ".join(data["storage"])))
    notes.append(words["rights_text"].format(contact=data["controller"]["contact"], authority=""))
    if data["withheld"]["categories"]:
        names = ", ".join(data["withheld"]["categories"])
        notes.append(words["withheld"].format(ground=data["withheld"]["ground"], names=names))
    made = words["made"].format(day=data["made"], request=data["request"], received=data["received"])
    return pdf.draw(
        pdf.Sheet(
            words["title"].format(brand=name),
            [("", made)],
            (words["categories"], words["field"], words["value"]),
            rows,
            notes,
            document.name,
            to_sign=False,
        )
    )
