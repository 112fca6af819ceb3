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
    """`reached(results)` gives (value, text), or None where a run did not measure it.

    A `count` hangs little on how fast a machine is: a quick run fails where it is missed.
    """

    name: str
    at_least: bool
    must: float | None
    great: float
    reached: Callable[[dict[str, Any]], tuple[float, str] | None]
    count: bool = False

    def cells(self, results):
        """The target as a line of a table: what was asked, what was reached, what that is worth."""
        value, said = self.reached(results) or (None, "not measured")
        name = f"*{self.name}*" if self.count else self.name
        return name, self.asked(self.must), self.asked(self.great), said, self.grade(value)

    def asked(self, limit):
        if limit is None:
            return ""
        return f"{'≥' if self.at_least else '≤'} {limit:,g}" if limit else "none"

    def grade(self, value):
        if value is None:
            return ""
        if self.meets(value, self.great):
            return "great"
        if self.must is None:
            return "great missed"
        return "must" if self.meets(value, self.must) else "**missed**"

    def meets(self, value, limit):
        return value >= limit if self.at_least else value <= limit


def missed_counts(results):
    """What a run has to fail for, a line for each; a count that was not measured is one."""
    lines = []
    for target in TARGETS:
        if target.count:
            value, said = target.reached(results) or (None, "not measured")
            if value is None or not target.meets(value, target.must):
                lines.append(f"{target.name}: {said}, not {target.asked(target.must)}")
    return lines


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


def growth(results):
    """Our open at 20,000 by our open at 100, round by round."""
    row = row_of(results, what="growth")
    if row is None:
        return None
    few, many = row["opens"]["100"], row["opens"]["20000"]
    ratios = [one / other for one, other in zip(many, few, strict=True)]
    return median(ratios), f"{shown(ratios)} ({absolute(few)} and {absolute(many)} ms)"


def torch_put(results):
    """`torch.save` by ours, both warm; and by our first put of a fresh process."""
    row = row_of(results, payload="20000", peer=TORCH.name, what="write")
    if row is None:
        return None
    value, said = of_rounds(pairs(row, "durable"))
    first = row_of(results, payload="20000", what="payload")["first_put"]["durable"]
    by_first = median(row["peer_seconds"]["durable"]) / first
    return value, f"{said}; by the first put of a fresh process {number(by_first)}"


def peak(results):
    """Memory beyond the payload while it is put, in percent of its distinct bytes."""
    peaks = ours_in(results, "20000", "peak", "write")
    if not peaks:
        return None
    value = 100 * median(peaks) / sizes(results)["distinct"]
    return value, f"{value:.1f} ({median(peaks) / 1e6:.0f} MB)"


def disk(results):
    """All files of the cache by what they cannot do without."""
    if sizes(results) is None:
        return None
    value = sizes(results)["disk"] / (sizes(results)["distinct"] + sizes(results)["lists"])
    return value, f"{value:.4f}"


def sizes(results):
    row = row_of(results, payload="20000", what="payload")
    return row and row["sizes"]


def own_memory(results):
    row = row_of(results, payload="20000", peer=OURS.name, what="memory")
    value = row and median(one["uss"] for one in row["shared"]) / 1e6
    return row and (value, f"{value:.2f}")


def all_memory(results):
    row = row_of(results, payload="20000", peer=OURS.name, what="memory")
    value = row and sum(one["pss"] for one in row["shared"]) / sizes(results)["disk"]
    return row and (value, f"{value:.3f}")


def access(name):
    """Microseconds per batch of five tensors."""

    def reached(results):
        row = row_of(results, peer=OURS.name, what="access")
        return row and (row["access"][name], number(row["access"][name]))

    return reached


def whole_hit(results):
    """Milliseconds from `import tensorcache` to the entry; and to its first batch."""
    if "real" not in results:
        return None
    hit, first = (
        [1000 * one[step] for one in results["real"]["hits"]] for step in ("hit", "first")
    )
    return median(hit), f"{shown(hit)}; to the first batch {shown(first)}"


def heavy_modules(results):
    if "real" not in results:
        return None
    found = sorted({name for one in results["real"]["hits"] for name in one["modules"]})
    return len(found), ", ".join(found) or "none"


def ls_seconds(results):
    seconds = results["real"]["ls"]["seconds"] if "real" in results else []
    return (median(seconds), shown(seconds)) if seconds else None


def ls_torch(results):
    if "real" not in results:
        return None
    imported = results["real"]["ls"]["torch"]
    return int(imported), "torch" if imported else "none"


def torch(payload, step, what="load"):
    return by_ours(payload, TORCH.name, step, what)


TARGETS = (
    Target("open: torch.load / ours, 20,000", True, 1000, 5000, torch("20000", "open")),
    Target("open: torch.load / ours, 3,000", True, 200, 700, torch("3000", "open")),
    Target("open: torch.load / ours, 100", True, 8, 20, torch("100", "open")),
    Target("first batch: torch.load / ours, 20,000", True, 800, 3000, torch("20000", "first")),
    Target("first batch: torch.load / ours, 3,000", True, 150, 450, torch("3000", "first")),
    Target("first batch: torch.load / ours, 100", True, 7, 13, torch("100", "first")),
    Target("open: ours at 20,000 / ours at 100", False, 2, 1.2, growth, count=True),
    Target("full: torch.load / ours, 20,000", True, 7, 11, torch("20000", "full")),
    Target("full: torch.load / ours, 3,000", True, 6, 9, torch("3000", "full")),
    Target("full: torch.load / ours, 100", True, 4, 6, torch("100", "full")),
    Target("full: best rival / ours, 20,000", True, 1.8, 2.5, best_by_ours("20000", "full")),
    Target("full: ours / the floor, 20,000", False, 1.6, 1.3, by_peer("20000", RAM.name, "full")),
    Target("full: ours / best mmap rival, large", False, 1.1, 1, by_best_mapped("large", "full")),
    Target("durable put: torch.save / ours, 20,000", True, 3, 5, torch_put),
    Target("durable put: fastest rival / ours, 20,000", True, 1, 1.3, best_put_by_ours("20000")),
    Target("put: memory beyond the payload, % of distinct bytes", False, 15, 11, peak, count=True),
    Target("disk / (distinct tensor bytes + msgpack)", False, 1.03, 1.01, disk, count=True),
    Target("4 processes: memory of its own, each, MB", False, 2, 0.2, own_memory, count=True),
    Target("4 processes: PSS of all / files", False, 1.1, 1, all_memory, count=True),
    Target("whole `get_or_build` hit after `import torch`, ms", False, 20, 6, whole_hit),
    Target("heavy modules after a hit", False, 0, 0, heavy_modules, count=True),
    Target("`tensorcache ls` as a process, s", False, 0.6, 0.35, ls_seconds),
    Target("heavy modules after `tensorcache ls`: torch", False, 0, 0, ls_torch, count=True),
    Target("a batch of five tensors at random, µs", False, 8, 4.7, access("random")),
    Target("a batch of five tensors, walked through, µs", False, 8, 4.7, access("walked")),
    Target("a batch of five tensors, second pass when kept, µs", False, None, 0.3, access("kept")),
)  # fmt: skip
