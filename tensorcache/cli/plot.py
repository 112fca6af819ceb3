"""Statistics over time as a figure: what was asked, the time that it saved, the bytes held.

Rules of this room: matplotlib, which is an extra, and nothing of it that lasts for the whole
process (no pyplot). Times are UTC, as the days of `stats --by day` are.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tensorcache.stats import Stats, Sums

# Told apart by people who see red and green alike (Okabe and Ito 2008), and by their order.
_ASKED = {"hits": "#0072B2", "waits": "#56B4E9", "misses": "#D55E00"}
_MOST_MARKED = 60  # points of a line
_UNITS = (("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0), ("seconds", 1.0))


def draw(path: str, stats: Stats, groups: Mapping[str, Sums], by: str) -> None:
    """Draw `groups`, sums by day or hour, and what was held, into a file of the kind of its name.

    Raises:
        OSError: it cannot be written.
    """
    now = dt.datetime.now(dt.UTC)
    width = dt.timedelta(days=1) if by == "day" else dt.timedelta(hours=1)
    starts = [dt.datetime.fromisoformat(name).replace(tzinfo=dt.UTC) for name in groups]
    figure = Figure(figsize=(9, 8), layout="constrained")
    asked, saved, held = figure.subplots(3, 1, sharex=True)
    _asked(asked, starts, width, list(groups.values()), by)
    _saved(saved, starts, width, list(groups.values()), by)
    _held(held, stats, now)
    for axes in (asked, held):
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    first = min([*starts, *(size.at for size in stats.sizes), now - 6 * width])
    held.set_xlim(first - width / 10, now + width / 10)
    locator = AutoDateLocator(tz=dt.UTC, minticks=4)  # type: ignore[no-untyped-call]
    held.xaxis.set_major_locator(locator)
    dates = ConciseDateFormatter(locator, tz=dt.UTC)  # type: ignore[no-untyped-call]
    held.xaxis.set_major_formatter(dates)
    held.set_xlabel("time, UTC")
    for axes in (asked, saved, held):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.25)
        axes.set_axisbelow(True)
        axes.set_ylim(0, None if axes.dataLim.ymax > 0 else 1)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    figure.savefig(path, dpi=130)


def _asked(
    axes: Axes, starts: Sequence[Any], width: dt.timedelta, sums: Sequence[Sums], by: str
) -> None:
    below = [0] * len(sums)
    for name, color in _ASKED.items() if sums else ():
        counts = [getattr(one, name) for one in sums]
        axes.bar(starts, counts, width, below, align="edge", color=color, label=name)  # type: ignore[arg-type]
        below = [low + count for low, count in zip(below, counts, strict=True)]
    axes.set(title=f"What was asked for, by {by}", ylabel="times")


def _saved(
    axes: Axes, starts: Sequence[Any], width: dt.timedelta, sums: Sequence[Sums], by: str
) -> None:
    most = max((one.saved_seconds for one in sums), default=0.0)
    unit, length = next((one for one in _UNITS if most >= one[1]), _UNITS[-1])
    heights = [one.saved_seconds / length for one in sums]
    axes.bar(starts, heights, width, align="edge", color="#009E73")  # type: ignore[arg-type]
    axes.set(title=f"Time that hits and waits saved, by {by}", ylabel=unit)


def _held(axes: Axes, stats: Stats, now: dt.datetime) -> None:
    """What was held, up to now, and the limit where there was one."""
    at: list[Any] = [size.at for size in stats.sizes]
    held = [size.bytes for size in stats.sizes]
    limits: list[Any] = [size.limit_bytes for size in stats.sizes]  # None is a gap
    limits += limits[-1:]
    at, held = [*at, now], [*held, stats.stored_bytes]
    marker = "." if len(at) < _MOST_MARKED else ""
    axes.step(at, held, where="post", color="#0072B2", marker=marker, label="held")
    if any(limits):
        axes.step(at, limits, where="post", color="#000000", linestyle="--", label="limit")
    axes.set(title="Bytes held")
    axes.yaxis.set_major_formatter(EngFormatter("B"))
