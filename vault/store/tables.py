"""Every table of the data database that the vault owns, for SQLite and PostgreSQL alike.

Tables are dumb rows: nothing validates on construction, so the services validate first and every invariant
stands here a second time as NOT NULL or CHECK. Times are whole UTC seconds since 1970 (`*_at`). Bytes are
ciphertext, keyed hashes or random identifiers; no column holds a personal value in clear. Each table that grows
carries `shard`, the hash of the subject, so that a later split by shard moves rows and changes no schema.
"""

from typing import ClassVar

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, MetaData, SmallInteger, String, Text, text
from sqlmodel import Field, SQLModel

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=NAMING)

# SQLite keeps such a table in its primary key instead of beside it: one B-tree less to write per row. For small rows.
CLUSTERED = {"sqlite_with_rowid": False}


class Row(SQLModel):
    """Base of every table: own metadata, and a `repr` that prints no column."""

    metadata: ClassVar[MetaData] = metadata

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    __str__ = __repr__


class Deployment(Row, table=True):
    """One row: which deployment this database belongs to. Bound into every ciphertext."""

    __tablename__ = "deployment"

    id: str = Field(primary_key=True, sa_type=String(64))
    shards: int = Field(sa_type=SmallInteger)
    created_at: int = Field(sa_type=BigInteger)
    keys_epoch: int = Field(sa_type=BigInteger)  # every leaf that went before this epoch is known to be gone here


class Subject(Row, table=True):
    """A data subject: state, floors that need no decryption, and the wrapped key that relates log entries to them."""

    __tablename__ = "subject"
    __table_args__ = (
        CheckConstraint("state IN ('active', 'erasing', 'erased')", name="state"),
        CheckConstraint("version >= 1", name="version"),
        CLUSTERED,
    )

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    shard: int = Field(sa_type=SmallInteger)
    state: str = Field(sa_type=String(16))
    restricted: bool
    minor: bool  # recomputed on each write of a birth date; stale only in the safe direction
    region: str = Field(sa_type=String(8))
    epoch: int = Field(sa_type=BigInteger)  # tokens carry it; a step kills them
    version: int = Field(sa_type=BigInteger)  # ETag
    log_slot: int = Field(sa_type=BigInteger)
    log_generation: int = Field(sa_type=BigInteger)
    log_key: bytes = Field(sa_type=LargeBinary(40))  # K_s, wrapped under the leaf at log_slot
    created_at: int = Field(sa_type=BigInteger)


class Relation(Row, table=True):
    """A subject known to a brand, and the reference that brand stores (sealed under the brand's key)."""

    __tablename__ = "relation"
    __table_args__: ClassVar = CLUSTERED

    subject_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    brand: str = Field(primary_key=True, sa_type=String(32))
    shard: int = Field(sa_type=SmallInteger)
    reference_sealed: bytes = Field(sa_type=LargeBinary(64))
    created_at: int = Field(sa_type=BigInteger)


class Reference(Row, table=True):
    """Keyed hash of a pairwise reference, and its subject sealed under the brand's key: a dump alone links nothing."""

    __tablename__ = "reference"
    __table_args__: ClassVar = CLUSTERED

    mac: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    brand: str = Field(sa_type=String(32))
    shard: int = Field(sa_type=SmallInteger)
    pointer: bytes = Field(sa_type=LargeBinary(64))
    expires_at: int | None = Field(default=None, sa_type=BigInteger)  # replaced, and resolves until then
    created_at: int = Field(sa_type=BigInteger)


class Compartment(Row, table=True):
    """One subject's one category: the unit of keys, holds, retention and erasure."""

    __tablename__ = "compartment"
    __table_args__ = (CheckConstraint("state IN ('active', 'erasing')", name="state"), CLUSTERED)

    subject_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    category_id: int = Field(primary_key=True, sa_type=SmallInteger)
    shard: int = Field(sa_type=SmallInteger)
    slot: int = Field(sa_type=BigInteger)
    generation: int = Field(sa_type=BigInteger)
    writes: int = Field(sa_type=BigInteger)  # last value version given out in this compartment; only grows
    written_at: int = Field(sa_type=BigInteger)  # of the last write: retention and legal keeping count from it
    state: str = Field(sa_type=String(16))  # erasing: sealed and denied, until its leaf is destroyed


class FieldValue(Row, table=True):
    """One sealed value. Rows are never rewritten: a new value is a new version, the old one loses `current`."""

    __tablename__ = "field_value"
    __table_args__: ClassVar = CLUSTERED

    subject_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    category_id: int = Field(primary_key=True, sa_type=SmallInteger)
    field_id: int = Field(primary_key=True, sa_type=SmallInteger)
    item: int = Field(
        primary_key=True, sa_type=BigInteger
    )  # 0 for single fields; first version for list items, entries
    version: int = Field(primary_key=True, sa_type=BigInteger)
    shard: int = Field(sa_type=SmallInteger)
    holder: str = Field(sa_type=String(32))  # the brand that recorded it
    current: bool
    schema_version: int = Field(sa_type=SmallInteger)
    envelope: bytes = Field(sa_type=LargeBinary)


class SearchToken(Row, table=True):
    """A blind index entry: HMAC per brand, field and normaliser version, under the index key of an epoch."""

    __tablename__ = "search_token"
    # By the value it stands for and not by itself: an epoch moves every token, and then the rows stay where they are.
    __table_args__ = (Index(None, "token"), CLUSTERED)

    subject_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    brand: str = Field(primary_key=True, sa_type=String(32))
    field_id: int = Field(primary_key=True, sa_type=SmallInteger)
    item: int = Field(primary_key=True, sa_type=BigInteger)
    shard: int = Field(sa_type=SmallInteger)
    token: bytes = Field(sa_type=LargeBinary(16))
    epoch: int = Field(sa_type=BigInteger)


class ConsentEvent(Row, table=True):
    """One consent event, append-only, chained by hash per subject and brand."""

    __tablename__ = "consent_event"
    __table_args__ = (
        CheckConstraint(
            "state IN ('requested', 'refused', 'given', 'renewed', 'withdrawn', 'expired', 'invalidated', 'objected', "
            "'objection_lifted', 'established', 'ended')",
            name="state",
        ),
        CheckConstraint("record IN (1, 2)", name="record"),
        CheckConstraint("actor IN ('self', 'guardian', 'agent', 'system')", name="actor"),
        Index(None, "subject_id", "brand", "purpose"),
    )

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    shard: int = Field(sa_type=SmallInteger)
    subject_id: bytes = Field(sa_type=LargeBinary(16))
    brand: str = Field(sa_type=String(32))
    purpose: str = Field(sa_type=String(64))
    purpose_version: int = Field(sa_type=SmallInteger)
    state: str = Field(sa_type=String(24))
    basis: str = Field(sa_type=String(32))
    jurisdiction: str = Field(sa_type=String(8))
    notice: str = Field(sa_type=String(64))
    notice_version: int = Field(sa_type=SmallInteger)
    notice_language: str = Field(sa_type=String(8))
    notice_hash: bytes = Field(sa_type=LargeBinary(32))
    channel: str = Field(sa_type=String(24))
    place: str = Field(sa_type=String(64))
    collector: str = Field(sa_type=String(64))
    system_id: str = Field(sa_type=String(64))
    event_at: int = Field(sa_type=BigInteger)
    recorded_at: int = Field(sa_type=BigInteger)
    valid_until: int | None = Field(default=None, sa_type=BigInteger)
    record: int = Field(sa_type=SmallInteger)  # 1: events that know nothing of the columns from here on
    method: str = Field(sa_type=String(16))
    explicit: bool
    actor: str = Field(sa_type=String(16))
    source: str = Field(sa_type=String(16))  # what brought it about: the person, a browser's signal, a rule
    evidence_hash: bytes = Field(sa_type=LargeBinary(32))  # SHA-256 of what the brand keeps as proof; zeros: nothing
    recipients: str = Field(sa_type=Text)  # space separated, as named to the person
    points: str = Field(sa_type=Text)  # space separated field:version of the contact points it is about
    previous_hash: bytes = Field(sa_type=LargeBinary(32))
    hash: bytes = Field(sa_type=LargeBinary(32))


class ConsentState(Row, table=True):
    """The projection of the events: what holds now for (subject, brand, purpose). `epoch` steps at each event."""

    __tablename__ = "consent_state"
    __table_args__ = (
        CheckConstraint(
            "state IN ('none', 'requested', 'refused', 'given', 'guarded', 'withdrawn', 'objected', 'expired', "
            "'needs_renewal', 'invalidated', 'ended')",
            name="state",
        ),
        CLUSTERED,
    )

    subject_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    brand: str = Field(primary_key=True, sa_type=String(32))
    purpose: str = Field(primary_key=True, sa_type=String(64))
    shard: int = Field(sa_type=SmallInteger)
    state: str = Field(sa_type=String(16))
    since_at: int = Field(sa_type=BigInteger)
    until_at: int | None = Field(default=None, sa_type=BigInteger)
    epoch: int = Field(sa_type=BigInteger)
    event_id: bytes = Field(sa_type=LargeBinary(16))
    notice_version: int = Field(sa_type=SmallInteger)  # of the text that what stands was given to
    points: str = Field(sa_type=Text)  # contact points that it covers, where the purpose has a channel


class ContactActivity(Row, table=True):
    """When a person last made contact with a brand, and in which way."""

    __tablename__ = "contact_activity"
    __table_args__: ClassVar = CLUSTERED

    subject_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    brand: str = Field(primary_key=True, sa_type=String(32))
    shard: int = Field(sa_type=SmallInteger)
    last_at: int = Field(sa_type=BigInteger)
    kind: str = Field(sa_type=String(16))


class GuardianLink(Row, table=True):
    """Who may consent for a minor at a brand. `due_at`: since when a review waits, because the minor came of age."""

    __tablename__ = "guardian_link"
    __table_args__ = (Index(None, "subject_id"), Index(None, "guardian_id"))

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    shard: int = Field(sa_type=SmallInteger)
    subject_id: bytes = Field(sa_type=LargeBinary(16))  # the minor
    guardian_id: bytes = Field(sa_type=LargeBinary(16))
    brand: str = Field(sa_type=String(32))
    proof: str = Field(sa_type=String(32))
    proof_hash: bytes = Field(sa_type=LargeBinary(32))
    of_age_sealed: bytes = Field(sa_type=LargeBinary(64))  # sealed: a birth date by another name
    system_id: str = Field(sa_type=String(64))
    linked_at: int = Field(sa_type=BigInteger)
    due_at: int | None = Field(default=None, sa_type=BigInteger)
    ended_at: int | None = Field(default=None, sa_type=BigInteger)


class System(Row, table=True):
    """An OAuth client of a brand."""

    __tablename__ = "system"
    __table_args__ = (CheckConstraint("status IN ('active', 'disabled')", name="status"),)

    id: str = Field(primary_key=True, sa_type=String(64))
    brand: str = Field(sa_type=String(32))
    name: str = Field(sa_type=String(128))
    status: str = Field(sa_type=String(16))
    epoch: int = Field(sa_type=BigInteger)
    jwks: str = Field(sa_type=Text)  # public keys only
    scopes: str = Field(sa_type=Text)  # space separated
    purposes: str = Field(sa_type=Text)  # space separated purpose keys this system is registered for
    brands: str = Field(sa_type=Text)  # space separated: brands it may import for (its own is always among them)
    budgets: str = Field(sa_type=Text)  # limits and raises as JSON
    networks: str = Field(sa_type=Text)  # space separated networks it may call from; empty: any
    created_at: int = Field(sa_type=BigInteger)


class AccessToken(Row, table=True):
    """An opaque access token, stored as SHA-256 of its bytes."""

    __tablename__ = "access_token"
    __table_args__ = (
        CheckConstraint("kind IN ('service', 'disclosure')", name="kind"),
        Index(None, "expires_at"),
        Index(None, "system_id"),
        CLUSTERED,
    )

    hash: bytes = Field(primary_key=True, sa_type=LargeBinary(32))
    kind: str = Field(sa_type=String(16))
    system_id: str = Field(sa_type=String(64))
    system_epoch: int = Field(sa_type=BigInteger)
    jkt: str = Field(sa_type=String(43))
    scope: str = Field(sa_type=Text)
    purpose: str = Field(sa_type=String(64))  # empty for service tokens
    detail: str = Field(sa_type=Text)  # the granted entry as JSON, without subjects; empty for service tokens
    policy_hash: bytes = Field(sa_type=LargeBinary(32))
    issued_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)
    revoked: bool
    parent: bytes | None = Field(default=None, sa_type=LargeBinary(32))  # the token that this one narrows (RFC 8693)
    actors: str | None = Field(default=None, sa_type=Text)  # space separated systems it came through, the first first
    x5t: str | None = Field(default=None, sa_type=String(43))  # SHA-256 of the certificate it is bound to (RFC 8705)


class TokenSubject(Row, table=True):
    """A subject that a disclosure token names, the epochs it was granted under, and the uses left for it."""

    __tablename__ = "token_subject"
    __table_args__ = (CheckConstraint("uses_left >= 0", name="uses_left"), CLUSTERED)

    token_hash: bytes = Field(primary_key=True, sa_type=LargeBinary(32))
    subject_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    shard: int = Field(sa_type=SmallInteger)
    subject_epoch: int = Field(sa_type=BigInteger)
    consent_epoch: int = Field(sa_type=BigInteger)
    uses_left: int


class SeenProof(Row, table=True):
    """Hash of a DPoP proof or client assertion already used; kept until it could no longer be accepted anyway."""

    __tablename__ = "seen_proof"
    __table_args__ = (Index(None, "expires_at"), CLUSTERED)

    hash: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    expires_at: int = Field(sa_type=BigInteger)


class IdempotentRequest(Row, table=True):
    """A write already asked for under an Idempotency-Key: keyed hashes and the outcome's reference, never a body."""

    __tablename__ = "idempotent_request"
    __table_args__ = (
        CheckConstraint("status >= 100 AND status < 600", name="status"),
        Index(None, "expires_at"),
        CLUSTERED,
    )

    system_id: str = Field(primary_key=True, sa_type=String(64))
    key_mac: bytes = Field(primary_key=True, sa_type=LargeBinary(32))
    request_mac: bytes = Field(sa_type=LargeBinary(32))
    status: int = Field(sa_type=SmallInteger)
    outcome: bytes = Field(sa_type=LargeBinary)  # sealed: reference and version, nothing else
    expires_at: int = Field(sa_type=BigInteger)


class ImportRow(Row, table=True):
    """One row of a resumable import that has been taken in (or refused), by keyed hash of the caller's row reference."""

    __tablename__ = "import_row"
    __table_args__ = (Index(None, "expires_at"), CLUSTERED)

    import_mac: bytes = Field(primary_key=True, sa_type=LargeBinary(16))  # of (system, Idempotency-Key)
    row_mac: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    content_mac: bytes = Field(sa_type=LargeBinary(16))
    outcome: bytes = Field(sa_type=LargeBinary)  # sealed: status, code, reference
    expires_at: int = Field(sa_type=BigInteger)


class Officer(Row, table=True):
    """A person who logs in: compliance, auditor, operator or approver."""

    __tablename__ = "officer"
    __table_args__ = (
        CheckConstraint("role IN ('compliance', 'auditor', 'operator', 'approver')", name="role"),
        CheckConstraint("status IN ('active', 'disabled')", name="status"),
    )

    id: str = Field(primary_key=True, sa_type=String(64))
    role: str = Field(sa_type=String(16))
    status: str = Field(sa_type=String(16))
    password_hash: str = Field(sa_type=String(255))  # argon2id
    created_at: int = Field(sa_type=BigInteger)


class OfficerKey(Row, table=True):
    """A public key with which an officer signs: the newest that is not retired is the one in use."""

    __tablename__ = "officer_key"
    __table_args__ = (Index(None, "officer_id"),)

    fingerprint: str = Field(primary_key=True, sa_type=String(64))  # SHA-256 of the key as stored, hexadecimal
    officer_id: str = Field(sa_type=String(64))
    public_key: bytes = Field(sa_type=LargeBinary)  # SubjectPublicKeyInfo, DER
    added_at: int = Field(sa_type=BigInteger)
    retired_at: int | None = Field(default=None, sa_type=BigInteger)


class PolicyVersion(Row, table=True):
    """A policy bundle as it was proposed, and how far it has come. At most one is in force."""

    __tablename__ = "policy_version"
    __table_args__ = (
        CheckConstraint("state IN ('draft', 'approved', 'active', 'retired', 'refused')", name="state"),
        Index(
            "ix_policy_version_active",
            "state",
            unique=True,
            sqlite_where=text("state = 'active'"),
            postgresql_where=text("state = 'active'"),
        ),
    )

    number: int = Field(primary_key=True, sa_type=BigInteger)
    hash: bytes = Field(sa_type=LargeBinary(32))
    name: str = Field(sa_type=String(64))
    content: bytes = Field(sa_type=LargeBinary)  # policies.bundle.pack
    state: str = Field(sa_type=String(16))
    proposed_at: int = Field(sa_type=BigInteger)
    changed_at: int = Field(sa_type=BigInteger)  # of the last change of state


class PolicySignature(Row, table=True):
    """An officer's signature over a policy version, as its author or as its approver."""

    __tablename__ = "policy_signature"
    __table_args__ = (CheckConstraint("role IN ('author', 'approver')", name="role"),)

    number: int = Field(primary_key=True, sa_type=BigInteger)
    role: str = Field(primary_key=True, sa_type=String(16))
    officer_id: str = Field(sa_type=String(64))
    fingerprint: str = Field(sa_type=String(64))
    signature: bytes = Field(sa_type=LargeBinary)
    signed_at: int = Field(sa_type=BigInteger)


class CensusRun(Row, table=True):
    """A count of who shares which generalised value: under way, or finished and in use until the next."""

    __tablename__ = "census_run"

    number: int = Field(primary_key=True, sa_type=BigInteger)
    started_at: int = Field(sa_type=BigInteger)
    touched_at: int = Field(sa_type=BigInteger)  # grows while it is under way; who stops touching it has died
    finished_at: int | None = Field(default=None, sa_type=BigInteger)
    log_size: int = Field(sa_type=BigInteger)  # of all shards when it began: how much happened since


class CensusGroup(Row, table=True):
    """So many subjects share one value in one brand's view. Groups below the least that matters are not kept."""

    __tablename__ = "census_group"
    __table_args__ = (CheckConstraint("subjects >= 20", name="subjects"), CLUSTERED)

    number: int = Field(primary_key=True, sa_type=BigInteger)
    bucket: bytes = Field(primary_key=True, sa_type=LargeBinary(16))  # keyed hash of brand, field and value
    subjects: int = Field(sa_type=BigInteger)  # rounded down


class BreakGlassCase(Row, table=True):
    """What an officer asked to see of one person in an emergency, and how it went on. Names nobody in clear."""

    __tablename__ = "break_glass_case"
    __table_args__ = (CheckConstraint("state IN ('asked', 'approved', 'refused', 'reviewed')", name="state"),)

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    state: str = Field(sa_type=String(16))
    brand: str = Field(sa_type=String(32))
    fields: str = Field(sa_type=Text)  # [[name, level, predicate], …]
    bearer: str = Field(sa_type=String(64))  # the officer who may look
    minutes: int = Field(sa_type=SmallInteger)
    digest: bytes = Field(sa_type=LargeBinary(32))  # of all that was asked, sealed parts included: random enough
    sealed: bytes = Field(sa_type=LargeBinary)  # reference and reason
    signatures: str = Field(sa_type=Text)  # {step: [officer, key, signature]}
    asked_at: int = Field(sa_type=BigInteger)
    expires_at: int | None = Field(default=None, sa_type=BigInteger)
    disclosures: int
    finding: str = Field(sa_type=String(16))


class Hold(Row, table=True):
    """Something that forbids the destruction of a subject's data: placed, and perhaps released, by somebody."""

    __tablename__ = "hold"
    __table_args__ = (Index(None, "subject_id"),)

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    shard: int = Field(sa_type=SmallInteger)
    subject_id: bytes = Field(sa_type=LargeBinary(16))
    category_id: int = Field(sa_type=SmallInteger)  # 0: every category
    reason: str = Field(sa_type=String(32))  # a code, never prose
    placed_by: str = Field(sa_type=String(64))
    placed_at: int = Field(sa_type=BigInteger)
    released_by: str | None = Field(default=None, sa_type=String(64))
    released_at: int | None = Field(default=None, sa_type=BigInteger)


class Erasure(Row, table=True):
    """An erasure: asked for, carried out as far as holds and law allow, certified. Outlives what it erased."""

    __tablename__ = "erasure"
    __table_args__ = (
        CheckConstraint("scope IN ('subject', 'category', 'field')", name="scope"),
        CheckConstraint("state IN ('requested', 'partial', 'done')", name="state"),
        Index(None, "subject_id"),
        Index(None, "state"),
    )

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    shard: int = Field(sa_type=SmallInteger)
    subject_id: bytes | None = Field(default=None, sa_type=LargeBinary(16))  # forgotten with the whole subject
    scope: str = Field(sa_type=String(16))
    category_id: int = Field(sa_type=SmallInteger)  # 0: the whole subject
    field_id: int = Field(sa_type=SmallInteger)  # 0 unless the scope is a field
    through: int = Field(sa_type=BigInteger)  # of a field: versions up to this one
    cause: str = Field(sa_type=String(16))
    requested_by: str = Field(sa_type=String(64))
    requested_at: int = Field(sa_type=BigInteger)
    commitment: bytes = Field(sa_type=LargeBinary(32))  # to the log key, for the last entry: the key is gone by then
    state: str = Field(sa_type=String(16))
    epoch: int | None = Field(default=None, sa_type=BigInteger)  # the last one whose destruction carried it out
    entry_id: bytes | None = Field(default=None, sa_type=LargeBinary(16))  # that says so
    certificate: str | None = Field(default=None, sa_type=Text)


class ErasureLeaf(Row, table=True):
    """A leaf key that an erasure destroys: queued, kept for a hold or by law, or destroyed."""

    __tablename__ = "erasure_leaf"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'kept', 'destroyed')", name="state"),
        Index(None, "state"),
        CLUSTERED,
    )

    erasure_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    slot: int = Field(primary_key=True, sa_type=BigInteger)
    generation: int = Field(primary_key=True, sa_type=BigInteger)
    category_id: int = Field(sa_type=SmallInteger)  # 0: the leaf of the subject's log key
    state: str = Field(sa_type=String(16))


class Restoration(Row, table=True):
    """A backup brought back: how far the work has come that must be done before anybody is served from it."""

    __tablename__ = "restoration"
    __table_args__ = (CheckConstraint("phase IN ('leaves', 'index', 'log', 'done')", name="phase"),)

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    phase: str = Field(sa_type=String(16))
    after: bytes = Field(sa_type=LargeBinary(16))  # the last subject that this phase has dealt with
    begun_at: int = Field(sa_type=BigInteger)
    finished_at: int | None = Field(default=None, sa_type=BigInteger)
    subjects: int = Field(sa_type=BigInteger)  # erased again
    compartments: int = Field(sa_type=BigInteger)  # erased again, of subjects that are not
    indexed: int = Field(sa_type=BigInteger)  # search tokens made anew


class LeftLeaf(Row, table=True):
    """A leaf that a compartment has left, noted in the same unit, until it is queued for destruction."""

    __tablename__ = "left_leaf"
    __table_args__: ClassVar = CLUSTERED

    slot: int = Field(primary_key=True, sa_type=BigInteger)
    generation: int = Field(primary_key=True, sa_type=BigInteger)


class EventEndpoint(Row, table=True):
    """Where a system is told of events."""

    __tablename__ = "event_endpoint"

    system_id: str = Field(primary_key=True, sa_type=String(64))
    url: str = Field(sa_type=String(512))
    created_at: int = Field(sa_type=BigInteger)


class OutgoingEvent(Row, table=True):
    """Something a system is to be told, until it has acknowledged; afterwards the ledger's line that it has."""

    __tablename__ = "outgoing_event"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'acknowledged')", name="state"),
        Index(None, "state", "next_at"),
        CLUSTERED,
    )

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    shard: int = Field(sa_type=SmallInteger)
    system_id: str = Field(sa_type=String(64))
    kind: str = Field(sa_type=String(32))
    payload: bytes = Field(sa_type=LargeBinary)  # sealed: reference and detail; empty once acknowledged
    state: str = Field(sa_type=String(16))
    created_at: int = Field(sa_type=BigInteger)
    next_at: int = Field(sa_type=BigInteger)
    attempts: int
    problem: str = Field(sa_type=String(32))  # of the last attempt, a code
    acknowledged_at: int | None = Field(default=None, sa_type=BigInteger)


class BudgetMark(Row, table=True):
    """One person on one meter, under a hash of both: when they were looked at last, and what was shown (a hash)."""

    __tablename__ = "budget_mark"
    __table_args__ = (Index(None, "at"), CLUSTERED)

    mark: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    meter: bytes = Field(sa_type=LargeBinary(16))
    at: int = Field(sa_type=BigInteger)
    previous_at: int = Field(sa_type=BigInteger)  # before the last look; -1: never
    shape: int = Field(sa_type=BigInteger)
    previous_shape: int = Field(sa_type=BigInteger)


class BudgetMeter(Row, table=True):
    """What one meter counts in the windows that `at` lies in."""

    __tablename__ = "budget_meter"
    __table_args__: ClassVar = CLUSTERED

    meter: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    at: int = Field(sa_type=BigInteger)
    people_second: int = Field(sa_type=BigInteger)
    people_minute: int = Field(sa_type=BigInteger)
    people_hour: int = Field(sa_type=BigInteger)
    people_day: int = Field(sa_type=BigInteger)
    weight_second: int = Field(sa_type=BigInteger)
    weight_minute: int = Field(sa_type=BigInteger)
    weight_hour: int = Field(sa_type=BigInteger)
    weight_day: int = Field(sa_type=BigInteger)


class BudgetRaise(Row, table=True):
    """A higher budget that one officer asked for, for a time, and that another approved or not."""

    __tablename__ = "budget_raise"
    __table_args__ = (
        CheckConstraint("state IN ('proposed', 'approved', 'withdrawn')", name="state"),
        CheckConstraint("approved_by IS NULL OR approved_by <> proposed_by", name="two_officers"),
        Index(None, "system_id"),
    )

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(8))
    system_id: str = Field(sa_type=String(64))
    limits: str = Field(sa_type=Text)  # space separated
    seconds: int = Field(sa_type=BigInteger)  # how long, from the approval
    state: str = Field(sa_type=String(16))
    proposed_by: str = Field(sa_type=String(64))
    proposed_at: int = Field(sa_type=BigInteger)
    approved_by: str | None = Field(default=None, sa_type=String(64))
    approved_at: int | None = Field(default=None, sa_type=BigInteger)
    until_at: int | None = Field(default=None, sa_type=BigInteger)


class Errand(Row, table=True):
    """Work by the clock that one process of all does: when it is due next."""

    __tablename__ = "errand"

    name: str = Field(primary_key=True, sa_type=String(32))
    due_at: int = Field(sa_type=BigInteger)


class Signer(Row, table=True):
    """A key that signs what travels as JSON Web Signatures, sealed by the key service. Retired ones stay published."""

    __tablename__ = "signer"
    __table_args__ = (CheckConstraint("purpose IN ('attestation')", name="purpose"), CLUSTERED)

    kid: str = Field(primary_key=True, sa_type=String(43))  # RFC 7638 thumbprint
    purpose: str = Field(sa_type=String(16))
    public: bytes = Field(sa_type=LargeBinary(32))
    sealed: bytes = Field(sa_type=LargeBinary(48))
    created_at: int = Field(sa_type=BigInteger)
    until_at: int | None = Field(default=None, sa_type=BigInteger)  # published until then, signs no more


class Attestation(Row, table=True):
    """An attestation given out: its place in a status list, and the epochs it stands by. Gone when it has expired."""

    __tablename__ = "attestation"
    __table_args__ = (Index(None, "expires_at"), CLUSTERED)

    list: str = Field(primary_key=True, sa_type=String(32))
    place: int = Field(primary_key=True, sa_type=BigInteger)
    shard: int = Field(sa_type=SmallInteger)
    subject_id: bytes = Field(sa_type=LargeBinary(16))
    brand: str = Field(sa_type=String(32))
    purpose: str = Field(sa_type=String(64))
    system_id: str = Field(sa_type=String(64))
    system_epoch: int = Field(sa_type=BigInteger)
    subject_epoch: int = Field(sa_type=BigInteger)
    consent_epoch: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)


class PredicateDay(Row, table=True):
    """Which predicates one system asked about one subject on one day."""

    __tablename__ = "predicate_day"
    __table_args__ = (Index(None, "expires_at"), CLUSTERED)

    subject_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    system_id: str = Field(primary_key=True, sa_type=String(64))
    day: int = Field(primary_key=True, sa_type=BigInteger)  # since 1970
    shard: int = Field(sa_type=SmallInteger)
    asked: str = Field(sa_type=Text)  # space separated `field.predicate`
    expires_at: int = Field(sa_type=BigInteger)


class BrandJoin(Row, table=True):
    """References of one brand that two officers let be told as another brand's: asked for by one, approved by another."""

    __tablename__ = "brand_join"
    __table_args__ = (
        CheckConstraint("state IN ('proposed', 'approved', 'withdrawn')", name="state"),
        CheckConstraint("approved_by IS NULL OR approved_by <> proposed_by", name="two_officers"),
        CheckConstraint("brand <> other", name="two_brands"),
    )

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(8))
    brand: str = Field(sa_type=String(32))
    other: str = Field(sa_type=String(32))
    reason: str = Field(sa_type=String(32))  # a code, never prose
    named: bytes = Field(sa_type=LargeBinary)  # sealed: the references, separated by spaces
    count: int
    state: str = Field(sa_type=String(16))
    proposed_by: str = Field(sa_type=String(64))
    proposed_at: int = Field(sa_type=BigInteger)
    approved_by: str | None = Field(default=None, sa_type=String(64))
    approved_at: int | None = Field(default=None, sa_type=BigInteger)
