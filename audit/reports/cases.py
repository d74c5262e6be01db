"""What is no matter of volume: single cases that the review points at, each by a watch of its own over the same lines.

None relates entries of one person to a reader. Looks before an erasure are found by the log keys of people who are partly
erased; they are told as a number by actor and hour, and of people whose key is gone there is nothing to be told.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from audit.entry import Act, ActorKind, Outcome, sref
from audit.reports.asked import Actors, Asked
from audit.reports.explained import explained
from audit.reports.highlight import Beside, Highlight
from audit.reports.lines import Line, second, told
from audit.reports.profiles import LOOKS
from audit.reports.table import few

SILENCE: Final = 2 * 3600  # seconds without a sign of life: one of the hourly ones is missing for certain
BEFORE_ERASURE: Final = 3600  # seconds
UNUSUAL: Final = "unusual:"  # of an entry `keys.reconciled`: the hour, keys opened, explained, refused
ACTS: Final = frozenset(
    {
        Act.BREAKGLASS_APPROVED,
        Act.BREAKGLASS_DISCLOSED,
        Act.BREAKGLASS_REVIEWED,
        Act.SYSTEM_FROZEN,
        Act.FIELD_DISCLOSED,
        Act.ATTESTATION_ISSUED,
        Act.ERASURE_REQUESTED,
        Act.LOG_HEARTBEAT,
        Act.LOG_STARTED,
        Act.KEYS_RECONCILED,
    }
)
_GIVEN: Final = frozenset({Act.FIELD_DISCLOSED, Act.ATTESTATION_ISSUED})
_ALIVE: Final = frozenset({Act.LOG_HEARTBEAT, Act.LOG_STARTED})
_RAW: Final = ":raw"
_MINUTE: Final = 60
_HOUR: Final = 3600


class Cases:
    """Watches lines as they pass, and says at the end what they amount to."""

    def __init__(self, actors: Actors, asked: Asked, beside: Beside) -> None:
        watches: list[_Emergencies | _Honey | _Undeclared | _Erasures | _Life | _Holder] = [
            _Emergencies(actors, asked),
            _Honey(actors, asked),
            _Undeclared(actors, asked, beside),
            _Erasures(actors, asked, beside),
        ]
        # What is of the log and its keys is nobody's own: a filter for somebody's entries leaves it out.
        if not (asked.brand or asked.system or asked.purpose or asked.staff):
            watches += [_Life(asked, beside), _Holder(asked)]
        self._watches = watches

    def watched(self, lines: Iterable[Line]) -> Iterator[Line]:
        """Hand the lines on, having looked at each."""
        for line in lines:
            for watch in self._watches:
                watch.see(line)
            yield line

    def highlights(self) -> list[Highlight]:
        """Return what there is to say at the end."""
        return [each for watch in self._watches for each in watch.highlights()]


class _Emergencies:
    """Emergencies that nobody reviewed."""

    def __init__(self, actors: Actors, asked: Asked) -> None:
        self._actors, self._asked = actors, asked
        self._open: dict[str, Highlight] = {}

    def see(self, line: Line) -> None:
        act = line.content["act"]
        case = next((each for each in line.content.get("pol", ()) if each.startswith("case:")), "")
        if act in {Act.BREAKGLASS_APPROVED, Act.BREAKGLASS_DISCLOSED} and case:
            if self._actors.concern(line, self._asked):
                why, actor = explained("emergency_not_reviewed", name=case), line.content["actor"]["id"]
                found = Highlight("high", "emergency_not_reviewed", "", actor, line.at, 1, 0, why, line.idx)
                self._open.setdefault(case, found)
        elif act == Act.BREAKGLASS_REVIEWED:
            self._open.pop(case, None)

    def highlights(self) -> Sequence[Highlight]:
        return list(self._open.values())


class _Honey:
    """Systems frozen by a subject who does not exist."""

    def __init__(self, actors: Actors, asked: Asked) -> None:
        self._actors, self._asked = actors, asked
        self._since = told(asked.since)
        self._frozen: list[Highlight] = []

    def see(self, line: Line) -> None:
        if line.content["act"] != Act.SYSTEM_FROZEN or line.at < self._since:
            return
        names = line.content.get("pol", ())
        system = next((each.partition(":")[2] for each in names if each.startswith("system:")), "")
        asked, brand = self._asked, self._actors.brands.get(system, "")
        # The entry is the vault's own: whom it is about decides whose report it stands in.
        if asked.brand in {"", brand} and asked.system in {"", system} and not asked.staff and not asked.purpose:
            why = explained("honey")
            self._frozen.append(Highlight("high", "honey", brand, system, line.at, 1, 0, why, line.idx))

    def highlights(self) -> Sequence[Highlight]:
        return self._frozen


class _Undeclared:
    """Fields given for a purpose that does not open them, as policies stand now. An emergency opens what no purpose does."""

    def __init__(self, actors: Actors, asked: Asked, beside: Beside) -> None:
        self._actors, self._asked, self._opens = actors, asked, beside.opens
        self._since = told(asked.since)
        self._first: dict[tuple[str, str, str, str], Line] = {}
        self._count: Counter[tuple[str, str, str, str]] = Counter()

    def see(self, line: Line) -> None:
        content = line.content
        if content["act"] not in _GIVEN or content["out"] != Outcome.ALLOW or line.at < self._since:
            return
        purpose = content.get("pur", "")
        wrong = [each for each in content.get("fld", ()) if purpose and not self._opens(purpose, each)]
        if wrong and self._actors.concern(line, self._asked):
            for name in wrong:
                key = (self._actors.brand_of(line), content["actor"]["id"], purpose, name)
                self._first.setdefault(key, line)
                self._count[key] += 1

    def highlights(self) -> Sequence[Highlight]:
        found = []
        for (brand, actor, purpose, name), line in self._first.items():
            count = self._count[brand, actor, purpose, name]
            why = explained("undeclared_field", name=name, purpose=purpose, count=few(count))
            about = f"{purpose} {name}"
            found.append(
                Highlight("high", "undeclared_field", brand, actor, line.at, count, 0, why, line.idx, about=about)
            )
        return found


class _Erasures:
    """Looks in full shortly before an erasure was asked for: at those people, or by who asked for it."""

    def __init__(self, actors: Actors, asked: Asked, beside: Beside) -> None:
        self._actors, self._asked = actors, asked
        self._since = told(asked.since)
        self._keys: dict[int, list[tuple[bytes, int]]] = {}  # by each hour that the time before a request lies in
        for each in beside.leaving:
            for hour in {each.at // _HOUR, (each.at - BEFORE_ERASURE) // _HOUR}:
                self._keys.setdefault(hour, []).append((each.log_key, each.at))
        self._looks: Counter[tuple[str, str, str, str]] = Counter()  # brand, actor, staff, hour
        self._emergencies: dict[str, list[int]] = {}  # officer -> when
        self._own: list[Highlight] = []

    def see(self, line: Line) -> None:
        content = line.content
        if line.at < self._since or content["out"] != Outcome.ALLOW or not self._actors.concern(line, self._asked):
            return
        actor, moment = content["actor"], second(line.at)
        if content["act"] == Act.ERASURE_REQUESTED and "erasure.request" in content.get("pol", ()):
            self._asked_for(line, actor["id"], moment)
        elif content["act"] == Act.BREAKGLASS_DISCLOSED:
            self._emergencies.setdefault(actor["id"], []).append(moment)
        # Their own look, through the portal, is the vault's act.
        if actor["k"] != ActorKind.VAULT and self._before_erasure(line, moment):
            hour = f"{line.at[:13]}:00:00Z"
            self._looks[self._actors.brand_of(line), actor["id"], self._actors.staff_of(line), hour] += 1

    def _asked_for(self, line: Line, actor: str, moment: int) -> None:
        times = [each for each in self._emergencies.get(actor, ()) if moment - BEFORE_ERASURE <= each <= moment]
        if times:
            why = explained("look_before_own_erasure", count=few(len(times)))
            found = Highlight("high", "look_before_erasure", "", actor, line.at, len(times), 0, why, line.idx)
            self._own.append(found)

    def _before_erasure(self, line: Line, moment: int) -> bool:
        content = line.content
        if content["act"] not in LOOKS or "sref" not in content:
            return False
        if not any(each.endswith(_RAW) for each in content.get("fld", ())):
            return False
        entry_id, pseudonym = bytes.fromhex(content["id"]), content["sref"]
        return any(
            at - BEFORE_ERASURE <= moment <= at and sref(key, entry_id).hex() == pseudonym
            for key, at in self._keys.get(moment // _HOUR, ())
        )

    def highlights(self) -> Sequence[Highlight]:
        found = list(self._own)
        for (brand, actor, staff, hour), count in self._looks.items():
            why = explained("look_before_erasure", count=few(count))
            name = "" if staff else actor
            found.append(Highlight("medium", "look_before_erasure", brand, name, hour, count, 0, why, staff=staff))
        return found


class _Life:
    """Hours in which the log gave no sign of life, shard by shard."""

    def __init__(self, asked: Asked, beside: Beside) -> None:
        self._asked = asked
        self._end = 0 if asked.upto or not beside.now else min(asked.until, beside.now)
        self._last: dict[int, int] = {}
        self._gaps: list[Highlight] = []

    def see(self, line: Line) -> None:
        if line.content["act"] in _ALIVE:
            moment = second(line.at)
            self._gap(self._last.get(line.shard, moment), moment, line.idx)
            self._last[line.shard] = max(moment, self._last.get(line.shard, moment))

    def highlights(self) -> Sequence[Highlight]:
        if self._end:
            for last in self._last.values():
                self._gap(last, self._end, -1)
        return self._gaps

    def _gap(self, start: int, end: int, index: int) -> None:
        if end - start > SILENCE and end > self._asked.since:
            minutes = (end - start) // _MINUTE
            why = explained("heartbeat_gap", count=minutes, start=told(start))
            usual = _HOUR // _MINUTE
            self._gaps.append(Highlight("medium", "heartbeat_gap", "", "", told(start), minutes, usual, why, index))


class _Holder:
    """Hours in which the key holder opened more keys than the log explains, as a reconciliation found and recorded."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._hours: dict[str, Highlight] = {}

    def see(self, line: Line) -> None:
        if line.content["act"] != Act.KEYS_RECONCILED:
            return
        for rule in line.content.get("pol", ()):
            if not rule.startswith(UNUSUAL):
                continue
            hour, opened, reasons, refused = rule.removeprefix(UNUSUAL).split(":")
            at = f"{hour}:00:00Z"
            if told(self._asked.since - _HOUR if self._asked.since > _HOUR else 0) < at < told(self._asked.until):
                why = explained("keys_unexplained", hour=hour, opened=opened, explained=reasons, refused=refused)
                counts = int(opened), int(reasons)
                # An hour is told of once: of several reconciliations by the last.
                self._hours[hour] = Highlight(
                    "high", "keys_unexplained", "", "", at, *counts, why, line.idx, about=hour
                )

    def highlights(self) -> Sequence[Highlight]:
        return list(self._hours.values())
