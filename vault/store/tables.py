"""Every table of the data database that the vault owns, for SQLite and PostgreSQL alike.

Tables are dumb rows: nothing validates on construction, so the services validate first and every invariant
stands here a second time as NOT NULL or CHECK. Times are whole UTC seconds since 1970 (`*_at`). Bytes are
ciphertext, keyed hashes or random identifiers; no column holds a personal value in clear. Each table that grows
carries `shard`, the hash of the subject, so that a later split by shard moves rows and changes no schema.

Defined in `vault.store.ddl`, a module per matter; every table is imported here, so that `metadata` knows them all.
"""

from vault.store.ddl.access import (
    AccessToken,
    Attestation,
    IdempotentRequest,
    SeenProof,
    Signer,
    System,
    TokenSubject,
)
from vault.store.ddl.budgets import BudgetMark, BudgetMeter, BudgetRaise, PredicateDay
from vault.store.ddl.consents import (
    ConsentEvent,
    ConsentState,
    ContactActivity,
    GuardianLink,
    Suppression,
    SuppressionKey,
)
from vault.store.ddl.deployment import Deployment, Errand, EventEndpoint, OutgoingEvent
from vault.store.ddl.erasures import Erasure, ErasureLeaf, Hold, LeftLeaf, Restoration, Restriction
from vault.store.ddl.governance import (
    BreakGlassCase,
    BundleUpload,
    CensusGroup,
    CensusRun,
    Officer,
    OfficerKey,
    OfficerSignature,
    PolicyVersion,
)
from vault.store.ddl.log import LogDetail
from vault.store.ddl.reports import ReportRun, SavedReport
from vault.store.ddl.requests import ContestedValue, IdentityCode, Letter, PackageLink, RequestStep, SubjectRequest
from vault.store.ddl.row import CLUSTERED, Row, metadata
from vault.store.ddl.signin import (
    OfficerCode,
    OfficerInvitation,
    OfficerNews,
    OfficerPasskey,
    OfficerSession,
    PortalSession,
)
from vault.store.ddl.subjects import (
    BrandJoin,
    Compartment,
    FieldValue,
    ImportRow,
    Reference,
    Relation,
    SearchToken,
    Subject,
)

__all__ = [
    "CLUSTERED",
    "AccessToken",
    "Attestation",
    "BrandJoin",
    "BreakGlassCase",
    "BudgetMark",
    "BudgetMeter",
    "BudgetRaise",
    "BundleUpload",
    "CensusGroup",
    "CensusRun",
    "Compartment",
    "ConsentEvent",
    "ConsentState",
    "ContactActivity",
    "ContestedValue",
    "Deployment",
    "Erasure",
    "ErasureLeaf",
    "Errand",
    "EventEndpoint",
    "FieldValue",
    "GuardianLink",
    "Hold",
    "IdempotentRequest",
    "IdentityCode",
    "ImportRow",
    "LeftLeaf",
    "Letter",
    "LogDetail",
    "Officer",
    "OfficerCode",
    "OfficerInvitation",
    "OfficerKey",
    "OfficerNews",
    "OfficerPasskey",
    "OfficerSession",
    "OfficerSignature",
    "OutgoingEvent",
    "PackageLink",
    "PolicyVersion",
    "PortalSession",
    "PredicateDay",
    "Reference",
    "Relation",
    "ReportRun",
    "RequestStep",
    "Restoration",
    "Restriction",
    "Row",
    "SavedReport",
    "SearchToken",
    "SeenProof",
    "Signer",
    "Subject",
    "SubjectRequest",
    "Suppression",
    "SuppressionKey",
    "System",
    "TokenSubject",
    "metadata",
]
