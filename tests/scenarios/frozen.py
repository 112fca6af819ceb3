"""When two inputs are the same value, said without tensorcache.

`frozen` is the oracle of the key: a typed, structural form. Two values are the same if and only if
their forms are equal, and so are the texts of the forms. It says what `tensorcache.key` promises,
in another way: no JSON, no tags.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal


def frozen(value):
    """A nested tuple of words, texts and ints."""
    if type(value).__module__ == "numpy":
        value = value.item()
    if isinstance(value, list | tuple):
        return ("list", *map(frozen, value))
    if isinstance(value, dict):
        return ("dict", *sorted((name, frozen(item)) for name, item in value.items()))
    if isinstance(value, set | frozenset):
        return ("set", *sorted((frozen(item) for item in value), key=repr))
    if isinstance(value, float):
        return ("float", value.hex())  # exact, with the sign of zero
    if isinstance(value, dt.datetime):
        offset = value.utcoffset()
        seconds = "naive" if offset is None else offset.total_seconds()
        return ("datetime", *value.timetuple()[:6], value.microsecond, seconds)
    if isinstance(value, dt.date):
        return ("date", *value.timetuple()[:3])
    if isinstance(value, Decimal):
        return ("decimal", *value.as_tuple())
    return (type(value).__name__, value)  # None, bool, int, str, bytes
