"""One table of what officers signed; break-glass under leaves of its own; proposals that are void.

What waited for a second officer was signed under rules that are no more: it expires, and is asked anew. Of cases the
reference and the reason go: they were kept under a key that outlives everybody, and the hash of them was unsalted.

Revision: 0028
Follows: 0027
"""

import json
from collections import Counter
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_SIGNATURE = sa.table(
    "officer_signature",
    *(
        sa.column(name)
        for name in (
            "officer_id", "number", "matter", "thing", "part", "says", "fingerprint", "signature", "signed_at",
        )
    ),
)  # fmt: skip
_FOUR = "state IN ('proposed', 'approved', 'withdrawn', 'expired')"
_THREE = "state IN ('proposed', 'approved', 'withdrawn')"
_CASE = "state IN ('asked', 'approved', 'refused', 'reviewed', 'expired')"
_OLD_CASE = "state IN ('asked', 'approved', 'refused', 'reviewed')"
_JOIN_COLUMNS = "id, brand, other, reason, named, count, state, proposed_by, proposed_at, approved_by, approved_at"
_RAISE_COLUMNS = (
    "id, system_id, limits, seconds, state, proposed_by, proposed_at, approved_by, approved_at, until_at"
)
_CASE_COLUMNS = "id, state, brand, fields, bearer, minutes, asked_at, expires_at, disclosures, finding"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "officer_signature",
        sa.Column("officer_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("matter", sa.String(length=16), nullable=False),
        sa.Column("thing", sa.String(length=64), nullable=False),
        sa.Column("part", sa.String(length=16), nullable=False),
        sa.Column("says", sa.LargeBinary(length=32), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("signed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("officer_id", "number", name=op.f("pk_officer_signature")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_officer_signature_matter_thing"), "officer_signature", ["matter", "thing"], unique=False)
    _keep_signatures()
    op.drop_table("policy_signature")
    if op.get_bind().dialect.name == "postgresql":
        for table in ("brand_join", "budget_raise"):
            _restate(table, _FOUR)
        _restate("break_glass_case", _CASE)
        for name in ("slot", "generation", "closed_at"):
            op.add_column("break_glass_case", sa.Column(name, sa.BigInteger(), nullable=True))
        op.add_column("break_glass_case", sa.Column("subject_id", sa.LargeBinary(length=16), nullable=True))
        op.alter_column("break_glass_case", "sealed", nullable=True)
        op.drop_column("break_glass_case", "digest")
        op.drop_column("break_glass_case", "signatures")
    else:
        _rebuild_join(_FOUR)
        _rebuild_raise(_FOUR)
        op.rename_table("break_glass_case", "old_case")
        _create_case(
            _CASE,
            sa.Column("sealed", sa.LargeBinary(), nullable=True),
            sa.Column("slot", sa.BigInteger(), nullable=True),
            sa.Column("generation", sa.BigInteger(), nullable=True),
            sa.Column("subject_id", sa.LargeBinary(length=16), nullable=True),
            sa.Column("closed_at", sa.BigInteger(), nullable=True),
        )
        op.execute(f"INSERT INTO break_glass_case ({_CASE_COLUMNS}) SELECT {_CASE_COLUMNS} FROM old_case")  # noqa: S608
        op.drop_table("old_case")
    op.create_index(op.f("ix_break_glass_case_subject_id"), "break_glass_case", ["subject_id"], unique=False)
    op.execute("UPDATE brand_join SET state = 'expired' WHERE state = 'proposed'")
    op.execute("UPDATE budget_raise SET state = 'expired' WHERE state = 'proposed'")
    op.execute("UPDATE break_glass_case SET state = 'expired' WHERE state = 'asked'")
    op.execute("UPDATE break_glass_case SET sealed = NULL")
    op.execute("UPDATE break_glass_case SET closed_at = asked_at WHERE state <> 'approved'")
    op.get_bind().execute(sa.text("UPDATE brand_join SET named = :empty"), {"empty": b""})


def downgrade() -> None:
    """Undo, while there is no case: what it says could not be kept."""
    bind = op.get_bind()
    if bind.execute(sa.text("SELECT count(*) FROM break_glass_case")).scalar_one():
        raise RuntimeError("there are break-glass cases")
    op.create_table(
        "policy_signature",
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("officer_id", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("signed_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("role IN ('author', 'approver')", name=op.f("ck_policy_signature_role")),
        sa.PrimaryKeyConstraint("number", "role", name=op.f("pk_policy_signature")),
    )
    op.execute(
        "INSERT INTO policy_signature (number, role, officer_id, fingerprint, signature, signed_at) "
        "SELECT CAST(thing AS BIGINT), part, officer_id, fingerprint, signature, signed_at FROM officer_signature "
        "WHERE matter = 'policy' AND part IN ('author', 'approver')"
    )
    op.drop_table("officer_signature")
    for table in ("brand_join", "budget_raise"):
        op.execute(f"UPDATE {table} SET state = 'withdrawn' WHERE state = 'expired'")  # noqa: S608 - our own words
    if bind.dialect.name == "postgresql":
        for table in ("brand_join", "budget_raise"):
            _restate(table, _THREE)
    else:
        _rebuild_join(_THREE)
        _rebuild_raise(_THREE)
    op.drop_table("break_glass_case")
    _create_case(
        _OLD_CASE,
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("signatures", sa.Text(), nullable=False),
    )


def _keep_signatures() -> None:
    """Carry signatures over, numbered per officer in the order in which they were made."""
    bind = op.get_bind()
    kept: list[dict[str, Any]] = []
    policies = bind.execute(
        sa.text(
            "SELECT s.number, s.role, s.officer_id, s.fingerprint, s.signature, s.signed_at, v.hash "
            "FROM policy_signature s JOIN policy_version v ON v.number = s.number"
        )
    )
    for row in policies.mappings():
        kept.append(
            {
                "officer_id": row["officer_id"], "matter": "policy", "thing": str(row["number"]), "part": row["role"],
                "says": row["hash"], "fingerprint": row["fingerprint"], "signature": row["signature"],
                "signed_at": row["signed_at"],
            }
        )  # fmt: skip
    cases = bind.execute(sa.text("SELECT id, signatures, asked_at, finding FROM break_glass_case"))
    for case in cases.mappings():
        for step, (officer_id, fingerprint, signature) in json.loads(case["signatures"]).items():
            kept.append(
                {
                    "officer_id": officer_id, "matter": "case", "thing": bytes(case["id"]).hex(),
                    "part": case["finding"] if step == "review" else step, "says": bytes(32),
                    "fingerprint": fingerprint, "signature": bytes.fromhex(signature), "signed_at": case["asked_at"],
                }
            )  # fmt: skip
    counts: Counter[str] = Counter()
    for each in sorted(kept, key=lambda one: (one["signed_at"], one["matter"], one["thing"], one["part"])):
        counts[each["officer_id"]] += 1
        bind.execute(sa.insert(_SIGNATURE).values(**each, number=counts[each["officer_id"]]))


def _restate(table: str, condition: str) -> None:
    op.drop_constraint(op.f(f"ck_{table}_state"), table)
    op.create_check_constraint(op.f(f"ck_{table}_state"), table, condition)


def _rebuild_join(states: str) -> None:
    op.rename_table("brand_join", "old_join")
    op.create_table(
        "brand_join",
        sa.Column("id", sa.LargeBinary(length=8), nullable=False),
        sa.Column("brand", sa.String(length=32), nullable=False),
        sa.Column("other", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("named", sa.LargeBinary(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("proposed_by", sa.String(length=64), nullable=False),
        sa.Column("proposed_at", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", sa.String(length=64), nullable=True),
        sa.Column("approved_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(states, name=op.f("ck_brand_join_state")),
        sa.CheckConstraint("approved_by IS NULL OR approved_by <> proposed_by", name=op.f("ck_brand_join_two_officers")),
        sa.CheckConstraint("brand <> other", name=op.f("ck_brand_join_two_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_brand_join")),
    )
    op.execute(f"INSERT INTO brand_join ({_JOIN_COLUMNS}) SELECT {_JOIN_COLUMNS} FROM old_join")  # noqa: S608
    op.drop_table("old_join")


def _rebuild_raise(states: str) -> None:
    op.drop_index(op.f("ix_budget_raise_system_id"), table_name="budget_raise")
    op.rename_table("budget_raise", "old_raise")
    op.create_table(
        "budget_raise",
        sa.Column("id", sa.LargeBinary(length=8), nullable=False),
        sa.Column("system_id", sa.String(length=64), nullable=False),
        sa.Column("limits", sa.Text(), nullable=False),
        sa.Column("seconds", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("proposed_by", sa.String(length=64), nullable=False),
        sa.Column("proposed_at", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", sa.String(length=64), nullable=True),
        sa.Column("approved_at", sa.BigInteger(), nullable=True),
        sa.Column("until_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(states, name=op.f("ck_budget_raise_state")),
        sa.CheckConstraint(
            "approved_by IS NULL OR approved_by <> proposed_by", name=op.f("ck_budget_raise_two_officers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budget_raise")),
    )
    op.execute(f"INSERT INTO budget_raise ({_RAISE_COLUMNS}) SELECT {_RAISE_COLUMNS} FROM old_raise")  # noqa: S608
    op.drop_table("old_raise")
    op.create_index(op.f("ix_budget_raise_system_id"), "budget_raise", ["system_id"])


def _create_case(states: str, *more: sa.schema.SchemaItem) -> None:
    op.create_table(
        "break_glass_case",
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("brand", sa.String(length=32), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("bearer", sa.String(length=64), nullable=False),
        sa.Column("minutes", sa.SmallInteger(), nullable=False),
        *more,
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("disclosures", sa.Integer(), nullable=False),
        sa.Column("finding", sa.String(length=16), nullable=False),
        sa.CheckConstraint(states, name=op.f("ck_break_glass_case_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_break_glass_case")),
    )
