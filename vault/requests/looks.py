"""Who looked: the entries of the log that concern one person, told as GDPR Art. 15(1)(c) asks.

The log names nobody; each entry carries another pseudonym of the person, and only the person's own log key tells which are
theirs. So the whole log of the person's shard is walked, one keyed hash per entry. Recipients are named by brand and
system; of staff, the vault's own and the brand's, only that the same one stands behind a number (C-579/21).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from audit import entry as log_entry
from audit import ledger, pruning
from audit.entry import Act, ActorKind, decode
from audit.pruning import Kept
from audit.pseudonym import veiled
from vault.requests.ownlines import is_own, own_lines

PIECE: Final = 4096
VAULT: Final = "vault"
SELF: Final = "self"

_SHOWN: Final = frozenset(
    {
        Act.FIELD_DISCLOSED, Act.FIELD_EVALUATED, Act.FIELD_DENIED, Act.ATTESTATION_ISSUED, Act.BREAKGLASS_DISCLOSED,
        Act.SUBJECT_SEARCHED, Act.SUBJECT_EXPORTED, Act.CONTACT_EVALUATED, Act.CONSENT_EXPORTED, Act.REQUEST_VIEWED,
        Act.REQUEST_LETTER_SENT,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Look:
    """One look: when (as the log writes it), what kind, whether it was let through, by whom, at which fields, what for.

    `staff` numbers the members of the brand's staff that stand behind looks, from 1; 0 where none was named. `index` is
    its place in the log, for whoever wants it proven.
    """

    at: str
    act: str
    allowed: bool
    brand: str
    by: str
    fields: tuple[str, ...]
    purpose: str
    basis: str
    index: int
    staff: int = 0


class Numbering(NamedTuple):
    """Whose the systems are (id -> brand), and the key under which the brand's staff is veiled in the log."""

    brands: Mapping[str, str]
    staff_key: bytes

    def __repr__(self) -> str:
        return "Numbering(…)"


def looks(conn: Connection, shard: int, log_key: bytes, brand: str, numbering: Numbering) -> list[Look]:
    """Return every look at a person by one brand's systems and by officers, oldest first.

    What systems of other brands did is theirs to tell: each is a controller. Of a log that was pruned, what is left
    (`audit.pruning.beginning`).
    """
    found: list[Look] = []
    officers: dict[str, int] = {}
    staff: dict[str, int] = {}
    start = pruning.kept_from(conn, shard)
    while piece := ledger.read(conn, shard, start, PIECE):
        for record in piece:
            mine = f'"sref":"{log_entry.sref(log_key, record.entry_id).hex()}"'.encode()
            if mine in record.body:
                content = decode(record.body)
                if (
                    content["act"] in _SHOWN
                    and (look := _look(content, record.idx, brand, numbering, (officers, staff))) is not None
                ):
                    found.append(look)
        start = piece[-1].idx + 1
    return found


@dataclass(frozen=True, slots=True)
class Recent:
    """The newest looks that one bounded step found, newest first, and how far back it read; 0: there is nothing more.

    `kept` then tells where a log begins that was pruned.
    """

    looks: tuple[Look, ...]
    reached: int
    kept: Kept | None = None


def recent(
    conn: Connection, shard: int, log_key: bytes, brand: str, numbering: Numbering, before: int | None = None
) -> Recent:
    """Return looks of others as `looks` does, newest first and from a bounded stretch of the log that ends before an index.

    Numbers of members of staff hold within one answer.
    """
    lines = own_lines(conn, shard, log_key, before=before, own=False)
    numbers: tuple[dict[str, int], dict[str, int]] = ({}, {})
    shown = [
        look
        for line in lines.found
        if line.content["act"] in _SHOWN
        and (look := _look(line.content, line.record.idx, brand, numbering, numbers)) is not None
    ]
    return Recent(tuple(shown), lines.reached, lines.kept)


def _look(
    content: Mapping[str, Any],
    index: int,
    brand: str,
    numbering: Numbering,
    numbers: tuple[dict[str, int], dict[str, int]],
) -> Look | None:
    actor, member = content["actor"], 0
    officers, staff = numbers
    if is_own(content):
        whose = who = SELF
    elif actor["k"] == ActorKind.OFFICER:
        whose, who = VAULT, f"officer {_number(officers, actor['id'])}"
    elif actor["k"] == ActorKind.VAULT:
        whose, who = VAULT, VAULT
    else:
        whose, who = numbering.brands.get(actor["id"], ""), actor["id"]
        if whose != brand:
            return None
        if "stf" in content:
            named = veiled(numbering.staff_key, bytes.fromhex(content["id"]), bytes.fromhex(content["stf"]))
            member = _number(staff, named.hex())
    return Look(
        content["t"],
        content["act"],
        content["out"] == "allow",
        whose,
        who,
        tuple(content.get("fld", ())),
        content.get("pur", ""),
        content.get("bas", ""),
        index,
        member,
    )


def _number(numbers: dict[str, int], who: str) -> int:
    return numbers.setdefault(who, len(numbers) + 1)
