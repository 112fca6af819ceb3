"""`stats`: what was asked of the cache, what that saved, and what lies in it."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import asdict
from enum import StrEnum
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tensorcache.cache import Cache
from tensorcache.cli import options, text
from tensorcache.cli.options import AsJson, CacheDir

if TYPE_CHECKING:
    from tensorcache.stats import Stats, Sums

RANKS = ("dearest", "largest", "stalest")
MOST_HOURS = dt.timedelta(days=3)  # a plot of more is by the day


class By(StrEnum):
    """How sums are told apart."""

    namespace = "namespace"
    day = "day"


def stats(
    since: Annotated[float | None, options.time("Only of the last so long, as in '7d'.")] = None,
    by: Annotated[By | None, typer.Option(help="Tell uses apart; a day is one of UTC.")] = None,
    plot: Annotated[
        str, typer.Option(metavar="FILE", help="Draw it over time, as FILE.png or FILE.svg.")
    ] = "",
    cache: CacheDir = None,
    as_json: AsJson = False,
) -> None:
    """Count hits, misses, builds and waits, and say what they saved.

    A hit or a wait saves what its entry took to build, less what it took itself. Both count as
    found in the hit rate. Shared is what a cache without sharing would hold beyond what is stored.
    """
    if plot:
        _check_can_plot(plot)
    opened = options.opened(cache)
    found = opened.stats(since=since, by=by)
    if plot:
        _plot(opened, since, found, plot)
    if as_json:
        text.as_json(described(found))
    else:
        say(found, by)


def _check_can_plot(path: str) -> None:
    if os.path.splitext(path)[1].lower() not in (".png", ".svg"):
        raise options.WrongUse(f"--plot {path!r}: name a file that ends in .png or .svg")
    if find_spec("matplotlib") is None:
        raise options.WrongUse("--plot needs matplotlib: pip install 'tensorcache[plot]'")


def _plot(cache: Cache, since: float | None, found: Stats, path: str) -> None:
    from tensorcache.cli.plot import draw  # matplotlib: 0.5 s that only a plot spends

    by, groups = "hour", cache.stats(since=since, by="hour").groups or {}
    earliest = (dt.datetime.now(dt.UTC) - MOST_HOURS).strftime("%Y-%m-%d %H:00")
    if min(groups, default=earliest) < earliest:
        by, groups = "day", cache.stats(since=since, by="day").groups or {}
    try:
        draw(path, found, groups, by)
    except OSError as error:
        raise options.WrongUse(f"--plot {path!r}: {error.strerror or error}") from error
    text.remark(f"drawn in {path}")


def described(stats: Stats) -> dict[str, Any]:
    """The statistics, as JSON has them; what was held hour by hour is in the table `_size`."""
    told = {**asdict(stats), "hit_rate": stats.hit_rate, "since": text.iso(stats.since)}
    for name in RANKS:
        told[name] = [
            {
                **one._asdict(),
                "created_at": text.iso(one.created_at),
                "last_used_at": text.iso(one.last_used_at),
            }
            for one in getattr(stats, name)
        ]
    told["groups"] = {
        name: {**asdict(sums), "hit_rate": sums.hit_rate}
        for name, sums in (stats.groups or {}).items()
    }
    del told["sizes"]
    return told


def say(stats: Stats, by: str | None) -> None:
    """Print what people ask first, then the groups, then the entries that stand out."""
    since = "all that is known" if stats.since is None else text.local(text.iso(stats.since) or "")
    facts = {
        "since": since,
        "hits": f"{stats.hits:,}",
        "waits": f"{stats.waits:,}",
        "misses": f"{stats.misses:,}",
        "builds": f"{stats.builds:,}, {text.span(stats.build_seconds)}",
        "hit rate": _rate(stats),
        "time saved": text.span(stats.saved_seconds),
        "evictions": f"{stats.evictions:,}, {text.size(stats.evicted_bytes)}",
        "entries": f"{stats.entries:,}",
        "stored": text.size(stats.stored_bytes),
        "shared": text.size(stats.shared_bytes),
    }
    text.table((), list(facts.items()))
    if by:
        names = (by, "hits", "waits", "misses", "builds", "hit rate", "saved")
        rows = [
            (
                name or "not known",
                *(f"{n:,}" for n in (sums.hits, sums.waits, sums.misses, sums.builds)),
                _rate(sums),
                text.span(sums.saved_seconds),
            )
            for name, sums in (stats.groups or {}).items()
        ]
        print()
        text.table(names, rows, right=names[1:])
    ranked = [
        (
            name,
            one.key[:16],
            one.namespace,
            text.size(one.bytes),
            text.span(one.build_seconds),
            one.uses,
            text.ago(one.last_used_at),
        )
        for name in RANKS
        for one in getattr(stats, name)
    ]
    if ranked:
        print()
        columns = ("", "key", "namespace", "size", "build", "uses", "used")
        text.table(columns, ranked, right=("size", "build", "uses"))


def _rate(sums: Sums) -> str:
    return "-" if sums.hit_rate is None else f"{100 * sums.hit_rate:.1f} %"
