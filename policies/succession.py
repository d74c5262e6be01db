"""What a bundle may not change of the one before it: numbers that ciphertexts are bound to, and texts people were shown.

A field's number is part of every ciphertext and every search token, its type tells how a stored value reads, and a
consent stands on the exact text of its notice. To change one of them is to add another (policies.catalogue).
"""

from collections.abc import Iterator

from policies.bundle import Bundle
from policies.catalogue import Field


def succession_findings(old: Bundle, new: Bundle) -> tuple[str, ...]:
    """Return what `new` must not change of `old`, as sentences; empty for a bundle that may follow."""
    return (*_categories(old, new), *_fields(old, new), *_notices(old, new))


def _categories(old: Bundle, new: Bundle) -> Iterator[str]:
    before = {each.id: each for each in old.catalogue.categories}
    for category in new.catalogue.categories:
        was = before.get(category.id)
        if was is not None and was.name != category.name:
            yield f"category id {category.id} was `{was.name}`; `{category.name}` needs an id of its own"
        if was is not None and was.special and not category.special:
            yield f"category `{category.name}` is of a special kind in law; no file can make it ordinary"


def _fields(old: Bundle, new: Bundle) -> Iterator[str]:
    by_id = {each.id: each for each in old.catalogue.fields.values()}
    for field in new.catalogue.fields.values():
        was = by_id.get(field.id)
        if was is not None and _nature(was) != _nature(field):
            yield f"field id {field.id} is `{was.name}` ({was.type}, {was.kind}); a change of it is a new field"
        if was is not None and field.search not in {None, was.search}:
            # Values that are there are in no such index: a search would answer that nobody has them.
            yield f"field `{field.name}` was not searched by `{field.search}`; a field that is searched otherwise is a new field"
        named = old.catalogue.fields.get(field.name)
        if named is not None and named.id != field.id:
            yield f"field `{field.name}` has the id {named.id} and keeps it"
        if was is not None and was.special and not field.special:
            yield f"field `{field.name}` is of a special category; no file can make it ordinary"


def _nature(field: Field) -> tuple[object, ...]:
    return field.type, field.kind, field.category_id


def _notices(old: Bundle, new: Bundle) -> Iterator[str]:
    for (identifier, version, language), notice in new.notices.items():
        was = old.notices.get((identifier, version, language))
        if was is not None and was.hash != notice.hash:
            yield f"notices/{identifier}.{version}.{language}.md: was shown to people; another text is another version"
    for identifier, version, language in old.notices:
        if (identifier, version, language) not in new.notices:
            yield f"notices/{identifier}.{version}.{language}.md: was shown to people and stays"
