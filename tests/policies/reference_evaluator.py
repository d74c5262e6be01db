"""A second decision engine, slow and plain: it reads the bundle's files itself and knows nothing of `policies`.

Rules are interpreted from Cedar's JSON form by the few operators the bundle uses; anything else raises, so that a new
operator in a rule is added here deliberately. Where the shipped engine and this one differ, one of them is wrong.
"""

import json
import tomllib

import cedarpy

LEVELS = ["presence", "predicate", "generalised", "masked", "raw"]
UNSTOPPABLE = {"legal_obligation", "legal_claims", "vital_interest"}
CONSENT = {"consent", "explicit_consent"}


class Reference:
    """Decides one field at a time. `decide` returns the level granted, or None."""

    def __init__(self, files: dict[str, bytes]) -> None:
        catalogue = tomllib.loads(files["catalogue.toml"].decode())
        purposes = tomllib.loads(files["purposes.toml"].decode())
        self.purposes = purposes["purpose"]
        self.regions = {region: name for name, regions in purposes["jurisdictions"].items() for region in regions}
        self.fields = {
            name: {**field, "category": category, "special": table["sensitivity"] == "special" or "special" in field}
            for category, table in catalogue.items()
            for name, field in table["field"].items()
        }
        rules = json.loads(cedarpy.policies_to_json_str(files["access.cedar"].decode()))
        self.rules = list(rules["staticPolicies"].values())

    def decide(self, ask: dict) -> str | None:
        field, purpose = self.fields[ask["field"]], self.purposes[ask["purpose"]]
        place = self.regions.get(ask["region"], ask["region"])
        if not self.lawful(ask, field, place):
            return None
        offered = {"presence", "raw", *(level for level in ("generalised", "masked") if level in field)}
        if ask["level"] == "predicate":
            if ask["predicate"] not in field.get("predicates", {}):
                return None
            offered.add("predicate")
        ceiling = purpose.get("max_level", {}).get(field["category"])
        for level in reversed(LEVELS[: LEVELS.index(ask["level"]) + 1]):
            if level not in offered or ceiling is None or LEVELS.index(level) > LEVELS.index(ceiling):
                continue
            if self.rules_allow(ask, field, level, place):
                return level
        return None

    def basis(self, key: str, place: str) -> str:
        table = self.purposes[key]["basis"]
        return table.get(place, table["default"])

    def lawful(self, ask: dict, field: dict, place: str) -> bool:
        basis = self.basis(ask["purpose"], place)
        if ask["erased"] or not ask["known"] or not ask["registered"] or basis == "heading":
            return False
        if place == "cn" and basis == "legitimate_interest":
            return False
        if ask["restricted"] and basis != "legal_claims":
            return False
        if ask["minor"] and basis in {*CONSENT, "legitimate_interest"} and not self.guarded(ask, basis):
            return False
        if field["special"] and basis not in {"legal_claims", "vital_interest"}:
            own = ask["consents"].get(ask["purpose"])
            if basis != "explicit_consent" or own != ("guarded" if ask["minor"] else "given"):
                return False
        return self.agreed(ask, place)

    def guarded(self, ask: dict, basis: str) -> bool:
        """Whether a guardian, and not the minor, agreed to something that is not marketing."""
        words = ask["purpose"].split(".")
        told = [ask["consents"].get(".".join(words[: length + 1])) for length in range(len(words))]
        return basis in CONSENT and words[0] != "marketing" and "guarded" in told and "given" not in told

    def agreed(self, ask: dict, place: str) -> bool:
        words = ask["purpose"].split(".")
        path = [".".join(words[: length + 1]) for length in range(len(words))]
        basis = self.basis(ask["purpose"], place)
        if basis != "legal_claims" and any(ask["consents"].get(key) == "ended" for key in path):
            return False
        if self.basis(ask["purpose"], place) in UNSTOPPABLE:
            return True
        if any(ask["consents"].get(key) in {"withdrawn", "objected"} for key in path):
            return False
        if any(ask["consents"].get(key) == "refused" and self.basis(key, place) not in CONSENT for key in path):
            return False
        return all(self.covered(key, path, ask, place) for key in path if self.basis(key, place) in CONSENT)

    def covered(self, key: str, path: list[str], ask: dict, place: str) -> bool:
        """Whether a node on the path has consent: its own, or the nearest consent-based one above, if that reaches it."""
        status = ask["consents"].get(key, "none")
        if status != "none":
            return status == "given" or (status == "guarded" and ask["minor"])
        above = [each for each in path[: path.index(key)] if self.basis(each, place) in CONSENT]
        separate = self.purposes[key].get("separate_consent", False)
        return bool(above) and not separate and self.covered(above[-1], path, ask, place)

    def rules_allow(self, ask: dict, field: dict, level: str, place: str) -> bool:
        basis = self.basis(ask["purpose"], place)
        world = {
            "principal": ("System", ask["system"]),
            "action": ("Action", level),
            "resource": ("Category", field["category"]),
            "brand": ask["brand"],
            "context": {
                "purpose": ("Purpose", ask["purpose"]),
                "basis": basis,
                "consented": basis in CONSENT and self.agreed(ask, place),
                "staffed": ask["staffed"],
                "region": place,
                "special": field["special"],
            },
        }
        effects = {rule["effect"] for rule in self.rules if matches(rule, world)}
        return effects == {"permit"}


def matches(rule: dict, world: dict) -> bool:
    for part in ("principal", "action", "resource"):
        scope = rule[part]
        if scope["op"] == "All":
            continue
        entities = scope["entities"] if "entities" in scope else [scope["entity"]]
        if not any(within(world[part], literal(entity), world) for entity in entities):
            return False
    return all(value(each["body"], world) is (each["kind"] == "when") for each in rule.get("conditions", []))


def literal(entity: dict) -> tuple[str, str]:
    return entity["type"], entity["id"]


def within(inner: tuple[str, str], outer: tuple[str, str], world: dict) -> bool:
    """Whether one entity is another or a descendant of it."""
    if inner == outer:
        return True
    kind, name = inner
    if kind != outer[0]:
        return kind == "System" and outer == ("Brand", world["brand"])
    if kind == "Purpose":
        return name.startswith(outer[1] + ".")
    if kind == "Action" and outer[1].startswith("up_to_"):
        return LEVELS.index(name) <= LEVELS.index(outer[1].removeprefix("up_to_"))
    return False


def value(node: dict, world: dict):
    ((operator, body),) = node.items()
    if operator == "&&":
        return value(body["left"], world) and value(body["right"], world)
    if operator == "||":
        return value(body["left"], world) or value(body["right"], world)
    if operator == "!":
        return not value(body["arg"], world)
    if operator == "==":
        return value(body["left"], world) == value(body["right"], world)
    if operator == "in":
        left, right = value(body["left"], world), value(body["right"], world)
        return any(within(left, each, world) for each in (right if isinstance(right, list) else [right]))
    if operator == ".":
        return value(body["left"], world)[body["attr"]]
    if operator == "Var":
        return world[body]
    if operator == "Set":
        return [value(each, world) for each in body]
    if operator == "Value":
        return literal(body["__entity"]) if isinstance(body, dict) else body
    raise NotImplementedError(operator)
