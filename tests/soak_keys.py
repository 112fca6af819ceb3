"""Keys of random inputs: two trees share a key if and only if they are the same value.

    python tests/soak_keys.py [--trees 1000000] [--seed 1]        (`make keys`)

Trees are made of few words and numbers, so that values that are nearly the same meet often. Each
is keyed three times: as it is, with all that must not count changed, and with one value in it
changed for its likes (5 for 5.0, "5" or True). Whether two are the same is said by
`scenarios.frozen`, which knows nothing of keys. Memory is 64 bytes a tree.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import random
import resource
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from scenarios.frozen import frozen

from tensorcache.key import make_key

NAIVE = dt.datetime.fromisoformat("2020-01-02")
# What people take for one another: a row's values are all different, and all are near.
LIKES: list[list[Any]] = [
    [0, 0.0, -0.0, False, "0", b"0", None, Decimal(0), Decimal("0.0"), Decimal("-0")],
    [1, 1.0, True, "1", b"1", Decimal(1), Decimal("1.0"), [1], {1}, (1.0,)],
    [5, 5.0, "5", "5.0", b"5", Decimal(5), [5], {5}, {"5": 5}],
    [None, "None", "null", "", b"", [], {}, set(), [None], {None}],
    [float("inf"), float("-inf"), "inf", {"$float": "inf"}, {"$$float": "inf"}, Decimal("inf")],
    [0.1, 0.1 + 2**-56, "0.1", Decimal("0.1"), 1 / 3, 5e-324, 2**53, 2.0**53, 2**53 + 1, 2**64],
    ["\u00e9", "e\u0301", "\u00c9", "a", "A", "a ", "\U0001f3c0", "\\u00e9", '"', "\0", b"a"],
    [{"$set": [1]}, {"$bytes": "00"}, b"\0", {"$": 1}, {"": 1}, {"$date": "2020-01-02"}],
    [dt.date(2020, 1, 2), NAIVE, NAIVE.replace(tzinfo=dt.UTC), NAIVE.replace(microsecond=1),
     NAIVE.replace(hour=2, tzinfo=dt.timezone(dt.timedelta(hours=2))), "2020-01-02"],
    [["ab", "c"], ["a", "bc"], ["abc"], "abc", ["a", "b", "c"], {"a", "b", "c"}, {"a": "bc"}],
]  # fmt: skip
NAMES = ("a", "b", "$a", "$$a", "a.b", "", "\u00e9", "e\u0301", "$set", "$date", "rolling_windows")
HASHABLE = (type(None), bool, int, float, str, bytes, Decimal, dt.date)


class Result(NamedTuple):
    """How many trees and distinct values and keys there were, and what was wrong."""

    trees: int
    values: int
    keys: int
    pairs: int
    moved: int

    @property
    def collisions(self) -> int:
        """Values beyond one for a key: 0 if no two share one."""
        return self.pairs - self.keys

    @property
    def partings(self) -> int:
        """Keys beyond one for a value: 0 if equal values always share one."""
        return self.pairs - self.values + self.moved


def random_tree(rng: random.Random) -> dict[str, Any]:
    """Inputs of 1 to 4 names, up to 4 levels deep."""
    return {rng.choice(NAMES): random_value(rng, 3) for _ in range(rng.randint(1, 4))}


def random_value(rng: random.Random, depth: int) -> Any:
    kind = rng.random()
    if depth == 0 or kind < 0.5:
        return random_leaf(rng)
    inner = [random_value(rng, depth - 1) for _ in range(rng.randint(0, 3))]
    if kind < 0.7:
        return inner
    if kind < 0.9:
        return {rng.choice(NAMES): item for item in inner}
    return {item for item in inner if isinstance(item, HASHABLE)}


def random_leaf(rng: random.Random) -> Any:
    kind = rng.random()
    if kind < 0.8:
        return rng.choice(rng.choice(LIKES))
    if kind < 0.9:
        return rng.randint(-(10 ** rng.randint(1, 20)), 10 ** rng.randint(1, 20))
    return rng.uniform(-1, 1) * 10.0 ** rng.randint(-300, 300)


def another_spelling(value: Any, rng: random.Random) -> Any:
    """The same value with all that must not count changed: order, list or tuple, numpy's types."""
    if isinstance(value, list | tuple):
        return rng.choice((list, tuple))(another_spelling(item, rng) for item in value)
    if isinstance(value, dict):
        items = rng.sample(list(value.items()), len(value))
        return {name: another_spelling(item, rng) for name, item in items}
    if isinstance(value, set):
        return rng.choice((set, frozenset))(rng.sample(sorted(value, key=repr), len(value)))
    if type(value) is bool:
        return rng.choice((value, np.bool_(value)))
    if type(value) is int and -(2**63) <= value < 2**63:
        return rng.choice((value, np.int64(value)))
    if type(value) is float:
        return rng.choice((value, np.float64(value)))
    return value


def nearly(value: Any, rng: random.Random) -> Any:
    """One value in it changed for another that people take for it."""
    if isinstance(value, dict) and value:
        name = rng.choice(list(value))
        return {**value, name: nearly(value[name], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        return [*value[:at], nearly(value[at], rng), *value[at + 1 :]]
    return rng.choice(next((row for row in LIKES if value in row), LIKES[0]))


def key_of(inputs: dict[str, Any]) -> bytes:
    return bytes.fromhex(make_key(inputs, version="1", sources={}, namespace="t").digest[:32])


def value_of(inputs: dict[str, Any]) -> bytes:
    """16 bytes that tell values apart, from their frozen forms."""
    return hashlib.blake2b(ascii(frozen(inputs)).encode("ascii"), digest_size=16).digest()


def soak(trees: int, seed: int) -> Result:
    """Key `trees` random trees, each in another spelling too, and half as many near ones."""
    rng = random.Random(seed)
    pairs = np.empty((trees * 2, 32), np.uint8)
    moved = 0
    for at in range(trees):
        tree = random_tree(rng)
        near = nearly(tree, rng)
        key = key_of(tree)
        moved += key_of(another_spelling(tree, rng)) != key
        pairs[2 * at] = np.frombuffer(value_of(tree) + key, np.uint8)
        pairs[2 * at + 1] = np.frombuffer(value_of(near) + key_of(near), np.uint8)
    values, keys = pairs[:, :16], pairs[:, 16:]
    return Result(trees, distinct(values), distinct(keys), distinct(pairs), moved)


def distinct(rows: Any) -> int:
    return len(np.unique(np.ascontiguousarray(rows).view(f"V{rows.shape[1]}")))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trees", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    started = time.perf_counter()
    result = soak(asked.trees, asked.seed)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10  # KiB on Linux
    print(
        f"{result.trees:,} trees and as many near ones: {result.values:,} values, "
        f"{result.keys:,} keys, {result.collisions} collisions, {result.partings} equal values "
        f"with two keys; {seconds:.0f} s, {peak} MB at most"
    )
    return int(bool(result.collisions or result.partings))


if __name__ == "__main__":
    sys.exit(main())
