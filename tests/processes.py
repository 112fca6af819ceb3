"""Real processes for the tests: scripts of their own, and children that die at a chosen call.

`python` runs a script. A `Nursery` is a process that has imported everything once and forks a
child for each deed, so that killing one at every system call that it makes stays cheap: the child
stops itself, strace is attached and told where to kill, and the child goes on.
"""

from __future__ import annotations

import collections
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

REPO = Path(__file__).parents[1]
PATH = os.pathsep.join(str(REPO / name) for name in ("", "tests", "tests/faults"))
ENVIRONMENT = {**os.environ, "PYTHONPATH": PATH, "OMP_NUM_THREADS": "1"}
# The calls that change what is on disk; a death between two of them looks like one at the second.
CHANGES = ("rename", "fsync", "fdatasync", "unlink", "mkdir", "rmdir", "write", "pwrite64")
_NURSERY = """
import gc, os, signal, sys
import alembic.command, alembic.config, alembic.runtime.migration, deeds, roots, told, torch
import tensorcache
from tensorcache import column, explain, index, rows, vacuum
sys.dont_write_bytecode = True  # or the first child would make calls that no other makes
torch.set_num_threads(1)
gc.freeze()  # or each child that collects writes to, and so copies, the pages of all modules
deeds.warm_up(sys.argv[1])
gc.freeze()
print("ready", flush=True)
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
        try:
            exec(eval(line))
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


def start(code: str, *args: object, env=(), **options) -> subprocess.Popen[str]:
    """Start a script with `args` after it, `env` in its environment; its output is in pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT | dict(env),
        **options,
    )


def python(code: str, *args: object, **options) -> str:
    """What a script prints; it must end well, and in silence otherwise."""
    with start(code, *args, **options) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err == ""
    return out


def wait_for(condition, seconds: float = 20.0) -> None:
    """Return as soon as `condition()` holds; it must, in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def lacks_strace() -> str:
    """Why no child can be killed at a chosen call here; "" if one can."""
    strace = shutil.which("strace")
    if strace is None:
        return "strace is not installed"
    tried = subprocess.run([strace, "-o", os.devnull, "true"], capture_output=True, check=False)
    return f"strace cannot trace here: {tried.stderr!r:.80}" if tried.returncode else ""


class Nursery:
    """A process that forks children; see the module."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log

    def _say(self, code: str) -> None:
        print(repr(code), file=self._process.stdin, flush=True)

    def _hear(self) -> int:
        return int(self._process.stdout.readline())

    def begin(self, code: str, *options: str) -> Child:
        """Start `code` in a child under strace."""
        self._say(code)
        pid = self._hear()
        wait_for(lambda: _field(pid, "State").startswith("T"))
        strace = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", str(self._log), *options, "-p", str(pid)],
            stderr=subprocess.PIPE,
        )
        wait_for(lambda: _field(pid, "TracerPid") != "0")
        os.kill(pid, signal.SIGCONT)
        return Child(pid, strace, self._hear)

    def trace(self, code: str, *options: str) -> int:
        """Run `code` in a child under strace; its exit code, negative for a signal."""
        return self.begin(code, *options).end()

    def changes(self, code: str) -> collections.Counter[str]:
        """How often a child that runs `code` makes each call of `CHANGES`."""
        assert self.trace(code, "-e", f"trace={','.join(CHANGES)}") == 0
        calls = re.findall(r"^\d+ +(\w+)\(", self._log.read_text(), re.MULTILINE)
        return collections.Counter(calls)

    def calls(self, code: str, root: Path) -> list[Call]:
        """The calls on paths and descriptors below `root` that a child makes, in order."""
        assert self.trace(code, "-y", "-s", "0", "-e", "trace=%file,%desc") == 0
        made: collections.Counter[tuple[str, str]] = collections.Counter()
        calls = []
        for line in self._log.read_text(errors="replace").splitlines():
            started = re.match(r"(\d+) +(\w+)\((.*)", line)  # not where one is resumed
            if started:
                thread, name, arguments = started.groups()
                made[thread, name] += 1
                if str(root) in arguments:
                    calls.append(Call(name, made[thread, name]))
        return calls

    def said(self) -> str:
        """What strace wrote of the last child."""
        return self._log.read_text(errors="replace")

    def kill_at(self, code: str, call: str, count: int) -> None:
        """Run `code` in a child that dies as it enters the `count`th `call`, which is not made."""
        inject = f"inject={call}:signal=KILL:when={count}"
        assert self.trace(code, "-e", f"trace={call}", "-e", inject) == -signal.SIGKILL

    def fail_at(self, code: str, call: str, count: int, error: str, *, on: bool = False) -> int:
        """Run `code` in a child whose `count`th `call` fails, and with `on` all later ones; its
        exit code.
        """
        inject = f"inject={call}:error={error}:when={count}{'+' * on}"
        exit_code = self.trace(code, "-e", f"trace={call}", "-e", inject)
        assert "(INJECTED)" in self._log.read_text(errors="replace"), "the fault did not fire"
        return exit_code

    @contextlib.contextmanager
    def frozen_at(self, code: str, call: str, count: int, *options: str) -> Iterator[Child]:
        """Run `code` in a child that stands still once it has made the `count`th `call` (of those
        that the options of strace leave), and goes on when the block ends, to its end.
        """
        inject = f"inject={call}:signal=STOP:when={count}"
        child = self.begin(code, *options, "-e", f"trace={call}", "-e", inject)
        # Not the stop that every child begins with.
        frozen = re.compile(r"--- SIGSTOP \{.*--- stopped by SIGSTOP ---", re.DOTALL)
        try:
            wait_for(lambda: frozen.search(self._log.read_text(errors="replace")))
            yield child
        finally:
            with contextlib.suppress(ProcessLookupError):  # the block may have killed it
                os.kill(child.pid, signal.SIGCONT)
            child.exit_code = child.end()


class Call(NamedTuple):
    """The `count`th call of this name that a process makes, as strace counts."""

    name: str
    count: int


class Child:
    """A child of the nursery under strace; `exit_code` is None while it lives."""

    def __init__(self, pid: int, strace: subprocess.Popen[bytes], hear: Callable[[], int]) -> None:
        self.pid = pid
        self.exit_code: int | None = None
        self._strace = strace
        self._hear = hear

    def end(self) -> int:
        """Wait for its end; its exit code, negative for a signal."""
        exit_code = self._hear()
        self._strace.communicate(timeout=20)
        return exit_code


@contextlib.contextmanager
def nursery(directory: Path) -> Iterator[Nursery]:
    """A nursery that works in `directory`; skips the test where strace cannot be had."""
    if why := lacks_strace():
        pytest.skip(why)
    with start(_NURSERY, directory / "warm", stdin=subprocess.PIPE) as process:
        process.stderr.close()
        assert process.stdout.readline() == "ready\n"
        yield Nursery(process, directory / "strace.log")
        process.stdin.close()


def _field(pid: int, name: str) -> str:
    status = Path(f"/proc/{pid}/status").read_text()
    return re.search(rf"^{name}:\t(.*)$", status, re.MULTILINE)[1]


def as_one_whom_modes_bind(*command: str) -> tuple[str, ...]:
    """A command that cannot write where modes forbid it, though we be root."""
    if os.geteuid() != 0:
        return command
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed, and modes do not bind root")
    return "setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", *command


def ran(*command: object, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """A command that has ended, however it did; its output is text."""
    return subprocess.run(
        [*map(str, command)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
