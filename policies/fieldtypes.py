"""The types of field values: what a value must look like to be stored, in one canonical form.

Every value that enters the vault passes `validate`. Its errors name the field and a stable reason, never the value:
a refused value is still somebody's. Foreign exceptions (of the phone, e-mail and ISO libraries) quote their input, so
none of them survives here, not even as the context of ours.
"""

from policies.catalogue import Field
from policies.errors import InvalidValue
from policies.recordtypes import RECORDS
from policies.scalartypes import LARGEST_VALUE, SCALARS, JsonValue, Unfit

__all__ = ["LARGEST_VALUE", "TYPES", "JsonValue", "validate"]

TYPES = {**SCALARS, **RECORDS}


def validate(field: Field, value: object) -> JsonValue:
    """Return the canonical form of one value (one item of a list or journal field), ready to be sealed.

    `value` is decoded JSON. Raises `InvalidValue` with the field's name and a reason; the value is nowhere in the
    error, its arguments, its cause or its context.
    """
    check = TYPES.get(field.type)
    reason = "unknown_type"
    if check is not None:
        try:
            return check(field, value)
        except Unfit as unfit:
            reason = unfit.reason
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError):
            reason = "malformed"
    # raised outside the handler, so that no foreign exception hangs on it as context
    raise InvalidValue(field.name, reason)
