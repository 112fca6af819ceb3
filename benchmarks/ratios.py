"""Rows of a run, and what is read from them."""

from __future__ import annotations

from statistics import median


def rows_of(results, **asked):
    """The rows with these values."""
    return [
        row
        for row in results["rows"]
        if all(row.get(name) == value for name, value in asked.items())
    ]


def row_of(results, **asked):
    """The one row with these values, or None."""
    found = rows_of(results, **asked)
    return found[0] if found else None


def pairs(row, step):
    """The peer's seconds by ours, round by round; none where it was written alone."""
    ours = row["ours_seconds"][step] if "ours_seconds" in row else []
    return [one / other for one, other in zip(row["peer_seconds"][step], ours, strict=bool(ours))]


def ours_in(results, payload, step, what="load"):
    """Seconds of ours in all the rounds of a payload."""
    rows = rows_of(results, payload=payload, what=what)
    return [one for row in rows if "ours_seconds" in row for one in row["ours_seconds"][step]]


def shown(ratios):
    """A median with its least and most; "" of none."""
    if not ratios:
        return ""
    return f"{number(median(ratios))} [{number(min(ratios))}-{number(max(ratios))}]"


def number(value):
    """Three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def absolute(seconds):
    """The median in milliseconds."""
    return number(1000 * median(seconds)) if seconds else ""
