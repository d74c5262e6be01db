"""The bundle's Cedar rules, parsed once, asked per category and level.

Cedar skips a `forbid` whose condition raises an error and may then allow the request. So here: the schema is always
passed, and only an Allow without any error is an allow; every error, and a request Cedar cannot build, is a deny.
Parsing costs twenty times what deciding costs (reference study §5.1), hence the handles.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import cedarpy
from cedarpy import pst

from policies.catalogue import Catalogue
from policies.levels import Level
from policies.purposes import Purposes

# The engine's answers depend on this shape, so a bundle may print it for its readers but not change it.
SCHEMA = """
entity Brand;
entity System in [Brand];
entity Category;
entity Purpose in [Purpose];

type Circumstances = {
  purpose: Purpose,
  basis: String,
  consented: Bool,
  staffed: Bool,
  region: String,
  special: Bool,
};

action up_to_raw;
action up_to_masked in [up_to_raw];
action up_to_generalised in [up_to_masked];
action up_to_predicate in [up_to_generalised];
action up_to_presence in [up_to_predicate];

action raw in [up_to_raw] appliesTo { principal: [System], resource: [Category], context: Circumstances };
action masked in [up_to_masked] appliesTo { principal: [System], resource: [Category], context: Circumstances };
action generalised in [up_to_generalised] appliesTo { principal: [System], resource: [Category], context: Circumstances };
action predicate in [up_to_predicate] appliesTo { principal: [System], resource: [Category], context: Circumstances };
action presence in [up_to_presence] appliesTo { principal: [System], resource: [Category], context: Circumstances };
"""

RULES_ERROR = "rules.error"
_ANNOTATIONS = ("id", "title", "basis")
_MOST_CALLERS = 512


@dataclass(frozen=True, slots=True)
class Question:
    """One question to the rules. `jurisdiction` is the subject's, as the rules call a region."""

    system_id: str
    brand: str
    level: Level
    category: str
    purpose: str
    basis: str
    consented: bool
    staffed: bool
    jurisdiction: str
    special: bool

    def request(self) -> dict[str, Any]:
        """Return the question in Cedar's JSON form."""
        return {
            "principal": {"type": "System", "id": self.system_id},
            "action": {"type": "Action", "id": self.level.value},
            "resource": {"type": "Category", "id": self.category},
            "context": {
                "purpose": {"__entity": {"type": "Purpose", "id": self.purpose}},
                "basis": self.basis,
                "consented": self.consented,
                "staffed": self.staffed,
                "region": self.jurisdiction,
                "special": self.special,
            },
        }


@dataclass(frozen=True, slots=True)
class RuleAnswer:
    """Whether the rules allow, and the `@id`s that decided: permits, or forbids; none when no permit matched."""

    allowed: bool
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as its officer wrote it. `effect` is `permit` or `forbid`."""

    id: str
    title: str
    basis: str
    effect: str
    node: pst.Template = field(repr=False)


class Rules:
    """Parsed rules, schema and entities of one bundle. Immutable; safe to share between threads."""

    def __init__(self, rules: Mapping[str, Rule], policies: Any, catalogue: Catalogue, purposes: Purposes) -> None:
        self.rules = rules
        self._policies = policies
        self._schema = _schema()
        self._entities = cedarpy.Entities.from_json_str(json.dumps(_entities(catalogue, purposes)), self._schema)
        # the caller's own entity is added once per caller, not per question
        self._with_caller = lru_cache(_MOST_CALLERS)(self._add_caller)

    def ask(self, question: Question) -> RuleAnswer:
        """Decide one question. Denies on any error."""
        result = self.evaluate(question, self._policies)
        decided = result.diagnostics
        if result.decision is cedarpy.Decision.NoDecision or decided.errors:
            return RuleAnswer(allowed=False, ids=(RULES_ERROR,))
        ids = tuple(sorted(decided.id_annotations_by_reason.values()))
        return RuleAnswer(allowed=result.decision is cedarpy.Decision.Allow, ids=ids)

    def evaluate(self, question: Question, policies: Any) -> cedarpy.AuthzResult:
        """Ask other policies in the same world; `policies.explain` probes single conditions with it."""
        entities = self._with_caller(question.system_id, question.brand)
        return cedarpy.is_authorized(question.request(), policies, entities, self._schema)

    def _add_caller(self, system_id: str, brand: str) -> cedarpy.Entities:
        caller = [
            {
                "uid": {"type": "System", "id": system_id},
                "attrs": {},
                "parents": [{"type": "Brand", "id": brand}],
            },
            {"uid": {"type": "Brand", "id": brand}, "attrs": {}, "parents": []},
        ]
        return self._entities.with_added_json_str(json.dumps(caller), self._schema)


@lru_cache(1)
def _schema() -> cedarpy.Schema:
    return cedarpy.Schema.from_str(SCHEMA)


def _entities(catalogue: Catalogue, purposes: Purposes) -> list[dict[str, Any]]:
    categories = [
        {"uid": {"type": "Category", "id": each.name}, "attrs": {}, "parents": []} for each in catalogue.categories
    ]
    return categories + [
        {
            "uid": {"type": "Purpose", "id": each.key},
            "attrs": {},
            "parents": [{"type": "Purpose", "id": each.parent}] if each.parent else [],
        }
        for each in purposes.every
    ]


def read_rules(
    file: str, content: bytes, schema_file: str, schema_text: bytes, find: Callable[[str], None],
    catalogue: Catalogue, purposes: Purposes,
) -> Rules | None:  # fmt: skip
    """Parse and check the rules. Reports faults through `find`; None when they cannot be used at all."""
    try:
        if str(cedarpy.Schema.from_str(schema_text.decode("utf-8"))) != str(_schema()):
            find(f"{schema_file}: differs from the schema the engine asks with")
    except ValueError as error:
        find(f"{schema_file}: {error}")
    try:
        source = content.decode("utf-8")
        policies = cedarpy.PolicySet.from_str(source)
        nodes = policies.to_pst()
    except ValueError as error:
        find(f"{file}: {error}")
        return None
    for template in nodes.templates.values():
        find(f"{file}: `{template.annotations.get('id', template.id)}` is a template; write the rule out")
    rules: dict[str, Rule] = {}
    for node in nodes.static_policies.values():
        missing = [f"@{name}" for name in _ANNOTATIONS if not node.annotations.get(name)]
        identifier = node.annotations.get("id") or node.id
        if missing:
            find(f"{file}: rule `{identifier}` lacks {', '.join(missing)}")
        if identifier in rules:
            find(f"{file}: two rules have the @id `{identifier}`")
        if identifier.startswith(("floor.", "purpose.", "rules.", "catalogue.")):
            find(f"{file}: the @id `{identifier}` is reserved for the engine")
        rules[identifier] = Rule(
            identifier, node.annotations.get("title", ""), node.annotations.get("basis", ""), node.effect, node
        )
        _check_names(file, identifier, node, catalogue, purposes, find)
    checked = cedarpy.validate_policies(source, _schema())
    for fault in checked.errors:
        identifier = checked.id_annotations_by_policy_id.get(fault.policy_id, fault.policy_id)
        find(f"{file}: rule `{identifier}`: {fault.error}")
    return Rules(MappingProxyType(rules), policies, catalogue, purposes)


def _check_names(
    file: str,
    identifier: str,
    node: pst.Template,
    catalogue: Catalogue,
    purposes: Purposes,
    find: Callable[[str], None],
) -> None:
    """Report categories and purposes that do not exist: Cedar compares unknown names without a complaint."""
    known = {
        "Category": {each.name for each in catalogue.categories},
        "Purpose": {each.key for each in purposes.every},
    }
    for uid in pst.entity_uids(node):
        kind = str(uid.type)
        if kind in known and uid.id not in known[kind]:
            find(f"{file}: rule `{identifier}` names the unknown {kind.lower()} `{uid.id}`")
