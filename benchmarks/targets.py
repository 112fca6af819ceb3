"""What the figures should be, and what a run reached."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

from peers import OURS, RAM
from ratios import absolute, number, ours_in, pairs, row_of, rows_of, shown

MAPPED = (
    "torch.load(mmap=True)",
    "joblib(mmap_mode='c')",
    "safetensors load_file",
    "safetensors safe_open",
    "TensorDict memmap, a file each",
    "TensorDict memmap, stacked",
    "lmdb",
)


class Target(NamedTuple):
    """`reached(results)` gives (value, text), or None where a run did not measure it."""

    name: str
    at_least: bool
    must_be: float
    great_is: float
    reached: Callable[[dict[str, Any]], tuple[float, str] | None]

    @property
    def must(self):
        return self._said(self.must_be)

    @property
    def great(self):
        return self._said(self.great_is)

    def _said(self, value):
        return f"{'≥' if self.at_least else '≤'} {value:,g}"


def grade(target, value):
    """What a value is worth."""
    if value >= target.great_is if target.at_least else value <= target.great_is:
        return "great"
    met = value >= target.must_be if target.at_least else value <= target.must_be
    return "must" if met else "**missed**"


def by_ours(payload, peer, step, what="load"):
    """A peer's seconds by ours."""

    def reached(results):
        row = row_of(results, payload=payload, peer=peer, what=what)
        return None if row is None or "error" in row else of_rounds(pairs(row, step))

    return reached


def by_peer(payload, peer, step):
    """Our seconds by a peer's."""

    def reached(results):
        row = row_of(results, payload=payload, peer=peer, what="load")
        if row is None or "error" in row:
            return None
        return of_rounds([1 / one for one in pairs(row, step)])

    return reached


def best_by_ours(payload, step, what="load"):
    """The seconds of the rival that comes nearest, by ours."""

    def reached(results):
        best = nearest(results, payload, step, what)
        return best and of_rounds(pairs(best, step), best["peer"])

    return reached


def by_best_mapped(payload, step):
    """Our seconds by those of the best rival that maps its files."""

    def reached(results):
        best = nearest(results, payload, step, "load", MAPPED)
        return best and of_rounds([1 / one for one in pairs(best, step)], best["peer"])

    return reached


def nearest(results, payload, step, what, peers=None):
    """The row of the rival with the least ratio, or None."""
    rows = [
        row
        for row in rows_of(results, payload=payload, what=what)
        if "error" not in row and row["peer"] != RAM.name and (not peers or row["peer"] in peers)
    ]
    return min(rows, key=lambda row: median(pairs(row, step)), default=None)


def of_rounds(ratios, peer=""):
    return median(ratios), shown(ratios) + (f" ({peer})" if peer else "")


def growth(results):
    """Our open at 20,000 by our open at 100."""
    small, large = (ours_in(results, payload, "open") for payload in ("100", "20000"))
    if not small or not large:
        return None
    value = median(large) / median(small)
    return value, f"{number(value)} ({absolute(small)} and {absolute(large)} ms)"


def peak(results):
    """Memory beyond the payload while it is put, by its distinct bytes."""
    row = row_of(results, payload="20000", what="payload")
    peaks = ours_in(results, "20000", "peak", "write")
    if not peaks:
        return None
    value = 100 * median(peaks) / row["sizes"]["distinct"]
    return value, f"{value:.1f} ({median(peaks) / 1e6:.0f} MB)"


def disk(results):
    row = row_of(results, payload="20000", what="payload")
    if row is None:
        return None
    sizes = row["sizes"]
    value = sizes["disk"] / (sizes["distinct"] + sizes["lists"])
    return value, f"{value:.4f}"


def own_memory(results):
    row = row_of(results, peer=OURS.name, what="memory")
    if row is None:
        return None
    value = median(one["uss"] for one in row["shared"]) / 1e6
    return value, f"{value:.2f}"


def all_memory(results):
    row = row_of(results, peer=OURS.name, what="memory")
    if row is None:
        return None
    sizes = row_of(results, payload=row["payload"], what="payload")["sizes"]
    value = sum(one["pss"] for one in row["shared"]) / sizes["disk"]
    return value, f"{value:.3f}"


def whole_hit(results):
    return of_hits(results, lambda one: 1000 * one["first"])


def modules(results):
    found = sorted(
        {name for one in results.get("real", {}).get("hits", ()) for name in one["modules"]}
    )
    return (len(found), ", ".join(found) or "none") if "real" in results else None


def of_hits(results, of):
    if "real" not in results:
        return None
    values = [of(one) for one in results["real"]["hits"]]
    return median(values), shown(values)


def ls_seconds(results):
    if "real" not in results:
        return None
    seconds = results["real"]["ls"]["seconds"]
    return median(seconds), shown(seconds)


def ls_torch(results):
    if "real" not in results:
        return None
    imported = results["real"]["ls"]["torch"]
    return int(imported), "yes" if imported else "no"


def access(name):
    """Microseconds per batch of five tensors."""

    def reached(results):
        row = row_of(results, peer=OURS.name, what="memory")
        return None if row is None else (row["access"][name], number(row["access"][name]))

    return reached


TORCH = "torch.load"
TARGETS = (
    Target("open: torch.load by ours, 20,000", True, 1000, 5000, by_ours("20000", TORCH, "open")),
    Target("the same, 3,000", True, 200, 700, by_ours("3000", TORCH, "open")),
    Target("the same, 100", True, 8, 20, by_ours("100", TORCH, "open")),
    Target(
        "first batch: torch.load by ours, 20,000", True, 800, 3000, by_ours("20000", TORCH, "first")
    ),
    Target("the same, 3,000", True, 150, 450, by_ours("3000", TORCH, "first")),
    Target("the same, 100", True, 7, 13, by_ours("100", TORCH, "first")),
    Target("open: ours at 20,000 by ours at 100", False, 2, 1.2, growth),
    Target("full: torch.load by ours, 20,000", True, 7, 11, by_ours("20000", TORCH, "full")),
    Target("the same, 3,000", True, 6, 9, by_ours("3000", TORCH, "full")),
    Target("the same, 100", True, 4, 6, by_ours("100", TORCH, "full")),
    Target("full: best rival by ours, 20,000", True, 1.8, 2.5, best_by_ours("20000", "full")),
    Target(
        "full: ours by what is in memory already, 20,000",
        False,
        1.6,
        1.3,
        by_peer("20000", RAM.name, "full"),
    ),
    Target(
        "full, 8 x 256 MiB: ours by best mapped rival",
        False,
        1.1,
        1.0,
        by_best_mapped("large", "full"),
    ),
    Target(
        "durable put: torch.save by ours, 20,000",
        True,
        3,
        5,
        by_ours("20000", TORCH, "durable", "write"),
    ),
    Target(
        "durable put: fastest rival by ours, 20,000",
        True,
        1.0,
        1.3,
        best_by_ours("20000", "durable", "write"),
    ),
    Target("memory of a put beyond the payload, % of distinct bytes, 20,000", False, 15, 11, peak),
    Target("disk by distinct tensor bytes and msgpack, 20,000", False, 1.03, 1.01, disk),
    Target("4 processes: memory of its own, each, MB", False, 2, 0.2, own_memory),
    Target("4 processes: memory of all by files", False, 1.1, 1.0, all_memory),
    Target(
        "a whole hit after `import torch`, with its source, to the first batch, ms",
        False,
        20,
        6,
        whole_hit,
    ),
    Target("heavy libraries imported by a hit", False, 0, 0, modules),
    Target("`tensorcache ls` as a process, s", False, 0.6, 0.35, ls_seconds),
    Target("`tensorcache ls` imports torch", False, 0, 0, ls_torch),
    Target("one batch of five tensors at random, µs", False, 8, 4.7, access("random")),
    Target("one batch, walked through, µs", False, 8, 4.7, access("walked")),
    Target("one batch, walked through when kept, µs", False, 0.3, 0.3, access("kept")),
)
