"""The byte form of an entry, as one regular expression.

Entries are canonical JSON (RFC 8785) under a strict profile: closed set of keys in sorted order, strings of a token
alphabet that needs no escapes, whole numbers, nothing null, no spaces. Under that profile the language of valid
entries is regular, so one expression decides both questions at once, "is this our schema?" and "is this its one
spelling?", without a JSON parser in the verifier and without trusting that two parsers agree.

Standard library only: the verifier takes this file along when it is copied out.
"""

import re
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

SCHEMA_VERSION = 2
"""The newest. An entry bears the lowest version that has all its keys: 2 with any of `dc`, `stf`, `tok`, else 1."""
MAX_ENTRY = 4096  # bytes; tlog-tiles bundles would allow 65535
MAX_COUNT = (1 << 53) - 1  # the largest whole number every JSON reader keeps exact

TOKEN = r"[A-Za-z0-9._:@/-]{1,128}+"  # noqa: S105 - an alphabet
_NAMES = rf'"{TOKEN}"(?:,"{TOKEN}")*+'
_DIGEST = r"[0-9a-f]{64}"
_TIME = r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"

# In pieces, because one entry has much in common with the next: what stands before the id, and after it up to the first
# hash, is of few kinds, and `audit.reading` remembers those.
_HEAD = (
    r'\{"act":"(?P<act>[a-z]++\.[a-z]++(?:_[a-z]++)*+)"'
    rf',"actor":\{{"id":"{TOKEN}","k":"(?:officer|system|vault)"(?:,"via":"{TOKEN}")?\}}'
    rf'(?:,"bas":"{TOKEN}")?'
    rf'(?:,"com":"{_DIGEST}")?'
    rf'(?:,"dc":"(?P<dc>{_DIGEST})")?'
    rf'(?:,"fld":\[(?P<fld>{_NAMES})\])?'
)
_ID = r',"id":"(?P<id>[0-9a-f]{32})"'
_MIDDLE = (
    r'(?:,"n":(?P<n>0|[1-9][0-9]{0,15}))?'
    r',"out":"(?:allow|deny|error)"'
    rf'(?:,"pol":\[(?P<pol>{_NAMES})\])?'
    rf'(?:,"pur":"{TOKEN}")?'
)
_TAIL = (
    r'(?:,"req":"[0-9a-f]{32}(?:[0-9a-f]{32})?")?'
    rf'(?:,"sref":"{_DIGEST}")?'
    r'(?:,"stf":"(?P<stf>[0-9a-f]{32})")?'
    rf',"t":"(?P<t>{_TIME})"'
    r'(?:,"tok":"(?P<tok>[0-9a-f]{32})")?'
    r',"v":(?P<v>[12])\}'
)
_ENTRY = re.compile((_HEAD + _ID + _MIDDLE + _TAIL).encode())
ID_MARK = b',"id":"'
"""What ends the piece before the id. In an entry it stands once: no token holds a quote, and an actor's id no comma before it."""
FROM_ID = re.compile((r',"id":"[0-9a-f]{32}"(?P<middle>' + re.sub(r"\?P<\w+>", "?:", _MIDDLE) + ")" + _TAIL).encode())
"""The grammar from there on; groups: the members up to the first hash, `stf`, `t`, `tok`, `v`. Lists may not be sets yet."""


class Form(NamedTuple):
    """What the verifier needs of a well-formed entry: act, 32 hex digits of the id, and the time as text."""

    act: bytes
    id: bytes
    t: bytes


def read_form(body: bytes) -> Form | None:
    """Return the form of an entry, or None if the bytes are not the one spelling of an entry of this schema."""
    if len(body) > MAX_ENTRY or (match := _ENTRY.fullmatch(body)) is None:
        return None
    act, commitment, fields, identifier, count, policies, staff, time, token, version = match.groups()
    if (version == b"1") != (commitment is staff is token is None):
        return None
    if fields is not None and not _ascending(fields):
        return None
    if policies is not None and not _ascending(policies):
        return None
    if count is not None and int(count) > MAX_COUNT:
        return None
    return Form(act, identifier, time)


@lru_cache(maxsize=1024)
def _ascending(names: bytes) -> bool:
    """Tell whether a list is strictly ascending: lists are sets, order carries nothing, one set has one spelling."""
    items = names[1:-1].split(b'","')
    return all(left < right for left, right in pairwise(items))
