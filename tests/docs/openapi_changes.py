"""What a change of the OpenAPI document breaks for callers who were written against the one before.

    python tests/docs/openapi_changes.py old.json new.json

prints each break and ends with 1 if there is one.
"""

import json
import sys
from pathlib import Path

JSON = "application/json"


def breaks(old, new):
    """Say what callers of `old` may meet in `new`: gone operations, codes and answers' members, newly needed parts."""
    found = []
    for path, methods in old["paths"].items():
        for method, before in methods.items():
            place = f"{method.upper()} {path}"
            after = new["paths"].get(path, {}).get(method)
            if after is None:
                found.append(f"gone: {place}")
                continue
            found += [f"needed now: {each} of {place}" for each in sorted(_needed(new, after) - _needed(old, before))]
            found += [
                f"gone: {each} in the answer of {place}" for each in sorted(_told(old, before) - _told(new, after))
            ]
    gone = _codes(old) - _codes(new)
    return found + [f"gone: code {each}" for each in sorted(gone)]


def _needed(document, operation):
    """Every parameter, and every member of the body however deep, that must be sent."""
    needed = {f"{each['in']} {each['name']}" for each in operation.get("parameters", ()) if each.get("required")}
    for content in operation.get("requestBody", {}).get("content", {}).values():
        needed |= _members(document, content.get("schema", {}), required=True)
    return needed


def _told(document, operation):
    told = set()
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            for content in answer.get("content", {}).values():
                told |= _members(document, content.get("schema", {}), required=False)
    return told


def _members(document, schema, *, required, prefix="", seen=()):
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name in seen:
            return set()
        schema, seen = document["components"]["schemas"][name], (*seen, name)
    found = set()
    for each in (*schema.get("allOf", ()), *(() if required else (*schema.get("anyOf", ()), *schema.get("oneOf", ())))):
        found |= _members(document, each, required=required, prefix=prefix, seen=seen)
    if "items" in schema:
        found |= _members(document, schema["items"], required=required, prefix=f"{prefix}[]", seen=seen)
    for name, each in schema.get("properties", {}).items():
        if not required or name in schema.get("required", ()):
            found.add(f"{prefix}.{name}")
            found |= _members(document, each, required=required, prefix=f"{prefix}.{name}", seen=seen)
    return found


def _codes(document):
    return set(
        document["components"]["schemas"].get("Problem", {}).get("properties", {}).get("code", {}).get("enum", ())
    )


if __name__ == "__main__":
    said = breaks(*(json.loads(Path(each).read_text("utf-8")) for each in sys.argv[1:3]))
    sys.stdout.write("".join(f"{each}\n" for each in said))
    sys.exit(bool(said))
