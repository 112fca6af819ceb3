"""Run script 3 once for every trial of a sweep, and put the results side by side.

    python scripts/sweep_hparams.py --phase rolling --jobs 2
    python scripts/sweep_hparams.py --sweep FILE [--plan | --warm] [--sampler grid|random|tpe]

A sweep file names what may be chosen (config/sweep_*.yaml are the phases). Each trial is a process
of its own, told everything by `<outputs>/sweeps/<batch_id>/combo_NNNN/config.yaml`; what they left
is in results.parquet and report.html beside them. Ctrl-C keeps the trials that have ended; the same
command again goes on, and tries again those that failed. --plan says what is ahead; --warm builds
it, each key once, and trains nothing.

Exit 0, or 1 if a trial failed, 2 with one line if the sweep is wrong, 3 if a disk is full or
read-only, 130 if interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import signal
import sys
from pathlib import Path
from typing import Any

from disk import BadDisk
from model_a.config import check_config
from model_a.errors import BadInput
from model_a.trace import OBJECTIVES
from options import Options
from sweep import live, plan, report, run, space, study, trials
from sweep.space import CONFIG, PHASES, Sweep

OVER = ("sampler", "objective", "trials", "seed")  # of the file, each an option too


def main() -> int:
    """0 when all went well, 1 if a trial failed, 2 if the sweep is wrong, 3 for a bad disk."""
    options = _options()
    try:
        path = options.sweep or CONFIG / f"sweep_{options.phase}.yaml"
        given = {
            name: getattr(options, name) for name in OVER if getattr(options, name) is not None
        }
        sweep = space.read_sweep(path, given)
        if sweep.sampler == "tpe":
            study.check_installed()
        base = trials.base_of(sweep, options.config)
        outputs = options.outputs or check_config(base).paths.outputs
        folder = Path(outputs) / "sweeps" / (options.batch_id or Path(path).stem)
        trials.check(sweep, base, folder)
        if options.plan:
            return plan.show(sweep, base, folder)
        if options.warm:
            return plan.warm(sweep, base, folder, options.jobs)
        with run.opened(folder, sweep, base):
            plan.check_kept(sweep, base, folder)
            return collect(sweep, base, folder, options.jobs)
    except (BadInput, BadDisk) as error:
        print(f"error: {error}", file=sys.stderr)
        return 3 if isinstance(error, BadDisk) else 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def collect(sweep: Sweep, base: dict[str, Any], folder: Path, jobs: int) -> int:
    """Run the trials and put their rows side by side; the exit code."""
    count, kept = trials.count_of(sweep), trials.kept_count(sweep, folder)
    said = f"sweep: {count} trials, {jobs} at a time, in {folder}"
    print(f"{said}; {kept} have run, and are kept" if kept else said, flush=True)
    rows: list[run.Row] = []
    interrupted = False
    try:
        with (
            live.board(count, sweep.objective) as board,
            contextlib.closing(run.run(sweep, base, folder, jobs, board)) as ending,
        ):
            for row in ending:
                rows.append(row)
                board.ended(row)
    except KeyboardInterrupt:
        interrupted = True
        print(
            f"interrupted: {len(rows)} of {count} trials are kept; the same command goes on",
            file=sys.stderr,
        )
    if rows:
        rows.sort(key=lambda row: row["trial"])
        report.write(folder, rows, sweep.objective, count)
        live.results(rows)
        print(f"sweep: {report.totals(rows, sweep.objective)}")
        print(f"report: {folder / 'report.html'}")
    failed = any(row["status"] == "failed" for row in rows)
    return 130 if interrupted else int(failed)


def _options() -> argparse.Namespace:
    parser = Options(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--sweep", metavar="FILE", help="YAML with `space`")
    which.add_argument("--phase", choices=PHASES, help="config/sweep_PHASE.yaml")
    parser.add_argument("--sampler", choices=("grid", "random", "tpe"), help="over the file's")
    parser.add_argument("--objective", choices=OBJECTIVES, help="over the file's")
    parser.add_argument("--trials", type=_at_least_1, metavar="N", help="over the file's")
    parser.add_argument("--seed", type=int, metavar="N", help="of the sampler, over the file's")
    parser.add_argument("--jobs", type=_at_least_1, default=1, help="trials at a time (1)")
    parser.add_argument("--outputs", metavar="DIR", help="instead of paths.outputs")
    parser.add_argument(
        "--config", action="append", default=[], metavar="FILE", help="for all trials"
    )
    parser.add_argument("--batch-id", type=_folder_name, help="folder name (that of the file)")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--plan", action="store_true", help="only say what is ahead")
    instead.add_argument("--warm", action="store_true", help="only build, each key once")
    return parser.parse_args()


def _at_least_1(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of at least 1")
    return int(text)


def _folder_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no plain folder name")
    return text


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as at Ctrl-C
    sys.exit(main())
