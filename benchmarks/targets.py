"""What the figures should be, and what a run reached."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

from peers import OURS, RAM, TORCH
from ratios import absolute, number, ours_in, pairs, row_of, rows_of, shown

MAPPED = (
    "torch.load(weights_only=False, mmap=True)",
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
    must: float
    great: float
    reached: Callable[[dict[str, Any]], tuple[float, str] | None]

    def line(self, results):
        """The target as a line of a table: what was asked, what was reached, what that is worth."""
        sign = "≥" if self.at_least else "≤"
        name = self.name.format(big=f"{int(big(results)):,}")
        value, said = self.reached(results) or (None, "not measured")
        cells = (name, f"{sign} {self.must:,g}", f"{sign} {self.great:,g}", said, self.grade(value))
        return f"| {' | '.join(cells)} |"

    def grade(self, value):
        if value is None:
            return ""
        if self.meets(value, self.great):
            return "great"
        return "must" if self.meets(value, self.must) else "**missed**"

    def meets(self, value, limit):
        return value >= limit if self.at_least else value <= limit


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


def best_put_by_ours(payload):
    return best_by_ours(payload, "durable", "write")


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


def big(results):
    """The payload for counts: they are the same at any size, so a quick run has them too."""
    return "20000" if rows_of(results, payload="20000") else "3000"


def growth(results):
    """Our open at the big payload by our open at 100."""
    small, large = (ours_in(results, payload, "open") for payload in ("100", big(results)))
    value = median(large) / median(small)
    return value, f"{number(value)} ({absolute(small)} and {absolute(large)} ms)"


def peak(results):
    """Memory beyond the payload while it is put, in percent of its distinct bytes."""
    peaks = ours_in(results, big(results), "peak", "write")
    value = 100 * median(peaks) / sizes(results)["distinct"]
    return value, f"{value:.1f} ({median(peaks) / 1e6:.0f} MB)"


def disk(results):
    """All files of the cache by what they cannot do without."""
    value = sizes(results)["disk"] / (sizes(results)["distinct"] + sizes(results)["lists"])
    return value, f"{value:.4f}"


def sizes(results):
    return row_of(results, payload=big(results), what="payload")["sizes"]


def own_memory(results):
    shared = row_of(results, peer=OURS.name, what="memory")["shared"]
    value = median(one["uss"] for one in shared) / 1e6
    return value, f"{value:.2f}"


def all_memory(results):
    shared = row_of(results, peer=OURS.name, what="memory")["shared"]
    value = sum(one["pss"] for one in shared) / sizes(results)["disk"]
    return value, f"{value:.3f}"


def access(name):
    """Microseconds per batch of five tensors."""

    def reached(results):
        value = row_of(results, peer=OURS.name, what="memory")["access"][name]
        return value, number(value)

    return reached


def whole_hit(results):
    """Milliseconds from `import tensorcache` to the first batch."""
    milliseconds = [1000 * one["first"] for one in results["real"]["hits"]]
    return median(milliseconds), shown(milliseconds)


def heavy_modules(results):
    found = sorted({name for one in results["real"]["hits"] for name in one["modules"]})
    return len(found), ", ".join(found) or "none"


def ls_seconds(results):
    seconds = results["real"]["ls"]["seconds"]
    return median(seconds), shown(seconds)


def ls_torch(results):
    imported = results["real"]["ls"]["torch"]
    return int(imported), "yes" if imported else "no"


def torch(payload, step, what="load"):
    return by_ours(payload, TORCH.name, step, what)


TARGETS = (
    Target("open: torch.load by ours, 20,000", True, 1000, 5000, torch("20000", "open")),
    Target("the same, 3,000", True, 200, 700, torch("3000", "open")),
    Target("the same, 100", True, 8, 20, torch("100", "open")),
    Target("first batch: torch.load by ours, 20,000", True, 800, 3000, torch("20000", "first")),
    Target("the same, 3,000", True, 150, 450, torch("3000", "first")),
    Target("the same, 100", True, 7, 13, torch("100", "first")),
    Target("open: ours at {big} by ours at 100", False, 2, 1.2, growth),
    Target("full: torch.load by ours, 20,000", True, 7, 11, torch("20000", "full")),
    Target("the same, 3,000", True, 6, 9, torch("3000", "full")),
    Target("the same, 100", True, 4, 6, torch("100", "full")),
    Target("full: best rival by ours, 20,000", True, 1.8, 2.5, best_by_ours("20000", "full")),
    Target("full: ours by floor, 20,000", False, 1.6, 1.3, by_peer("20000", RAM.name, "full")),
    Target("full: ours by best mapped, large", False, 1.1, 1, by_best_mapped("large", "full")),
    Target("put: torch.save by ours, 20,000", True, 3, 5, torch("20000", "durable", "write")),
    Target("put: best rival by ours, 20,000", True, 1, 1.3, best_put_by_ours("20000")),
    Target("put: memory beyond the payload, % of distinct bytes, {big}", False, 15, 11, peak),
    Target("disk by distinct tensor bytes and msgpack, {big}", False, 1.03, 1.01, disk),
    Target("4 processes: memory of its own, each, MB", False, 2, 0.2, own_memory),
    Target("4 processes: memory of all by files", False, 1.1, 1, all_memory),
    Target("a whole hit after `import torch`, to the first batch, ms", False, 20, 6, whole_hit),
    Target("heavy libraries that a hit imports", False, 0, 0, heavy_modules),
    Target("`tensorcache ls` as a process, s", False, 0.6, 0.35, ls_seconds),
    Target("`tensorcache ls` imports torch", False, 0, 0, ls_torch),
    Target("a batch of five tensors at random, µs", False, 8, 4.7, access("random")),
    Target("a batch, walked through, µs", False, 8, 4.7, access("walked")),
    Target("a batch, walked through when kept, µs", False, 0.3, 0.3, access("kept")),
)  # fmt: skip
