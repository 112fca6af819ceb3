"""docs/performance.md, from the results of one run: no figure on it is typed by hand.

python benchmarks/page.py    # print it
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from statistics import median

from peers import RAM, TORCH
from ratios import absolute, ours_in, pairs, row_of, rows_of, shown
from targets import TARGETS

STEPS = ("open", "first", "full")
TITLES = {
    "100": "100 batches",
    "3000": "3,000 batches",
    "20000": "20,000 batches",
    "100000": "100,000 batches",
    "large": "8 tensors of 256 MiB",
    "real": "What script 3 caches",
}
INTRODUCTION = """\
# Performance

<!-- Written by benchmarks/run.py from results.json: do not edit. -->

{where}{label}

How to read it:

- Every load is a process that has just started: imports are done and, for tensorcache, the cache
  object is made. A round is one load of tensorcache and one of each peer that reads the same file,
  one after the other, taking turns to be first. A ratio is the peer's time by tensorcache's of the
  same round. Shown is the median, with [least-most]. Milliseconds are medians too: a peer's of its
  own rounds, tensorcache's of all rounds with that payload, so they need not make up the ratio.
- *open*: the payload is at hand, or what reads it when asked. For a lazy peer that is less work
  than for `torch.load`, so *full* always stands beside it: open, the sum of every tensor by the
  same torch operation, and every list decoded. *first* is open to the first batch. For tensorcache
  open is a hit of `get_or_build` and every section opened, digests of manifests checked.
- *put* is durable for all: written, and each file and directory synced, by a process that has
  written a small payload before. tensorcache's includes key, digests, manifest and index.
{rounds}
- `torch.load` here trusts the file (`weights_only=False`): as it comes it takes longer, and is
  shown where it is short.
- The files are read once right before they are loaded. *Cold*: they are put out of this machine's
  page cache instead, in two rounds. A host below may still hold them: these figures are soft.
- What every peer loads was compared with the payload once before, tensor by tensor, list by list
  (not at 100,000 batches), and in every load by the sum of all sums. A peer that fails is a row
  with its error.
- A batch is five tensors (K teams, 15 players, 24 stats; K is 15 or 30); half the batches are in
  each of two lists, and 80 % of the second list's are equal to one of the first. With them go
  their metas and two lists of plain values. "In memory already" is the floor: the sums of tensors
  that are there, and the lists decoded in bulk with the collector off.
"""
WHERE = (
    "`{command}` made this page on {day}, in {minutes:.0f} minutes, at commit {commit}: {cpu}, "
    "{gb:.0f} GB of memory, {system}, load {load:.1f} at the start; {versions}; torch with one "
    "thread."
)
QUICK = (
    "\n\n**A quick run**: few peers, and two or three rounds where it says five below. "
    "`make bench` makes the real page."
)


def text(results):
    """The page."""
    parts = [introduction(results), targets_table(results)]
    parts += ["## How it grows\n\n![open and full against the number of batches](performance.svg)"]
    for payload in TITLES:
        if rows_of(results, payload=payload):
            parts += payload_tables(results, payload)
    parts += [memory_table(results), whole_hits(results)]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def introduction(results):
    """What was run where, and how to read it."""
    run = results["run"]
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    where = WHERE.format(
        **run | {"versions": versions},
        minutes=run["seconds"] / 60,
        gb=run["memory_bytes"] / 1e9,
    )
    label = QUICK if run["quick"] else ""
    rounds = textwrap.fill(rounds_said(results), 100, initial_indent="- ", subsequent_indent="  ")
    return INTRODUCTION.format(where=textwrap.fill(where, 100), label=label, rounds=rounds)


def rounds_said(results):
    """How often what was done."""
    loads = [
        f"{TITLES[row['payload']]}: {len(row['peer_seconds']['full'])}"
        for row in rows_of(results, what="load", peer=TORCH.name)
        if "peer_seconds" in row
    ]
    said = (
        f"Rounds of loads ({'; '.join(loads)}). Of what takes a peer more than 5 s there are two "
        f"loads and one put (`torch` has all), at 100,000 batches one of each; a put without a "
        f"ratio was made once, alone."
    )
    if results["run"].get("sums_before"):
        said += " What torch sets up at the first sum of a process is done before it is timed."
    return said


def targets_table(results):
    """What was aimed at, and what was reached."""
    lines = [target.cells(results) for target in TARGETS]
    head = "## Targets\n\nThose in italics are counts: they hold on any machine, and are tests.\n\n"
    return head + table(["", "must", "great", "reached", ""], lines)


def payload_tables(results, payload):
    """How the peers compare, and what they take in milliseconds."""
    of_ours = row_of(results, payload=payload, what="payload")
    parts = [f"## {TITLES[payload]}", described(results, payload, of_ours)]
    warm, cold = (rows_of(results, payload=payload, what=what) for what in ("load", "cold"))
    if warm:
        parts.append(loads_table(results, payload, warm))
    if cold:
        parts += ["Cold:", cold_table(results, payload, cold)]
    return parts


def described(results, payload, row):
    sizes, put = row["sizes"], row["first_put"]
    first = f"{1000 * put['durable']:,.0f} ms"
    label = f" ({results['real']['label']})" if payload == "real" else ""
    return (
        f"{sizes['tensors'] / 1e6:,.1f} MB of tensors, {sizes['distinct'] / 1e6:,.1f} MB of them "
        f"distinct, {sizes['lists'] / 1e6:,.1f} MB of lists{label}; tensorcache takes "
        f"{sizes['disk'] / 1e6:,.1f} MB on disk. The first put of a fresh process takes {first}."
    )


def loads_table(results, payload, rows):
    """Ratios to ours, then milliseconds and megabytes."""
    disk = row_of(results, payload=payload, what="payload")["sizes"]["disk"]
    times = [absolute(ours_in(results, payload, step)) for step in STEPS]
    times.append(absolute(ours_in(results, payload, "durable", "write")))
    lines = [["**tensorcache**", *"1111", *times, megabytes(disk)]]
    for row in rows:
        if "error" in row:
            lines.append([row["peer"], row["error"]] + [""] * 8)
            continue
        write = row_of(results, payload=payload, what="write", peer=row["peer"])
        ratios = [shown(pairs(row, step)) for step in STEPS] + [shown(pairs(write, "durable"))]
        times = [absolute(row["peer_seconds"][step]) for step in STEPS]
        times.append(absolute(write["peer_seconds"]["durable"]))
        if row["peer"] == RAM.name:  # the floor of full, and no way to open or put anything
            lines.append([RAM.name, "", "", ratios[2], "", "", "", times[2], "", ""])
            continue
        lines.append([row["peer"], *ratios, *times, megabytes(write["disk"])])
    steps = (*STEPS, "put")
    return table(["peer / tensorcache", *steps, *(f"{step} ms" for step in steps), "MB"], lines)


def cold_table(results, payload, rows):
    times = [absolute(ours_in(results, payload, step, "cold")) for step in STEPS]
    lines = [["**tensorcache**", *"111", *times]]
    for row in rows:
        if "error" in row:
            lines.append([row["peer"], row["error"]] + [""] * 5)
        else:
            ratios = [shown(pairs(row, step)) for step in STEPS]
            times = [absolute(row["peer_seconds"][step]) for step in STEPS]
            lines.append([row["peer"], *ratios, *times])
    return table(["peer / tensorcache", *STEPS, *(f"{step} ms" for step in STEPS)], lines)


def table(head, lines):
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def megabytes(count):
    return f"{count / 1e6:,.1f}"


def memory_table(results):
    """Four processes that hold the same payload at once."""
    rows = rows_of(results, what="memory")
    if not rows:
        return ""
    title = TITLES[rows[0]["payload"]]
    lines = [
        [
            row["peer"],
            megabytes(median(one["uss"] for one in row["shared"])),
            megabytes(total(row, "pss")),
        ]
        for row in sorted(rows, key=lambda row: total(row, "pss"))
    ]
    head = "## Memory of four processes\n\n" + textwrap.fill(
        f"Each holds the payload of {title} and has touched every tensor; this is what that adds "
        "to a process that has imported all. Lists are decoded by peers that load them whole only.",
        100,
    )
    return head + "\n\n" + table(["peer", "of its own, each, MB", "PSS of all four, MB"], lines)


def whole_hits(results):
    """What script 3 waits for, and a person."""
    if "real" not in results:
        return ""
    real = results["real"]
    hit, first = ([1000 * one[step] for one in real["hits"]] for step in ("hit", "first"))
    return "## A whole hit\n\n" + textwrap.fill(
        f"In a fresh process that has imported torch, `import tensorcache`, "
        f"opening the cache and the `get_or_build` of script 3, its code version and its database "
        f"of {megabytes(real['database_bytes'])} MB identified, take {shown(hit)} ms, and "
        f"{shown(first)} ms to the first batch. `tensorcache ls` takes "
        f"{shown(real['ls']['seconds'])} s as a process.",
        100,
    )


def total(row, name):
    return sum(one[name] for one in row["shared"])


def dumped(results):
    """The results as JSON, a line for each row."""
    rest = {name: value for name, value in results.items() if name != "rows"}
    rows = ",\n".join(json.dumps(rounded(row)) for row in results["rows"])
    return json.dumps(rounded(rest))[:-1] + ', "rows": [\n' + rows + "\n]}\n"


def rounded(value):
    """Seconds to the microsecond."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list) else value


def loaded(path):
    return json.loads(path.read_text())


if __name__ == "__main__":
    print(text(loaded(Path(__file__).with_name("results.json"))), end="")
