"""Trials as processes of script 3, several at a time, each watched while it runs.

Rules of this room: no trial outlives the sweep, and none is kept that did not end by itself or by
the sampler's word. What a trial builds or finds is between it and its cache, of which nothing is
known here.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from disk import writing
from model_a.errors import BadInput
from model_a.trace import TERMINATED

from sweep import trials
from sweep.space import Sweep
from sweep.trials import Trial
from sweep.watch import Seen

if TYPE_CHECKING:
    from sweep.live import Board
    from sweep.study import Study

SCRIPT_3 = Path(__file__).parents[1] / "3_train_model_a.py"
POLL_SECONDS = 0.05
PATIENCE_SECONDS = 10.0  # with a process that was asked to end
Row = dict[str, Any]


class Running(NamedTuple):
    """A trial's process, what it has said, and when it was started (seconds of a steady clock)."""

    trial: Trial
    process: subprocess.Popen[bytes]
    seen: Seen
    started: float
    asked_to_end: list[bool]  # empty, or True: the sampler has seen enough

    def row(self, objective: str) -> Row:
        """The trial's row, now that the process has ended."""
        code, error = self.process.returncode, None
        self.seen.look()
        if code == 0:
            status = "ok"
        elif self.asked_to_end and code in (TERMINATED, -signal.SIGTERM):
            status = "pruned"
        else:
            status, error = "failed", trials.last_line(self.trial.folder / "stderr.txt")
            if code < 0:
                error = f"killed by {signal.Signals(-code).name}, said last: {error}"
        seconds = time.monotonic() - self.started
        row = trials.row_of(self.trial, status, objective, self.seen, seconds, error)
        if status == "ok" and row["objective"] is None:
            row |= {"status": "failed", "error": f"metrics.json has no {objective} of this league"}
        return row


@contextlib.contextmanager
def opened(folder: Path, sweep: Sweep, base: dict[str, Any]) -> Iterator[None]:
    """The sweep's folder, begun or gone on with, and nobody else's meanwhile.

    Raises:
        BadInput: it is another sweep's, or one runs there, or it cannot be written.
        BadDisk: the disk is full or read-only.
    """
    asked = {"sweep": sweep.model_dump(exclude={"trials"}), "base": base}
    asked = json.loads(json.dumps(asked, default=str))
    if folder.exists() and any(folder.iterdir()) and not (folder / "lock").exists():
        raise BadInput(f"{str(folder)!r} is there already: choose another --batch-id")
    with writing(f"outputs: {str(folder)!r}", BadInput):
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput(
                f"another sweep runs in {str(folder)!r}: wait for it, or choose another --batch-id"
            ) from None
        before = trials.read_json(folder / "sweep.json")
        if before and before != asked:
            raise BadInput(
                f"{str(folder)!r} holds a sweep that differs in {_difference(before, asked)}: "
                "choose another --batch-id"
            )
        trials.write_json(folder / "sweep.json", asked)
        yield
    finally:
        os.close(lock)


def run(sweep: Sweep, base: dict[str, Any], folder: Path, jobs: int, board: Board) -> Iterator[Row]:
    """The row of every trial: those kept from before, then each as it ends, `jobs` at a time.

    Raises:
        BadInput: outputs cannot be written.
        BadDisk: their disk is full or read-only.
    """
    choices = trials.planned(sweep)
    count = trials.count_of(sweep)
    study = _study(folder, sweep) if choices is None else None
    before = {number: trials.kept(number, folder) for number in range(1, count + 1)}
    yield from (row for _, row in before.values() if row is not None)
    waiting = [number for number, (_, row) in reversed(before.items()) if row is None]
    running: dict[int, Running] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                number = waiting.pop()
                chosen = (
                    study.ask(number, before[number][0]) if study else (choices or [])[number - 1]
                )
                trial = trials.trial_of(number, chosen, folder)
                try:
                    config = trials.config_of(chosen, base, trial.folder)
                except BadInput as error:  # a sampler may put together what does not go together
                    row = trials.row_of(
                        trial, "failed", sweep.objective, Seen(trial.folder), 0.0, str(error)
                    )
                    yield _ended(trial, row, study)
                    continue
                trials.begin(trial, config)
                running[number] = start(trial, sweep.objective)
            for number, one in list(running.items()):
                if one.process.poll() is not None:
                    del running[number]
                    yield _ended(one.trial, one.row(sweep.objective), study)
                else:
                    _watch(one, study)
            board.show(running.values())
            time.sleep(POLL_SECONDS)
    finally:  # Ctrl-C: no trial outlives the sweep
        end(one.process for one in running.values())


def start(trial: Trial, objective: str) -> Running:
    """Script 3 with the trial's config."""
    progress = trial.folder / "progress.jsonl"
    words = ["--config", trial.folder / "config.yaml"]
    words += ["--progress", progress, "--objective", objective]
    process = script_3(words, trial.folder / "stdout.txt", trial.folder / "stderr.txt")
    return Running(trial, process, Seen(progress), time.monotonic(), [])


def script_3(words: list[Any], out: Path, err: Path) -> subprocess.Popen[bytes]:
    """Script 3 as a process, which says what it says into two files."""
    with out.open("wb") as stdout, err.open("wb") as stderr:
        return subprocess.Popen(
            [sys.executable, str(SCRIPT_3), *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )


def end(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    """Ask all to end, and wait until they have; who does not hear is killed."""
    left = list(processes)
    try:
        for process in left:
            process.terminate()
        until = time.monotonic() + PATIENCE_SECONDS
        for process in left:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
    finally:  # a second Ctrl-C has no patience
        for process in left:
            process.kill()
            process.wait()


def _ended(trial: Trial, row: Row, study: Study | None) -> Row:
    if trial.folder.exists():
        trials.keep(trial, row)
    if study:
        study.tell(trial.number, row["status"], row["objective"])
    return row


def _watch(one: Running, study: Study | None) -> None:
    for point in one.seen.look():
        if study and not one.asked_to_end and study.is_hopeless(one.trial.number, point):
            one.asked_to_end.append(True)
            one.process.terminate()


def _study(folder: Path, sweep: Sweep) -> Study:
    from sweep.study import Study  # optuna, which only its sampler needs

    return Study(folder, sweep)


def _difference(before: Any, asked: Any) -> str:
    """The dotted path at which two mappings first differ."""
    if not (isinstance(before, dict) and isinstance(asked, dict)):
        return ""
    name = next(name for name in [*before, *asked] if before.get(name) != asked.get(name))
    deeper = _difference(before.get(name), asked.get(name))
    return f"{name}.{deeper}" if deeper else str(name)
