"""What a sweep will build, find and share, before anything runs; and the builds alone.

Rules of this room: which keys there are, and what the cache holds of them, script 3 says, for all
trials in one process (`--plan --json CONFIG...`). Nothing is left behind but what is built.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from model_a.errors import BadInput

from sweep import run, space, trials
from sweep.space import Sweep

Plan = Mapping[str, Any]


def show(sweep: Sweep, base: dict[str, Any], folder: Path) -> int:
    """Print how many builds, hits, bytes and minutes are ahead; the exit code.

    Raises:
        BadInput: script 3 cannot say, or the sampler makes it impossible to.
    """
    kept = trials.kept_count(sweep, folder)
    with tempfile.TemporaryDirectory() as aside:
        configs = _configs(sweep, base, folder, Path(aside))
        if configs:
            print("\n".join(lines(_asked(configs), sweep, kept)))
    if kept:
        left = "" if configs else ": nothing is ahead"
        print(f"{'  ' if configs else 'plan: '}{kept} of the trials have run, and are kept{left}")
    return 0


def check_kept(sweep: Sweep, base: dict[str, Any], folder: Path) -> None:
    """Refuse to go on where the batches of a kept trial are no longer what it would have now.

    Its league or the code that builds is another by now, and results of the two are not to be put
    side by side.

    Raises:
        BadInput: so it is, or script 3 cannot say.
    """
    rows = (trials.kept(n, folder) for n in range(1, trials.count_of(sweep) + 1))
    kept = [(chosen or {}, row) for chosen, row in rows if row and row.get("key")]
    if not kept:
        return
    with tempfile.TemporaryDirectory() as aside:
        plan = _asked(_written(base, folder, Path(aside), [chosen for chosen, _ in kept]))
    for (_, row), now in zip(kept, plan["trials"], strict=True):
        if now["key"] and now["key"] != row["key"]:
            raise BadInput(
                f"{str(folder)!r} holds trials of another league or code: trial {row['trial']} had "
                f"batches {row['key'][:16]}, and would have {now['key'][:16]}: choose another "
                "--batch-id"
            )


def warm(sweep: Sweep, base: dict[str, Any], folder: Path, jobs: int) -> int:
    """Build each key that is not there once, `jobs` at a time; 1 if a build failed.

    Raises:
        BadInput: see `show`.
    """
    with tempfile.TemporaryDirectory() as aside:
        configs = _configs(sweep, base, folder, Path(aside))
        plan: Plan = _asked(configs) if configs else {"trials": []}
        waiting = [one["config"] for one in plan["trials"] if one["state"] == "build"]
        print(f"warm: {_builds(len(waiting))}, {jobs} at a time", flush=True)
        running: list[tuple[Path, subprocess.Popen[bytes]]] = []
        failed = False
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    config = Path(waiting.pop(0))
                    words = ["--build-only", "--config", config]
                    out, err = config.with_suffix(".out"), config.with_suffix(".err")
                    running.append((config, run.script_3(words, out, err)))
                for one in [one for one in running if one[1].poll() is not None]:
                    running.remove(one)
                    said, code = one[0].with_suffix(".err"), one[1].returncode
                    failed = failed or code != 0
                    print(trials.last_line(said) if code else _built(one[0]), flush=True)
                time.sleep(run.POLL_SECONDS)
        finally:
            run.end(process for _, process in running)
    return int(failed)


def lines(plan: Plan, sweep: Sweep, kept: int = 0) -> list[str]:
    """The plan as lines, without the trials that are `kept`: a total, and a line for each key."""
    most = ""
    if trials.planned(sweep) is None:
        most = "at most "
    count = len(plan["trials"]) if not most else (sweep.trials or 0) - kept
    seconds = plan["seconds"]
    minutes = "nobody knows how long" if seconds is None else f"about {seconds / 60:.1f} minutes"
    size = "" if plan["bytes"] is None else f", {plan['bytes'] / 1e6:,.1f} MB"
    said = f"plan: {count} trials: {most}{_builds(plan['builds'])}{size}, {minutes}"
    said += f" of building; {plan['hits']} found in the cache"
    shared = Counter(one["key"] for one in plan["trials"])
    each, told = [], set[str]()
    for one in plan["trials"]:
        if one["state"] != "same" and one["key"] not in told:
            told.update([one["key"]] if one["key"] else [])
            trials_said = "" if most else f", {shared[one['key']]} trials"
            each.append(f"  {(one['key'] or 'no key')[:16]} {one['state']}{trials_said}")
    return [said, *each]


def _builds(count: int) -> str:
    return "1 build" if count == 1 else f"{count} builds"


def _configs(sweep: Sweep, base: dict[str, Any], folder: Path, aside: Path) -> list[Path]:
    """A config file of each trial that is left, or where nobody knows them, of each shape."""
    choices = trials.planned(sweep)
    if choices is not None:
        choices = [
            chosen
            for number, chosen in enumerate(choices, 1)
            if trials.kept(number, folder)[1] is None
        ]
    else:
        choices = space.shapes(
            sweep.dimensions,
            lambda chosen: trials.shape_of(trials.config_of(chosen, base, folder)),
        )
    return _written(base, folder, aside, choices)


def _written(
    base: dict[str, Any], folder: Path, aside: Path, choices: list[dict[str, Any]]
) -> list[Path]:
    """A config file of each choice."""
    paths = []
    for number, chosen in enumerate(choices, 1):
        config = trials.config_of(chosen, base, folder / f"combo_{number:04d}")
        paths.append(aside / f"{number:04d}.yaml")
        text = yaml.safe_dump(config.model_dump(), sort_keys=False, allow_unicode=True)
        paths[-1].write_text(text, encoding="utf-8")
    return paths


def _asked(configs: list[Path]) -> Plan:
    """What script 3 says of the configs.

    Raises:
        BadInput: it cannot say.
    """
    words = [sys.executable, run.SCRIPT_3, "--plan", "--json", *configs]
    asked = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    if asked.returncode:
        said = asked.stderr.strip().splitlines() or ["script 3 said nothing"]
        raise BadInput(said[-1].removeprefix("error: "))
    plan: Plan = json.loads(asked.stdout)
    return plan


def _built(config: Path) -> str:
    """What script 3 said of the build, in a line."""
    said = config.with_suffix(".out").read_text(encoding="utf-8").splitlines()
    return next((line for line in reversed(said) if line.startswith("cache: ")), "cache: off")
