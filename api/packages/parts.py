"""What a package tells a person, in order and in their language: from it both the page and the paper are written."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from api.packages.document import Document
from api.packages.words import BASES, SAFEGUARDS, TEXTS
from api.pages import terms, words
from api.pages.language import Language, language
from api.pages.telling import country_name, told
from api.pdf import Part
from audit.reports.lines import second
from policies.decision import OWN

DAY: Final = 86_400
_SAID: Final = {"bases": BASES, "safeguards": SAFEGUARDS}


def title_of(document: Document) -> str:
    """Return the title of a package: the house's name, and nobody's else."""
    return TEXTS[document.language]["title"].format(brand=document.data["controller"]["name"])


def parts_of(document: Document) -> list[Part]:
    """Return all that is told."""
    teller = _Teller(document)
    return [
        teller.opening(),
        *teller.held(),
        teller.purposes(),
        teller.recipients(),
        teller.looks(),
        teller.consents(),
        teller.places(),
        teller.decisions(),
        teller.rights(),
    ]


class _Teller:
    def __init__(self, document: Document) -> None:
        self._titles, self._kinds = document.titles, document.kinds
        self._systems, self._parties = document.systems, document.parties
        self._data = document.data
        self._words: Mapping[str, str] = TEXTS[document.language]
        self._brand = document.data["controller"]["name"]
        self._language: Language = language(document.language)
        self._filters: Mapping[str, Callable[[Any], Any]] = words.filters(self._language)

    def opening(self) -> Part:
        data = self._data
        made = self._words["made"].format(
            day=self._when(data["made"]), request=data["request"], received=self._when(data["received"])
        )
        return Part(text=[made, self._words["check"], self._words["portable"]])

    def held(self) -> list[Part]:
        data, said = self._data, self._words
        text = [] if data["categories"] else [said["nothing"]]
        text += [said["source_note"].format(brand=self._brand), said["redacted"]]
        if data["not_opened"]:
            text.append(said["unread"].format(names=self._listed(data["not_opened"])))
        withheld = data["withheld"]
        if withheld["categories"]:
            ground = self._ground(withheld["ground"])
            text.append(said["withheld"].format(ground=ground, names=self._listed(withheld["categories"])))
        found = [Part(said["held"], text)]
        for each in data["categories"]:
            found += self._category(each)
        return found

    def purposes(self) -> Part:
        rows = [
            (
                each["title"],
                self._code("bases", each["basis"]),
                self._listed(each["categories"]),
                ", ".join(self._parties.get(name, name) for name in each["recipients"]),
            )
            for each in self._data["purposes"]
        ]
        return self._table("purposes", ("purpose", "basis", "categories", "recipients"), rows, (3, 2, 3, 2))

    def recipients(self) -> Part:
        rows = [
            (self._system(each["name"]), self._country(each["country"]), self._code("safeguards", each["safeguard"]))
            for each in self._data["recipients"]
        ]
        return self._table("recipients", ("name", "country", "ground"), rows, (3, 1, 2))

    def looks(self) -> Part:
        rows = [
            (
                self._when(each["at"]),
                self._who(each),
                "\n".join([self._filters["act"](each["event"]), *map(self._field, each["fields"])]),
                self._title(each["purpose"]),
                self._words["yes" if each["given"] else "no"],
                str(each["entry"]),
            )
            for each in self._data["disclosures"]
        ]
        columns = ("when", "who", "what", "why", "allowed", "index")
        note = [self._words["looks_note"]]
        if since := self._data["disclosures_since"]:
            note.append(self._words["looks_since"].format(since=self._when(since)))
        return self._table("looks", columns, rows, (4, 4, 6, 4, 2, 2), " ".join(note))

    def consents(self) -> Part:
        rows = [
            (
                self._when(each["at"]),
                self._title(each["purpose"]),
                self._filters["consent"](each["state"]),
                f"{each['notice']}.{each['notice_version']}.{each['notice_language']}" if each["notice"] else "",
                self._when(each["valid_until"]),
            )
            for each in self._data["consents"]
        ]
        columns = ("when", "purpose", "state", "notice", "until")
        return self._table("consents", columns, rows, (3, 3, 2, 4, 3), self._words["notices"])

    def places(self) -> Part:
        text = [self._words["storage"].format(countries=", ".join(map(self._country, self._data["storage"])))]
        text += [
            self._words["safeguard"].format(
                name=each["name"],
                country=self._country(each["country"]),
                safeguard=self._code("safeguards", each["safeguard"]),
            )
            for each in self._data["recipients"]
            if each["safeguard"]
        ]
        return Part(self._words["transfers"], text)

    def decisions(self) -> Part:
        return Part(self._words["decisions_title"], [self._words["decisions"]])

    def rights(self) -> Part:
        text = [self._words["rights_text"].format(contact=self._data["controller"]["contact"])]
        authority = self._data["authority"]
        if authority is not None:
            named = ", ".join(each for each in (authority["name"], authority["address"], authority["site"]) if each)
            text.append(self._words["authority"].format(authority=named))
        return Part(self._words["rights"], text)

    def _category(self, category: Any) -> list[Part]:
        said, law = self._words, category["kept_by_law"]
        kept = [said["retention"].format(span=self._language.since(category["retention_days"] * DAY))]
        if law is not None:
            kept.append(said["law"].format(span=self._language.since(law["days"] * DAY), basis=law["basis"]))
        now = [
            (*self._row(field, one), self._when(one["recorded"]))
            for field in category["fields"]
            for one in field["values"]
        ]
        past = [
            (*self._row(field, one), f"{self._when(one['recorded'])} – {self._when(one['replaced'])}")
            for field in category["fields"]
            for one in field["earlier"]
        ]
        names = ("field", "value", "days", "source", "recorded")
        found = [Part(category["title"], kept, [said[each] for each in names], now, (3, 5, 2, 2, 3), 3)]
        if past:
            columns = [said[each] for each in (*names[:4], "stood")]
            found.append(Part("", [said["earlier"]], columns, past, (3, 5, 2, 2, 3)))
        return found

    def _row(self, field: Any, one: Any) -> tuple[str, str, str, str]:
        return field["title"], self._value(field["field"], one), self._days(one), self._system(one["source"])

    def _value(self, name: str, one: Any) -> str:
        text = "" if one["value"] is None else told(self._language, self._kinds[name], one["value"])
        if not one["withheld"]:
            return text
        back = self._words["text_withheld"].format(ground=self._ground(one["withheld"]))
        return f"{text}\n{back}" if text else back

    def _ground(self, code: str) -> str:
        return self._language.say(terms.GROUNDS.get(code, code))

    def _table(
        self, heading: str, columns: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int], note: str = ""
    ) -> Part:
        text = [note] if note else []
        if not rows:
            text.append(self._words["none"])
        return Part(self._words[heading], text, [self._words[each] for each in columns], rows, widths)

    def _who(self, look: Any) -> str:
        if look["by"] == "self":
            return self._words["self"]
        officer = look["by"].startswith("officer ")
        who = look["by"].replace("officer", self._words["officer"], 1) if officer else self._system(look["by"])
        staff = f", {self._words['staff']} {look['staff']}" if look["staff"] else ""
        return f"{self._words['vault'] if look['brand'] == 'vault' else self._brand}: {who}{staff}"

    def _field(self, spelt: str) -> str:
        name, _, level = spelt.partition(":")
        level = level.partition(":")[0]
        return f"{self._title(name)} ({self._filters['level'](level)})" if level else self._title(name)

    def _days(self, one: Any) -> str:
        first, last = one["valid_from"], one["valid_until"]
        return (
            f"{self._language.written_day(first or '')} – {self._language.written_day(last or '')}"
            if first or last
            else ""
        )

    def _system(self, source: str) -> str:
        return self._words["self"] if source == OWN else self._systems.get(source, source)

    def _country(self, code: str) -> str:
        return country_name(self._language, code)

    def _listed(self, names: Sequence[str]) -> str:
        return ", ".join(map(self._title, names))

    def _title(self, name: str) -> str:
        return self._titles.get(name, name)

    def _code(self, kind: str, code: str) -> str:
        return _SAID[kind].get(code, {}).get(self._language.tag, code)

    def _when(self, at: str | None) -> str:
        return "" if at is None else self._language.moment(second(at))
