"""docs/case-study.md and its plots, from benchmarks/sweep_worth.json: no figure is typed by hand.

python benchmarks/case_study.py            # print the page
python benchmarks/case_study.py --write    # write it, and draw the plots
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from statistics import median

REPO = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("sweep_worth.json")
HIT_SECONDS = 0.050
WHOLE_SECONDS = 60 * 60
HEAD = """\
# Case study: ten trials of Model A

<!-- Written by benchmarks/case_study.py from sweep_worth.json: do not edit. -->

"""
INTRODUCTION = """\
A sweep runs `scripts/3_train_model_a.py` once per trial, each a process of its own, and its trials
differ in learning rate and dropout alone: all train on the same lists and batches. Here {trials}
trials are run with the cache, which begins empty, and without it (`paths.batch_cache: false`), in
turn, on the same machine. Seconds are those that a trial says of itself: *import* until all code is
there, *get-or-build* until the batches are (of a trial that waits while another builds: *wait*),
and *train*, which is the same with and without: {epochs} epochs a fit. {usual}
"""
USUAL = (
    "As the config has it, with {epochs} epochs, training at {cap} takes {train_seconds:.1f} s, so "
    "what is saved is less of a usual trial than of these."
)
WHERE = (
    "`{command}` measured this on {day}, in {minutes:.0f} minutes, at commit {commit}, on the "
    "{label} league: {cpu}, {gb:.0f} GB of memory, {system}, load {load:.1f} at the start; "
    "{versions}; torch with one thread."
)
ONE_BUILD = (
    "To have its batches, a trial without the cache lays out their tensors too, which is no part "
    "of the seconds of the builder alone."
)
COLOURS = {"import": "#999999", "wait": "#F0E442", "get-or-build": "#D55E00", "train": "#0072B2"}


def text(results):
    """The page; `results` None where nothing has been measured."""
    if results is None:
        return HEAD + "Not yet measured: `python benchmarks/sweep_worth.py` writes this page.\n"
    parts = [HEAD.strip(), introduction(results), targets(results), sums(results)]
    parts += [worth(results), plots()]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def introduction(results):
    run = results["run"]
    versions = ", ".join(
        f"{name} {run['versions'][name]}" for name in ("Python", "torch", "numpy", "sqlalchemy")
    )
    where = WHERE.format(
        **run | {"versions": versions},
        minutes=run["seconds"] / 60,
        gb=run["memory_bytes"] / 1e9,
        label=results["sweeps"][0]["trials"][0]["label"],
    )
    usual = results["usual"]
    said = INTRODUCTION.format(
        trials=len(results["sweeps"][0]["trials"]),
        epochs=run["epochs"],
        usual=USUAL.format(**usual | {"cap": cap_said(usual["cap"])}),
    )
    return f"{textwrap.fill(said, 100)}\n\n{textwrap.fill(where, 100)}"


def targets(results):
    """What was aimed at, and what was reached."""
    cached = [sweep for sweep in results["sweeps"] if sweep["cached"]]
    hits = [trial["get_or_build_seconds"] for sweep in cached for trial in of_state(sweep, "hit")]
    builds = [len(of_state(sweep, "miss")) for sweep in cached]
    trials = len(cached[0]["trials"])
    alone = [sweep for sweep in cached if sweep["jobs"] == 1]
    beyond_one = [got(sweep) - one_build(results, sweep["cap"]) for sweep in alone]
    beyond_builder = [got(sweep) - built(sweep) for sweep in alone]
    minutes = results["run"]["seconds"] / 60
    rows = [
        (
            "a hit, beyond imports, at any cap",
            f"≤ {1000 * HIT_SECONDS:.0f} ms",
            f"median {1000 * median(hits):.1f} ms, worst {1000 * max(hits):.1f} ms",
            max(hits) <= HIT_SECONDS,
        ),
        (
            f"builds that {trials} trials pay for",
            "1",
            f"{min(builds)} to {max(builds)} in {len(builds)} sweeps",
            set(builds) == {1},
        ),
        *(
            (
                f"one job: get-or-build of all trials, beyond {what}",
                f"≤ {trials} x {1000 * HIT_SECONDS:.0f} ms",
                f"worst {1000 * max(beyond):.0f} ms of {len(beyond)} sweeps",
                max(beyond) <= trials * HIT_SECONDS,
            )
            for what, beyond in (
                ("one build, as a trial without the cache has it", beyond_one),
                ("the one build, by the seconds of the builder alone", beyond_builder),
            )
        ),
        ("the whole measurement", "≤ 60 minutes", f"{minutes:.0f} minutes", minutes <= 60),
    ]
    cells = [[*said, "yes" if reached else "**no**"] for *said, reached in rows]
    head = ["", "must", "measured", "reached"]
    return f"## Targets\n\n{table(head, cells)}\n\n{textwrap.fill(ONE_BUILD, 100)}"


def sums(results):
    """What the trials of a sweep took together, medians of the rounds."""
    lines = []
    for cap, jobs in groups(results):
        for cached in (True, False):
            sweeps = chosen(results, cap, jobs, cached)
            parts = [middle(sweeps, name) for name in COLOURS]
            wall = median(sweep["wall_seconds"] for sweep in sweeps)
            with_cache = "with" if cached else "without"
            seconds = [f"{value:.2f}" for value in parts]
            count = str(len(sweeps))
            lines.append([cap_said(cap), str(jobs), with_cache, count, *seconds, f"{wall:.1f}"])
    head = ["lists", "jobs", "cache", "rounds", *(f"{name} s" for name in COLOURS), "sweep s"]
    said = "Seconds of all trials together, and of the sweep by the clock."
    return f"## Sums of a sweep\n\n{said}\n\n{table(head, lines)}"


def worth(results):
    """What the cache saves a trial at each cap, one job, and whether that pays."""
    lines, pays = [], []
    for cap in sorted({cap for cap, _ in groups(results)}, key=lambda cap: cap or 1e9):
        on, off = chosen(results, cap, 1, True), chosen(results, cap, 1, False)
        build = one_build(results, cap)
        hit = median(t["get_or_build_seconds"] for sweep in on for t in of_state(sweep, "hit"))
        saved = median(map(got, off)) - median(map(got, on))
        share = saved / median(sweep["wall_seconds"] for sweep in off)
        size = f"{on[0]['cache_bytes'] / 1e6:,.1f} MB"
        cells = [f"{build:.2f} s", f"{1000 * hit:.1f} ms", f"{saved:.1f} s", f"{share:.0%}", size]
        lines.append([cap_said(cap), *cells])
        if saved > 0:
            pays.append(cap_said(cap))
    head = ["lists", "a build", "a hit", "saved in the sweep", "of its time", "on disk"]
    said = f"The cache pays at: {', '.join(pays)}." if pays else "The cache pays at none of these."
    return f"## At which size it pays\n\nOne job.\n\n{table(head, lines)}\n\n{said}"


def plots():
    return (
        "## Plots\n\n![seconds of the trials of a sweep, with and without the cache]"
        "(case-study-sums.svg)\n\n![get-or-build of each trial](case-study-trials.svg)"
    )


def groups(results):
    """Each (cap, jobs), in the order in which they were measured."""
    return list(dict.fromkeys((sweep["cap"], sweep["jobs"]) for sweep in results["sweeps"]))


def chosen(results, cap, jobs, cached):
    asked = {"cap": cap, "jobs": jobs, "cached": cached}
    return [sweep for sweep in results["sweeps"] if asked.items() <= sweep.items()]


def one_build(results, cap):
    """Seconds that a trial without the cache takes to have its batches."""
    off = chosen(results, cap, 1, False)
    return median(trial["get_or_build_seconds"] for sweep in off for trial in sweep["trials"])


def of_state(sweep, state):
    return [trial for trial in sweep["trials"] if trial["cache"] == state]


def got(sweep):
    """Seconds of get-or-build of all trials, waits included."""
    return sum(trial["get_or_build_seconds"] for trial in sweep["trials"])


def built(sweep):
    """Seconds of the builds themselves, as the cache timed them."""
    return sum(trial["build_seconds"] for trial in of_state(sweep, "miss"))


def middle(sweeps, name):
    """The median of the sweeps, of what all trials of one spent on a part."""
    return median(sum(part(trial, name) for trial in sweep["trials"]) for sweep in sweeps)


def part(trial, name):
    if name in ("wait", "get-or-build"):
        waited = trial["cache"] == "wait"
        return trial["get_or_build_seconds"] if waited == (name == "wait") else 0.0
    return trial[f"{name}_seconds"]


def cap_said(cap):
    return "every date" if cap is None else f"{cap} / {cap}"


def table(head, lines):
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def draw(results, folder):
    """Two plots: sums of each sweep, and each trial of the first with and without."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams |= {"svg.hashsalt": "tensorcache", "font.size": 9, "svg.fonttype": "none"}
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.subplots()
    ticks = []
    for place, (cap, jobs) in enumerate(groups(results)):
        for beside, cached in ((-0.2, True), (0.2, False)):
            bottom = 0.0
            for name, colour in COLOURS.items():
                value = middle(chosen(results, cap, jobs, cached), name)
                said = name if not ticks and cached else None
                axes.bar(place + beside, value, 0.36, bottom, color=colour, label=said)
                bottom += value
        ticks.append(f"{cap_said(cap)}, {jobs} job{'s' * (jobs > 1)}\nwith | without")
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set_ylabel("seconds of all trials")
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(folder / "case-study-sums.svg", metadata={"Date": None})
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.subplots()
    cap, jobs = groups(results)[0]
    for cached, colour in ((True, "#0b6e4f"), (False, "#D55E00")):
        sweep = chosen(results, cap, jobs, cached)[0]
        seconds = [trial["get_or_build_seconds"] for trial in sweep["trials"]]
        said = "with" if cached else "without"
        axes.plot(
            range(1, len(seconds) + 1), seconds, "o-", color=colour, label=f"{said} the cache"
        )
    axes.set(yscale="log", xlabel="trial", ylabel=f"seconds of get-or-build, {cap_said(cap)}")
    axes.legend(frameon=False)
    figure.savefig(folder / "case-study-trials.svg", metadata={"Date": None})


def write(results, folder):
    """The page, and where there are results its plots."""
    (folder / "case-study.md").write_text(text(results), "utf-8")
    if results is not None:
        draw(results, folder)


if __name__ == "__main__":
    there = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else None
    if "--write" in sys.argv[1:]:
        write(there, REPO / "docs")
    else:
        sys.stdout.write(text(there))
