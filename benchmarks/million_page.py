"""docs/million.md, from the results of one run: no figure on it is typed by hand.

python benchmarks/million_page.py    # print it
"""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

from ratios import number, shown

RESULTS = Path(__file__).with_name("million.json")
GETS = {  # what is asked for, and by what
    "present": ("there", "key"),
    "absent": ("absent", "key"),
    "present, by its 64 digits": ("there", "digits"),
    "absent, by its 64 digits": ("absent", "digits"),
}
WAITED_FOR = ("a hit", "a miss, its build and publication", "a publication at the limit")
LARGE = "entry|entry_shard|source|column|shard|event"  # tables that grow; with a number, aliases


class Target(NamedTuple):
    """`reached(results)` gives the value and what is said of it."""

    name: str
    limit: float
    unit: str
    command: str
    reached: Callable[[dict[str, Any]], tuple[float, str]]
    at_least: bool = False

    def asked(self):
        if not self.limit:
            return "none"
        return f"{'≥' if self.at_least else '≤'} {self.limit:,g}{self.unit}"

    def is_met(self, results):
        value, _ = self.reached(results)
        return value >= self.limit if self.at_least else value <= self.limit

    def line(self, results):
        return f"{self.name}: {self.reached(results)[1]}, not {self.asked()}"

    def cells(self, results):
        met = "met" if self.is_met(results) else "**missed**"
        return self.name, self.asked(), self.reached(results)[1], met, f"`{self.command}`"


def of_rounds(values, unit=""):
    return median(values), shown(values) + unit


def growth(what):
    """Seconds of a `get` with many entries by those with few, round by round."""

    def reached(results):
        few, many = results["get"][what]["few"], results["get"][what]["many"]
        value, said = of_rounds([one / other for one, other in zip(many, few, strict=True)])
        microseconds = " and ".join(number(1e6 * median(some)) for some in (few, many))
        return value, f"{said} ({microseconds} µs)"

    return reached


def views(results):
    milliseconds = [1000 * one["seconds"] for one in results["view"]]
    value, said = of_rounds(milliseconds, " ms")
    return value, f"{said}, {median(one['rows'] for one in results['view']):g} rows"


def publications(results):
    """The mean at the limit by the mean below it: one may make room for those that follow."""
    below, at, went = (results["puts"][name] for name in ("below", "at", "went"))
    if not any(went):
        return math.inf, "nothing went at the limit"
    value = mean(at) / mean(below)
    means = " and ".join(number(1000 * mean(some)) for some in (below, at))
    worst = " and ".join(number(1000 * max(some)) for some in (below, at))
    said = f"means {means} ms, worst {worst} ms; {sum(went)} gone by {len(at)} at the limit"
    return value, f"{number(value)} ({said})"


def orphans_each_second(results):
    count = results["run"]["orphans"]
    return of_rounds([count / one["seconds"] for one in results["orphans"]])


def full_scans(results):
    """Statements that read a whole table while a hit or a publication waits."""
    found = [
        statement["sql"]
        for one in results["plans"]
        if one["what"] in WAITED_FOR
        for statement in one["statements"]
        if is_full_scan(statement)
    ]
    return len(found), "; ".join(f"`{sql:.80}`" for sql in found) or "none"


def is_full_scan(statement):
    """A SCAN in the order of an index ends at a LIMIT, any other at the end of the table."""
    whole = rf"SCAN (?:TABLE )?(?:{LARGE})(?:_\d+)?\b"
    if " LIMIT " in statement["sql"]:
        whole += "(?!.* USING )"
    return any(re.match(whole, line) for line in statement["plan"])


TARGETS = (
    *(
        Target(f"`get`, {what}: with many / with few", 2, "", "cache.get(key)", growth(what))
        for what in GETS
    ),
    Target(
        "list the newest",
        0.8,
        " s",
        "tensorcache ls --limit 20",
        lambda results: of_rounds([one["seconds"] for one in results["ls"]], " s"),
    ),
    Target(
        "a view, one input equal",
        100,
        " ms",
        "cache.sql('SELECT * FROM \"bench.batches\" WHERE seed = ?', (1,))",
        views,
    ),
    Target(
        "plan by worth, to half of the bytes",
        20,
        " s",
        "tensorcache vacuum --dry-run --max-size HALF",
        lambda results: of_rounds([one["seconds"] for one in results["vacuum"]], " s"),
    ),
    Target(
        "the same: most memory",
        1000,
        " MB",
        "tensorcache vacuum --dry-run --max-size HALF",
        lambda results: of_rounds([one["peak_bytes"] / 1e6 for one in results["vacuum"]], " MB"),
    ),
    Target("publish: at the limit / below it", 1.2, "", "cache.put(key, payload)", publications),
    Target(
        "orphans removed in a second",
        10_000,
        "",
        "tensorcache vacuum --yes",
        orphans_each_second,
        at_least=True,
    ),
    Target(
        "full scans while a hit or a publication waits", 0, "", "EXPLAIN QUERY PLAN", full_scans
    ),
)
INTRODUCTION = """\
# {entries} entries

<!-- Written by docs/generate.py from benchmarks/million.json: do not edit. -->

"""
NOT_YET = "`make million` has not been run yet: it writes this page.\n"
WHERE = (
    "`{command}` made these figures on {day}, in {minutes:.0f} minutes, at commit {commit}: {cpu}, "
    "{gb:.0f} GB of memory, {system}, load {load:.1f} at the start; {versions}."
)
HOW = """\
Shown is the median of all rounds, with [least-most]; a ratio is taken within a round, but where it
says so.

`benchmarks/entries.py` wrote the entries, in {seconds:.0f} s: real manifests in {namespaces}
namespaces, of {days:.0f} days, with {inputs} inputs each. They refer to one shard, and one in
{own} to a shard of its own instead. The index takes {index_mb:,.0f} MB.

*get*: of a cache that is open, by a process that has just started, with {few} entries and with
{entries} in turn; the folder and the file of the manifest were read right before.

*publish*: one process puts in turn without a limit, and with one that was just reached, until what
came there fills the room that was made. A mean by a mean, for a publication that makes room may do
so for others. The payload is one that the cache has already, so the publication is all that there
is to do.

*vacuum --dry-run* also prints every entry that would go. *orphans* are {orphans} files of 8 bytes
in a root of their own; *vacuum --yes* plans twice, for a person is shown what goes."""


def page(path=RESULTS):
    """The page, from the results of one run."""
    if not path.exists():
        return INTRODUCTION.format(entries="A million") + NOT_YET
    results = json.loads(path.read_text("utf-8"))
    run, made = results["run"], results["made"]["many"]
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    facts = made | {name: f"{run[name]:,}" for name in ("entries", "few", "orphans")}
    facts["index_mb"] = made["index_bytes"] / 1e6
    where = {"versions": versions, "minutes": run["seconds"] / 60, "gb": run["memory_bytes"] / 1e9}
    parts = [
        INTRODUCTION.format(entries=facts["entries"]) + wrapped(WHERE.format(**run | where)),
        "\n".join(wrapped(one, "- ", "  ") for one in HOW.format(**facts).split("\n\n")),
        table(["", "target", "reached", "", "command"], [one.cells(results) for one in TARGETS]),
        "## Plans\n\n" + wrapped(PLANS),
        *(planned(one) for one in results["plans"]),
    ]
    return "\n\n".join(parts) + "\n"


PLANS = (
    "What SQLite was asked while each of these was done, values left out, and how it plans that "
    "(`EXPLAIN QUERY PLAN`). Statements that plan nothing, such as an insert, and those about the "
    "schema are not shown. A scan of a whole table in one of the first three is a target missed."
)


def planned(one):
    """The statements of one thing that was done."""
    said = [
        "\n".join([wrapped(statement["sql"], "", "    "), *(f"--> {x}" for x in statement["plan"])])
        for statement in one["statements"]
    ]
    body = "```text\n" + "\n\n".join(said) + "\n```" if said else "SQLite was asked nothing."
    return f"### {one['what'][:1].upper()}{one['what'][1:]}\n\n{body}"


def wrapped(text, first="", later=""):
    return textwrap.fill(
        text,
        100,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )


def table(head, lines):
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def dumped(results):
    """The results as JSON, a line for each part; six digits of a number count."""
    results = json.loads(json.dumps(results), parse_float=lambda text: float(f"{float(text):.6g}"))
    parts = (f"{json.dumps(name)}: {json.dumps(one)}" for name, one in results.items())
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    print(page(), end="")
