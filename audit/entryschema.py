"""The schema of entries for readers without our code: JSON Schema 2020-12, made from the grammar that the verifier uses."""

from typing import Any, Final

from audit.entry import Act, ActorKind, Outcome
from audit.grammar import MAX_COUNT, SCHEMA_VERSION, TOKEN

_WORD: Final = {"type": "string", "pattern": f"^{TOKEN.replace('}+', '}')}$"}
_NAMES: Final = {"type": "array", "items": _WORD, "minItems": 1, "uniqueItems": True}


def entry_schema() -> dict[str, Any]:
    """Return the schema. What it cannot say: lists ascend, keys stand in order, there are no spaces."""
    digest = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
    mark = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
    actor = {
        "type": "object",
        "properties": {"id": _WORD, "k": {"enum": [each.value for each in ActorKind]}, "via": _WORD},
        "required": ["id", "k"],
        "additionalProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Ecrin audit entry",
        "type": "object",
        "properties": {
            "act": {"enum": [each.value for each in Act], "description": "what was done"},
            "actor": actor | {"description": "who did it, and through which client"},
            "bas": _WORD | {"description": "legal basis"},
            "com": digest | {"description": "commitment to a subject's log key; the root before, in log.succession"},
            "dc": digest | {"description": "salted commitment to a detail kept beside the entry, erasable"},
            "fld": _NAMES | {"description": "fields, with the level given out"},
            "id": {"type": "string", "pattern": "^[0-9a-f]{32}$", "description": "random"},
            "n": {"type": "integer", "minimum": 0, "maximum": MAX_COUNT, "description": "records of a bulk act"},
            "out": {"enum": [each.value for each in Outcome], "description": "how it ended"},
            "pol": _NAMES | {"description": "rules that decided, and what else names the act"},
            "pur": _WORD | {"description": "purpose"},
            "req": {
                "type": "string",
                "pattern": "^(?:[0-9a-f]{32}){1,2}$",
                "description": "keyed hash of the request id",
            },
            "sref": digest | {"description": "the subject's pseudonym in this entry alone"},
            "stf": mark | {"description": "the member of the brand's staff behind it, veiled in this entry alone"},
            "t": {"type": "string", "format": "date-time", "description": "UTC, whole seconds"},
            "tok": mark | {"description": "the token behind it, in this entry alone"},
            "v": {"enum": [1, SCHEMA_VERSION], "description": "the lowest that has all the keys"},
        },
        "required": ["act", "actor", "id", "out", "t", "v"],
        "if": {"anyOf": [{"required": [key]} for key in ("dc", "stf", "tok")]},
        "then": {"properties": {"v": {"const": SCHEMA_VERSION}}},
        "else": {"properties": {"v": {"const": 1}}},
        "additionalProperties": False,
    }
