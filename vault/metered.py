"""What every look at a person costs that is no disclosure: honey springs, and the budgets count it like a candidate.

For questions that are answered without values ("may I contact", "may I see"): asked of everybody in turn they would
harvest all the same. What a disclosure costs is charged by its fields, in the pipeline.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from vault import budgets, honey
from vault.budgets import Looked
from vault.errors import VaultError
from vault.systems import SystemRecord
from vault.unit import UnitOfWork

ASKED: Final = 2  # the shape of a question, beside the hashes that stand for fields shown and the 1 of a search result


class Question(NamedTuple):
    """Who asks about whom; `staff` is the keyed hash of a member of the brand's staff, or empty."""

    system: SystemRecord
    subject: bytes
    log_key: bytes
    purpose: str
    staff: str

    def __repr__(self) -> str:
        return "Question(…)"


def charge(uow: UnitOfWork, questions: Sequence[Question]) -> list[VaultError | None]:
    """Count the questions; an error each for those of a system that is frozen by them, and those that do not fit."""
    frozen = honey.spring(uow, [(each.system, each.log_key) for each in questions])
    going = [each for each in questions if each.system.id not in frozen]
    charged = iter(
        budgets.charge(
            uow,
            [
                Looked(each.system, each.subject, each.purpose, each.staff, ASKED, budgets.CANDIDATE_WEIGHT)
                for each in going
            ],
        )
    )
    return [frozen.get(each.system.id) or next(charged) for each in questions]
