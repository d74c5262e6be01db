"""Consent: every state of ISO/IEC TS 27560, how each event came about, and the contact points it covers.

Events that are there already stay as they are, byte for byte, as records of the first form.

Revision: 0012
Follows: 0011
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_EVENT_STATES = (
    "state IN ('requested', 'refused', 'given', 'renewed', 'withdrawn', 'expired', 'invalidated', 'objected', "
    "'objection_lifted', 'established', 'ended')"
)
_STATES = (
    "state IN ('none', 'requested', 'refused', 'given', 'guarded', 'withdrawn', 'objected', 'expired', "
    "'needs_renewal', 'invalidated', 'ended')"
)
_ACTORS = "actor IN ('self', 'guardian', 'agent', 'system')"
_OLD_EVENT_STATES = "state IN ('given', 'withdrawn', 'objected', 'objection_lifted')"
_OLD_STATES = "state IN ('given', 'withdrawn', 'objected', 'none')"

_EVENT = (
    "id, shard, subject_id, brand, purpose, purpose_version, state, basis, jurisdiction, notice, notice_version, "
    "notice_language, notice_hash, channel, place, collector, system_id, event_at, recorded_at, valid_until, "
    "previous_hash, hash"
)
_STATE = "subject_id, brand, purpose, shard, state, since_at, until_at, epoch, event_id"
_SHOWN = "COALESCE((SELECT e.notice_version FROM consent_event e WHERE e.id = consent_state.event_id), 0)"


def upgrade() -> None:
    """Apply."""
    if op.get_bind().dialect.name == "postgresql":
        _alter()
    else:
        _rebuild()
    op.create_table(
        "guardian_link",
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("subject_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("guardian_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("brand", sa.String(length=32), nullable=False),
        sa.Column("proof", sa.String(length=32), nullable=False),
        sa.Column("proof_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("of_age_sealed", sa.LargeBinary(length=64), nullable=False),
        sa.Column("system_id", sa.String(length=64), nullable=False),
        sa.Column("linked_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_guardian_link")),
    )
    for column in ("subject_id", "guardian_id"):
        op.create_index(op.f(f"ix_guardian_link_{column}"), "guardian_link", [column])


def _alter() -> None:
    no_bytes = sa.text(r"'\x" + "00" * 32 + "'")
    added: dict[str, tuple[sa.types.TypeEngine[Any], sa.TextClause]] = {
        "record": (sa.SmallInteger(), sa.text("1")),
        "method": (sa.String(length=16), sa.text("''")),
        "explicit": (sa.Boolean(), sa.text("false")),
        "actor": (sa.String(length=16), sa.text("'self'")),
        "source": (sa.String(length=16), sa.text("''")),
        "evidence_hash": (sa.LargeBinary(length=32), no_bytes),
        "recipients": (sa.Text(), sa.text("''")),
        "points": (sa.Text(), sa.text("''")),
    }
    for name, (kind, default) in added.items():
        op.add_column("consent_event", sa.Column(name, kind, nullable=False, server_default=default))
        op.alter_column("consent_event", name, server_default=None)
    op.drop_constraint(op.f("ck_consent_event_state"), "consent_event")
    op.create_check_constraint(op.f("ck_consent_event_state"), "consent_event", _EVENT_STATES)
    op.create_check_constraint(op.f("ck_consent_event_record"), "consent_event", "record IN (1, 2)")
    op.create_check_constraint(op.f("ck_consent_event_actor"), "consent_event", _ACTORS)
    op.add_column("consent_state", sa.Column("notice_version", sa.SmallInteger(), nullable=False, server_default="0"))
    op.alter_column("consent_state", "notice_version", server_default=None)
    op.add_column("consent_state", sa.Column("points", sa.Text(), nullable=False, server_default=""))
    op.alter_column("consent_state", "points", server_default=None)
    op.drop_constraint(op.f("ck_consent_state_state"), "consent_state")
    op.create_check_constraint(op.f("ck_consent_state_state"), "consent_state", _STATES)
    op.execute(f"UPDATE consent_state SET notice_version = {_SHOWN}")  # noqa: S608 - our own words


def _rebuild() -> None:
    op.rename_table("consent_event", "old_event")
    op.rename_table("consent_state", "old_state")
    op.drop_index(op.f("ix_consent_event_subject_id_brand_purpose"), table_name="old_event")
    _create_event(
        sa.Column("record", sa.SmallInteger(), nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("explicit", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.String(length=16), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("evidence_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("recipients", sa.Text(), nullable=False),
        sa.Column("points", sa.Text(), nullable=False),
        sa.CheckConstraint("record IN (1, 2)", name=op.f("ck_consent_event_record")),
        sa.CheckConstraint(_ACTORS, name=op.f("ck_consent_event_actor")),
        sa.CheckConstraint(_EVENT_STATES, name=op.f("ck_consent_event_state")),
    )
    _create_state(
        sa.Column("notice_version", sa.SmallInteger(), nullable=False),
        sa.Column("points", sa.Text(), nullable=False),
        sa.CheckConstraint(_STATES, name=op.f("ck_consent_state_state")),
    )
    fresh = "record, method, explicit, actor, source, evidence_hash, recipients, points"
    # In the order in which they were written, so that the rows lie as they lay.
    op.execute(
        f"INSERT INTO consent_event ({_EVENT}, {fresh}) "  # noqa: S608 - our own words
        f"SELECT {_EVENT}, 1, '', 0, 'self', '', zeroblob(32), '', '' FROM old_event ORDER BY rowid"
    )
    shown = _SHOWN.replace("consent_state", "old_state").replace("consent_event", "old_event")
    op.execute(
        f"INSERT INTO consent_state ({_STATE}, notice_version, points) "  # noqa: S608
        f"SELECT {_STATE}, {shown}, '' FROM old_state"
    )
    op.drop_table("old_state")
    op.drop_table("old_event")


def _create_event(*more: sa.schema.SchemaItem) -> None:
    op.create_table(
        "consent_event",
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("subject_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("brand", sa.String(length=32), nullable=False),
        sa.Column("purpose", sa.String(length=64), nullable=False),
        sa.Column("purpose_version", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("basis", sa.String(length=32), nullable=False),
        sa.Column("jurisdiction", sa.String(length=8), nullable=False),
        sa.Column("notice", sa.String(length=64), nullable=False),
        sa.Column("notice_version", sa.SmallInteger(), nullable=False),
        sa.Column("notice_language", sa.String(length=8), nullable=False),
        sa.Column("notice_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("channel", sa.String(length=24), nullable=False),
        sa.Column("place", sa.String(length=64), nullable=False),
        sa.Column("collector", sa.String(length=64), nullable=False),
        sa.Column("system_id", sa.String(length=64), nullable=False),
        sa.Column("event_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=True),
        sa.Column("previous_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_event")),
        *more,
    )
    op.create_index(
        op.f("ix_consent_event_subject_id_brand_purpose"), "consent_event", ["subject_id", "brand", "purpose"]
    )


def _create_state(*more: sa.schema.SchemaItem) -> None:
    op.create_table(
        "consent_state",
        sa.Column("subject_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("brand", sa.String(length=32), nullable=False),
        sa.Column("purpose", sa.String(length=64), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("since_at", sa.BigInteger(), nullable=False),
        sa.Column("until_at", sa.BigInteger(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.LargeBinary(length=16), nullable=False),
        sa.PrimaryKeyConstraint("subject_id", "brand", "purpose", name=op.f("pk_consent_state")),
        *more,
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Undo, while no event of the second form is there: what it says could not be kept."""
    op.drop_table("guardian_link")
    bind = op.get_bind()
    if bind.execute(sa.text("SELECT count(*) FROM consent_event WHERE record <> 1")).scalar_one():
        raise RuntimeError("there are consent events of the second form")
    if bind.dialect.name == "postgresql":
        for table, names, states, old in (
            ("consent_event", ("record", "method", "explicit", "actor", "source", "evidence_hash", "recipients",
                               "points"), "ck_consent_event_state", _OLD_EVENT_STATES),
            ("consent_state", ("notice_version", "points"), "ck_consent_state_state", _OLD_STATES),
        ):  # fmt: skip
            for name in names:
                op.drop_column(table, name)
            op.drop_constraint(op.f(states), table)
            op.create_check_constraint(op.f(states), table, old)
        return
    op.rename_table("consent_event", "old_event")
    op.rename_table("consent_state", "old_state")
    op.drop_index(op.f("ix_consent_event_subject_id_brand_purpose"), table_name="old_event")
    _create_event(sa.CheckConstraint(_OLD_EVENT_STATES, name=op.f("ck_consent_event_state")))
    _create_state(sa.CheckConstraint(_OLD_STATES, name=op.f("ck_consent_state_state")))
    op.execute(f"INSERT INTO consent_event ({_EVENT}) SELECT {_EVENT} FROM old_event ORDER BY rowid")  # noqa: S608
    op.execute(f"INSERT INTO consent_state ({_STATE}) SELECT {_STATE} FROM old_state")  # noqa: S608
    op.drop_table("old_state")
    op.drop_table("old_event")
