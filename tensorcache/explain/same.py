"""Plain values, as stored: the same, or floats that are near enough."""

from __future__ import annotations

import functools
from typing import Any


def is_same(one: Any, other: Any, tolerance: float | None) -> bool:
    """Equal by exact type and value, at every depth; floats may differ by a tolerance."""
    if type(one) is not type(other):
        return False
    same = functools.partial(is_same, tolerance=tolerance)
    if type(one) is dict:
        alike = list(one) == list(other)
        return alike and all(map(same, (*one, *one.values()), (*other, *other.values())))
    if type(one) in (list, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if type(one) in (set, frozenset):
        return sorted(map(repr, one)) == sorted(map(repr, other))
    if repr(one) == repr(other):  # tells -0.0 from 0.0, and nan is nan
        return True
    return tolerance is not None and _is_float(one) and _are_near(one, other, tolerance)


def _is_float(value: Any) -> bool:
    """Whether it is a float or complex number, numpy's scalars among them."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    return type(value) in (float, complex) or kind in ("f", "c")


def _are_near(one: Any, other: Any, tolerance: float) -> bool:
    one, other = complex(one), complex(other)
    nan = one != one and other != other  # noqa: PLR0124 - NaN
    return bool(nan or one == other or abs(one - other) <= tolerance)
