"""docs/performance.md, from the results of one run: no figure on it is typed by hand.

python benchmarks/page.py    # print it
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from statistics import median

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

<!-- Written by benchmarks/run.py from benchmarks/results.json: do not edit. -->

{where}{label}

How to read it:

- Every load is a process that has just started: imports are done and, for tensorcache, the cache
  object is made. A round is one load of tensorcache and one of a peer, one after the other; a
  ratio is the peer's time by tensorcache's of the same round. Shown is the median, with
  [least-most].
- *open*: the payload is at hand, or what reads it when asked. For a lazy peer that is less work
  than for `torch.load`, so *full* always stands beside it: open, the sum of every tensor by the
  same torch operation, and every list decoded. *first* is open to the first batch.
- *put* is durable for all: written, and each file and directory synced, by a process that has
  written a small payload before. tensorcache's includes key, digests, manifest and index.
- A step that takes more than 8 s is repeated less often: three loads, one put. `torch.load` trusts
  the file (`weights_only=False`): as it comes, it takes twice as long, and is shown where it is
  short.
- *cold*: the files were put out of this machine's page cache first. A host below may still hold
  them, so these figures are soft.
- What every peer loads was compared with the payload once, tensor by tensor, list by list, and at
  20,000 and 100,000 batches in every load by the sum of all sums.
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
QUICK = "\n\n**A quick run**: small payloads and few rounds. `make bench` makes the real page."


def text(results):
    """The page."""
    parts = [introduction(results["run"]), targets_table(results)]
    parts += ["## How it grows\n\n![open and full against the number of batches](performance.svg)"]
    for payload in TITLES:
        if rows_of(results, payload=payload):
            parts += payload_tables(results, payload)
    parts.append(memory_table(results))
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def introduction(run):
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    where = WHERE.format(
        **run | {"versions": versions},
        minutes=run["seconds"] / 60,
        gb=run["memory_bytes"] / 1e9,
    )
    label = QUICK if run["quick"] else ""
    return INTRODUCTION.format(where=textwrap.fill(where, 100), label=label)


def targets_table(results):
    """What was aimed at, and what was reached."""
    lines = ["| | must | great | reached | |", "| --- | --- | --- | --- | --- |"]
    lines += [target.line(results) for target in TARGETS]
    return "## Targets\n\n" + "\n".join(lines)


def payload_tables(results, payload):
    """How the peers compare, and what they take in milliseconds."""
    of_ours = row_of(results, payload=payload, what="payload")
    parts = [f"## {TITLES[payload]}", described(results, payload, of_ours)]
    for what, title in (("load", ""), ("cold", "Cold:")):
        rows = rows_of(results, payload=payload, what=what)
        if rows:
            parts += [title, loads_table(results, payload, rows)]
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
    head = "| peer by tensorcache | open | first | full | put | open ms | full ms | put ms | MB |"
    lines = [head, "|" + " --- |" * 9]
    lines.append(ours_line(results, payload, rows))
    for row in rows:
        if "error" in row:
            lines.append(f"| {row['peer']} | {row['error']} |" + " |" * 7)
            continue
        write = row_of(results, payload=payload, what="write", peer=row["peer"])
        cells = [shown(pairs(row, step)) for step in STEPS]
        cells.append(shown(pairs(write, "durable")))
        cells += [absolute(row["peer_seconds"]["open"]), absolute(row["peer_seconds"]["full"])]
        cells += [absolute(write["peer_seconds"]["durable"]), f"{write['disk'] / 1e6:,.1f}"]
        lines.append(f"| {row['peer']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def ours_line(results, payload, rows):
    disk = row_of(results, payload=payload, what="payload")["sizes"]["disk"]
    what = rows[0]["what"]
    times = [absolute(ours_in(results, payload, step, what)) for step in ("open", "full")]
    times.append(absolute(ours_in(results, payload, "durable", "write")))
    return "| **tensorcache** | 1 | 1 | 1 | 1 | " + " | ".join(times) + f" | {disk / 1e6:,.1f} |"


def memory_table(results):
    """Four processes that hold the same payload at once."""
    rows = rows_of(results, what="memory")
    if not rows:
        return ""
    payload = rows[0]["payload"]
    lines = ["| peer | of its own, each, MB | of all four, MB |", "| --- | --- | --- |"]
    for row in sorted(rows, key=lambda row: total(row, "pss")):
        own = median(one["uss"] for one in row["shared"]) / 1e6
        lines.append(f"| {row['peer']} | {own:,.1f} | {total(row, 'pss') / 1e6:,.0f} |")
    head = (
        f"## Memory of four processes\n\nEach holds the payload of {TITLES[payload]} and has "
        "touched every tensor; what this adds to the memory of a process that has imported all."
    )
    return head + "\n\n" + "\n".join(lines)


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
