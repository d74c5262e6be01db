"""What a caller gets from a disclosure, field by field, in the order the token names them."""

from typing import Any

from policies.model import Decision, Reason
from vault.errors import IntegrityFailure
from vault.revealed import Revealed


def answer(
    decision: Decision, purpose: str, reference: str, entry: bytes, revealed: Revealed, receipt: str
) -> dict[str, Any]:
    """Shape the answer. `entry` is the id of the log entry, `receipt` the signed note that promises it."""
    fields = []
    for each in decision.answers:
        told: dict[str, Any] = {"name": each.wanted.field, "level": each.granted, "policies": each.told}
        value = revealed.get(each.wanted)
        if each.granted is None:
            told |= {"decision": "refused", "value": None, "reason": each.reason}
        elif isinstance(value, IntegrityFailure) or value is None:
            told |= {"decision": "unreadable", "level": None, "value": None, "reason": IntegrityFailure.code}
        elif value.withheld:
            told |= {"decision": "refused", "level": None, "value": None, "reason": Reason.TOO_FEW}
        else:
            narrowed = value.coarser or each.granted is not each.wanted.level
            told |= {"decision": "narrowed" if narrowed else "granted", "value": value.value, "reason": None}
        fields.append(told)
    return {"reference": reference, "purpose": purpose, "fields": fields, "entry": entry.hex(), "receipt": receipt}
