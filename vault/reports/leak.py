"""The blast radius of a leaked credential (GDPR Art. 33, 34): whom it could see since a moment, and by when to tell.

`system` of the filter is whose key leaked, `since` the moment from which it may have been in other hands. Where one token
leaked and not the key, `token` is its hash: then only what was seen with it, and with tokens narrowed from it, counts. The 72 hours of
Art. 33(1) run from when the controller knew: from the entry that disabled or froze the system, else from the run.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import func, select

from audit.entry import Act, Outcome
from audit.reports.asked import Asked
from audit.reports.lines import second, told
from audit.reports.profiles import LOOKS, Hours
from audit.reports.table import Body, Cell, Column, Kind, Table, Words, few, total
from policies.levels import Level
from vault.errors import InvalidReport
from vault.reports.notification import Leaked, notes_of
from vault.reports.people import Found, Resolved, Unresolved, resolve
from vault.reports.view import View
from vault.store.tables import metadata
from vault.systems import SystemRecord, SystemStatus

COLUMNS: Final = (
    Column("country"),
    Column("people", Kind.COUNT),
    Column("minors", Kind.COUNT),
    *[Column(f"people_{each}", Kind.COUNT) for each in reversed(Level)],
    Column("people_special", Kind.COUNT),
    Column("disclosures", Kind.COUNT),
)
CLOCK_SECONDS: Final = 72 * 3600
_BASELINE: Final = 30 * 86_400
_ACTS: Final = LOOKS | {Act.SUBJECT_SEARCHED, Act.FIELD_DENIED, Act.SYSTEM_DISABLED, Act.SYSTEM_FROZEN}
_TOKEN: Final = metadata.tables["access_token"]


@dataclass(slots=True)
class _Leak:
    """What the system did in the period."""

    entries: dict[int, tuple[str, ...]] = field(default_factory=dict)  # index -> fields with levels
    times: dict[int, str] = field(default_factory=dict)  # of the same entries
    named: list[Unresolved] = field(default_factory=list)
    searches: int = 0
    refused: int = 0
    known_at: str = ""

    def keep(self, indexes: Iterable[int]) -> None:
        """Forget all entries but some."""
        kept = set(indexes)
        self.entries = {index: names for index, names in self.entries.items() if index in kept}
        self.times = {index: at for index, at in self.times.items() if index in kept}

    @property
    def peak(self) -> tuple[str, int]:
        """The fullest hour, and its looks."""
        hours = Hours()
        for at in self.times.values():
            hours.add(at)
        return hours.peak

    @property
    def first(self) -> str:
        """When the first entry was made, "" without one."""
        return min(self.times.values(), default="")

    @property
    def last(self) -> str:
        """When the last was."""
        return max(self.times.values(), default="")


def blast_radius(view: View) -> Body:
    """Tell whom the system saw, by country, with the facts and a draft for the notification."""
    chain = _chain(view)
    system = view.systems.get(view.asked.system or next((each.system_id for each in chain.values() if each), ""))
    if system is None:
        raise InvalidReport("name the system whose credential leaked")
    holders = {system.id} | {each.system_id for each in chain.values() if each}
    leak = _gather(view, system, holders)
    found = resolve(view.conn, view.log_keys, system.brand, leak.named, tuple(chain))
    if chain and found.exact:
        leak.keep(index for person in found.people for index in person.entries)
    table = Table(COLUMNS, view.asked.most)
    special = {each.name for each in view.bundle.catalogue.fields.values() if each.special} | {
        each.name for category in view.bundle.catalogue.categories if category.special for each in category.fields
    }
    by_country: dict[str, list[Found]] = {}
    for person in found.people:
        by_country.setdefault(person.region, []).append(person)
    for country, people in sorted(by_country.items()):
        table.add(country, *_row(people, leak, special))
    totals = _totals(view, system, leak, found, chain)
    return table.body(totals, _notes(view, system, leak, found, dict(totals), special))


def _chain(view: View) -> dict[bytes, Any]:
    """Return the token asked for, and those narrowed from it, by hash, with their rows where they are not swept yet."""
    if not view.asked.token:
        return {}
    chain: dict[bytes, Any] = {}
    new = {bytes.fromhex(view.asked.token)}
    while new:
        rows = {row.hash: row for row in view.conn.execute(select(_TOKEN).where(_TOKEN.c.hash.in_(new)))}
        chain |= {each: rows.get(each) for each in new}
        new = set(view.conn.scalars(select(_TOKEN.c.hash).where(_TOKEN.c.parent.in_(new)))) - chain.keys()
    return chain


def _gather(view: View, system: SystemRecord, holders: set[str]) -> _Leak:
    leak = _Leak()
    for line in view.lines(_ACTS):
        content = line.content
        if content["act"] in {Act.SYSTEM_DISABLED, Act.SYSTEM_FROZEN}:
            if f"system:{system.id}" in content.get("pol", ()):
                leak.known_at = leak.known_at or line.at
            continue
        if content["actor"]["id"] not in holders:
            continue
        if content["out"] != Outcome.ALLOW:
            leak.refused += 1
        elif content["act"] == Act.SUBJECT_SEARCHED:
            leak.searches += 1
        else:
            leak.entries[line.idx] = tuple(content.get("fld", ()))
            leak.times[line.idx] = line.at
            if "sref" in content:
                marks = [bytes.fromhex(content.get(key, "")) for key in ("id", "sref", "tok")]
                leak.named.append(Unresolved(line.idx, *marks))
    return leak


def _row(people: list[Found], leak: _Leak, special: set[str]) -> list[Cell]:
    counts: Counter[str] = Counter()
    disclosures = 0
    for person in people:
        fields = [name for index in person.entries for name in leak.entries[index]]
        disclosures += len(person.entries)
        counts.update({name.split(":")[1] for name in fields if ":" in name})
        counts["special"] += any(name.partition(":")[0] in special for name in fields)
    return [
        len(people),
        sum(person.minor for person in people),
        *[counts[each] for each in reversed(Level)],
        counts["special"],
        disclosures,
    ]


def _totals(
    view: View, system: SystemRecord, leak: _Leak, found: Resolved, chain: Mapping[bytes, Any]
) -> list[tuple[str, Cell]]:
    parts = Counter(person.region for person in found.people).values()
    at_most = min(len(leak.named), found.known)
    fields = {name.partition(":")[0] for names in leak.entries.values() for name in names}
    raw = sum(any(name.endswith(":raw") for name in names) for names in leak.entries.values())
    killed, living = _tokens(view, system, chain)
    known = second(leak.known_at) if leak.known_at else view.now
    return [
        ("people", total(parts) if found.exact else f"at most {few(at_most)}"),
        ("people_not_found_any_more", few(found.unmatched) if found.exact else "not counted"),
        ("records_given_out", few(len(leak.entries))),
        ("records_with_raw_values", few(raw)),
        ("fields", len(fields)),
        # Searches are made with the system's own token, and what was refused bears no token in every case.
        *([] if chain else [("searches", few(leak.searches)), ("refused", few(leak.refused))]),
        ("first_use", leak.first),
        ("last_use", leak.last),
        ("fullest_hour", leak.peak[0]),
        ("fullest_hour_looks", few(leak.peak[1])),
        ("fullest_hour_usually", few(_usual(view, system))),
        ("tokens_dead", killed),
        ("tokens_alive", living),
        ("system", system.status.value),
        ("known_since", told(known)),
        ("notify_by", told(known + CLOCK_SECONDS)),
        ("hours_left", max(0, known + CLOCK_SECONDS - view.now) // 3600),
    ]


def _usual(view: View, system: SystemRecord) -> int:
    """Return the fullest hour of the 30 days before the period."""
    since = view.asked.since
    hours = Hours()
    for line in view.lines(LOOKS, Asked(max(0, since - _BASELINE), since)):
        if line.content["actor"]["id"] == system.id and line.content["out"] == Outcome.ALLOW:
            hours.add(line.at)
    return hours.peak[1]


def _tokens(view: View, system: SystemRecord, chain: Collection[bytes]) -> tuple[int, int]:
    """Count the tokens, of the system or of the chain, that have not expired: dead by revocation, epoch or status, and alive."""
    kinds = (_TOKEN.c.system_id, _TOKEN.c.system_epoch, _TOKEN.c.revoked)
    unexpired = select(*kinds, func.count()).where(
        _TOKEN.c.hash.in_(chain) if chain else _TOKEN.c.system_id == system.id, _TOKEN.c.expires_at > view.now
    )
    dead = alive = 0
    for holder_id, epoch, revoked, count in view.conn.execute(unexpired.group_by(*kinds)):
        holder = view.systems[holder_id]
        if holder.status is SystemStatus.ACTIVE and epoch == holder.epoch and not revoked:
            alive += count
        else:
            dead += count
    return dead, alive


def _category(view: View, name: str) -> Words:
    return name, view.bundle.catalogue.category(name).title.get("fr", name)


def _notes(
    view: View, system: SystemRecord, leak: _Leak, found: Resolved, totals: Mapping[str, Cell], special: set[str]
) -> list[Words]:
    known = view.bundle.catalogue.fields
    fields = sorted({name for names in leak.entries.values() for name in names})
    names = [each.partition(":")[0] for each in fields]
    return notes_of(
        Leaked(
            system=system.id,
            brand=system.brand,
            contact=view.bundle.parties.named(system.brand).contact,
            first=leak.first or told(view.asked.since),
            last=leak.last or told(view.asked.until),
            fields=tuple(fields),
            categories=tuple(
                [_category(view, each) for each in sorted({known[each].category for each in names if each in known})]
            ),
            records=len(leak.named),
            among=found.known,
            totals=totals,
            known=bool(leak.known_at),
            by_token=bool(view.asked.token),
            exact=found.exact,
            special=any(each in special for each in names),
            stopped=system.status is SystemStatus.DISABLED,
        )
    )
