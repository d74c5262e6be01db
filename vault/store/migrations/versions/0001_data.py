"""The vault's tables: subjects, compartments, values, consent, systems, tokens.

Revision: 0001
Follows: nothing
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "access_token",
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("system_id", sa.String(length=64), nullable=False),
        sa.Column("system_epoch", sa.BigInteger(), nullable=False),
        sa.Column("jkt", sa.String(length=43), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("purpose", sa.String(length=64), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("policy_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked", sa.Boolean(), nullable=False),
        sa.CheckConstraint("kind IN ('service', 'disclosure')", name=op.f("ck_access_token_kind")),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_access_token")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_access_token_expires_at"), "access_token", ["expires_at"], unique=False)
    op.create_index(op.f("ix_access_token_system_id"), "access_token", ["system_id"], unique=False)
    op.create_table(
        "compartment",
        sa.Column("subject_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("category_id", sa.SmallInteger(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("writes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject_id", "category_id", name=op.f("pk_compartment")),
        sqlite_with_rowid=False,
    )
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
        sa.CheckConstraint(
            "state IN ('given', 'withdrawn', 'objected', 'objection_lifted')", name=op.f("ck_consent_event_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_event")),
    )
    op.create_index(
        op.f("ix_consent_event_subject_id_brand_purpose"),
        "consent_event",
        ["subject_id", "brand", "purpose"],
        unique=False,
    )
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
        sa.CheckConstraint("state IN ('given', 'withdrawn', 'objected', 'none')", name=op.f("ck_consent_state_state")),
        sa.PrimaryKeyConstraint("subject_id", "brand", "purpose", name=op.f("pk_consent_state")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "deployment",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("shards", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployment")),
    )
    op.create_table(
        "field_value",
        sa.Column("subject_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("category_id", sa.SmallInteger(), nullable=False),
        sa.Column("field_id", sa.SmallInteger(), nullable=False),
        sa.Column("item", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("holder", sa.String(length=32), nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.Column("schema_version", sa.SmallInteger(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(
            "subject_id", "category_id", "field_id", "item", "version", name=op.f("pk_field_value")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "idempotent_request",
        sa.Column("system_id", sa.String(length=64), nullable=False),
        sa.Column("key_mac", sa.LargeBinary(length=32), nullable=False),
        sa.Column("request_mac", sa.LargeBinary(length=32), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("outcome", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("status >= 100 AND status < 600", name=op.f("ck_idempotent_request_status")),
        sa.PrimaryKeyConstraint("system_id", "key_mac", name=op.f("pk_idempotent_request")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_idempotent_request_expires_at"), "idempotent_request", ["expires_at"], unique=False)
    op.create_table(
        "import_row",
        sa.Column("import_mac", sa.LargeBinary(length=16), nullable=False),
        sa.Column("row_mac", sa.LargeBinary(length=16), nullable=False),
        sa.Column("content_mac", sa.LargeBinary(length=16), nullable=False),
        sa.Column("outcome", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("import_mac", "row_mac", name=op.f("pk_import_row")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_import_row_expires_at"), "import_row", ["expires_at"], unique=False)
    op.create_table(
        "officer",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("role IN ('compliance', 'auditor', 'operator', 'approver')", name=op.f("ck_officer_role")),
        sa.CheckConstraint("status IN ('active', 'disabled')", name=op.f("ck_officer_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_officer")),
    )
    op.create_table(
        "reference",
        sa.Column("mac", sa.LargeBinary(length=16), nullable=False),
        sa.Column("brand", sa.String(length=32), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("pointer", sa.LargeBinary(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("mac", name=op.f("pk_reference")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "relation",
        sa.Column("subject_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("brand", sa.String(length=32), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("reference_sealed", sa.LargeBinary(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject_id", "brand", name=op.f("pk_relation")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "search_token",
        sa.Column("token", sa.LargeBinary(length=16), nullable=False),
        sa.Column("subject_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("item", sa.BigInteger(), nullable=False),
        sa.Column("brand", sa.String(length=32), nullable=False),
        sa.Column("field_id", sa.SmallInteger(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token", "subject_id", "item", name=op.f("pk_search_token")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_search_token_subject_id_brand_field_id"),
        "search_token",
        ["subject_id", "brand", "field_id"],
        unique=False,
    )
    op.create_table(
        "seen_proof",
        sa.Column("hash", sa.LargeBinary(length=16), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_seen_proof")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_seen_proof_expires_at"), "seen_proof", ["expires_at"], unique=False)
    op.create_table(
        "subject",
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("restricted", sa.Boolean(), nullable=False),
        sa.Column("minor", sa.Boolean(), nullable=False),
        sa.Column("region", sa.String(length=8), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("log_slot", sa.BigInteger(), nullable=False),
        sa.Column("log_generation", sa.BigInteger(), nullable=False),
        sa.Column("log_key", sa.LargeBinary(length=40), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('active', 'erasing', 'erased')", name=op.f("ck_subject_state")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_subject_version")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subject")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "system",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("brand", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("jwks", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("purposes", sa.Text(), nullable=False),
        sa.Column("brands", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("status IN ('active', 'disabled')", name=op.f("ck_system_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_system")),
    )
    op.create_table(
        "token_subject",
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("subject_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("subject_epoch", sa.BigInteger(), nullable=False),
        sa.Column("consent_epoch", sa.BigInteger(), nullable=False),
        sa.Column("uses_left", sa.Integer(), nullable=False),
        sa.CheckConstraint("uses_left >= 0", name=op.f("ck_token_subject_uses_left")),
        sa.PrimaryKeyConstraint("token_hash", "subject_id", name=op.f("pk_token_subject")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("token_subject")
    op.drop_table("system")
    op.drop_table("subject")
    op.drop_index(op.f("ix_seen_proof_expires_at"), table_name="seen_proof")
    op.drop_table("seen_proof")
    op.drop_index(op.f("ix_search_token_subject_id_brand_field_id"), table_name="search_token")
    op.drop_table("search_token")
    op.drop_table("relation")
    op.drop_table("reference")
    op.drop_table("officer")
    op.drop_index(op.f("ix_import_row_expires_at"), table_name="import_row")
    op.drop_table("import_row")
    op.drop_index(op.f("ix_idempotent_request_expires_at"), table_name="idempotent_request")
    op.drop_table("idempotent_request")
    op.drop_table("field_value")
    op.drop_table("deployment")
    op.drop_table("consent_state")
    op.drop_index(op.f("ix_consent_event_subject_id_brand_purpose"), table_name="consent_event")
    op.drop_table("consent_event")
    op.drop_table("compartment")
    op.drop_index(op.f("ix_access_token_system_id"), table_name="access_token")
    op.drop_index(op.f("ix_access_token_expires_at"), table_name="access_token")
    op.drop_table("access_token")
