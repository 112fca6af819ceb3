"""Shadow: what building a hit again found."""

from __future__ import annotations

from typing import NamedTuple

from tensorcache.explain.contents import Compared
from tensorcache.explain.difference import cut

_MOST = 8  # differences in one line
_REMEDY = (
    "what it depends on must be in its key, so look for hash(), the clock, the environment, seeds; "
    "then build anew with refresh=True"
)


class Shadow(NamedTuple):
    """What a hit gives where it is built again, beside what is stored.

    Of `differences` the old side is the stored one. `seconds` went into building and comparing.
    `error` is what kept them from being compared, mostly what the builder raised; else "".
    """

    is_same: bool
    differences: tuple[Compared, ...]
    seconds: float
    error: str = ""

    def __str__(self) -> str:
        if self.error:
            return f"its shadow build gave nothing to compare: {self.error}"
        if self.is_same:
            return f"built again in {self.seconds:.1f} s: the same"
        said = cut([_said(one) for one in self.differences], _MOST, "; ")
        return f"built again it differs: {said}: {_REMEDY}"


def _said(one: Compared) -> str:
    """As in `section 'oof', player_stats: 3 of 250 elements`; where there is one, what it is."""
    elements = "element" if one.of == 1 else "elements"
    said = f"section {one.section!r:.80}{one.field and ', '}{one.field:.200}: "
    said += f"{one.differing:,} of {one.of:,} {elements}"
    sides = f" ({one.old or 'absent'} -> {one.new or 'absent'})" if one.old != one.new else ""
    return said + sides
