"""Disks that lose their power: filesystems in files, mounted where nobody else sees them.

A power cut takes whatever was not synced. It is played by copying the file that a filesystem lies
in *while it is mounted*: the copy has what had reached the disk, and nothing of the page cache.
Mounting the copy plays the journal of the filesystem back, as after a real cut.

Mounts live in a mount namespace of the nursery's own, where the deed and the look at what is left
run as well. So they and their loop devices are gone with its process, however a test ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from processes import _NURSERY, ENVIRONMENT, Call, Nursery, _field, lacks_strace, wait_for

# Below a mount that is not ours to see the kernel names descriptors from that mount on.
ROOT = "/power-cut"
# It only asks the disk to begin; here it does nothing, for a promise may not rest on it.
_LIE = ("-e", "inject=sync_file_range:retval=0")


class Cut(NamedTuple):
    """When the power goes: as a call is entered (None: after the last one), and on which mount.

    `eager`: just then the filesystem has written its own journal, as it does every few seconds:
    names and sizes are there, and data that nobody synced is not.
    """

    options: str
    eager: bool
    call: Call | None = None


class Filesystem(NamedTuple):
    """How one is made in a file of `size`, and mounted; see `Cut`."""

    make: tuple[str, ...]
    size: str
    mounts: tuple[Cut, ...]


FILESYSTEMS = {
    "ext4": Filesystem(
        ("mkfs.ext4", "-qF", "-m0", "-Elazy_itable_init=0,lazy_journal_init=0"),
        "16M",
        (
            Cut("commit=600", eager=False),
            Cut("commit=600,data=writeback,noauto_da_alloc", eager=True),
        ),
    ),
    "xfs": Filesystem(
        ("mkfs.xfs", "-qf"), "300M", (Cut("nouuid", eager=False), Cut("nouuid", eager=True))
    ),
    # Whatever it writes by itself it writes whole, data and all: there is no eager cut.
    "btrfs": Filesystem(("mkfs.btrfs", "-qf"), "128M", (Cut("commit=600", eager=False),)),
}


class Power(Nursery):
    """A nursery whose children may lose their power; see the module."""

    def __init__(self, process: subprocess.Popen[str], directory: Path) -> None:
        super().__init__(process, directory / "power.log")
        self._namespace = ("nsenter", f"--mount=/proc/{process.pid}/ns/mnt", "--")
        self._directory = directory
        self._disk = directory / "disk"
        self._disk.mkdir()
        self.root = Path(f"{self._disk}{ROOT}")

    def tell(self, *command: object) -> None:
        """Run a command where the mounts are."""
        done = subprocess.run(
            [*self._namespace, *map(str, command)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"

    def run(self, code: str) -> None:
        """Run code in a child, untraced; it must end well."""
        told = (
            "import traceback\n"
            f"try:\n{textwrap.indent(code, '    ')}\n"
            "except BaseException:\n    traceback.print_exc()\n    raise\n"
        )
        errors = self._directory / "power.err"
        os.truncate(errors, 0)
        self._say(told)
        pid = self._hear()
        wait_for(lambda: _field(pid, "State").startswith("T"))
        os.kill(pid, signal.SIGCONT)
        assert self._hear() == 0, errors.read_text()

    @contextlib.contextmanager
    def mounted(self, image: Path, options: str) -> Iterator[None]:
        """Have the filesystem in `image` at hand."""
        self.tell("mount", "-o", f"loop,{options}", image, self._disk)
        try:
            yield
        finally:
            self.tell("umount", self._disk)

    def image(self, filesystem: Filesystem, code: str) -> Path:
        """A filesystem, after `code` has run on it and all is synced."""
        image = self._directory / "begun.img"
        image.unlink(missing_ok=True)
        subprocess.run(["truncate", f"-s{filesystem.size}", image], check=True)
        subprocess.run([*filesystem.make, image], check=True, capture_output=True)
        with self.mounted(image, filesystem.mounts[0].options):
            self.run(code)
        return image

    def calls_on(self, image: Path, code: str, options: str) -> list[Call]:
        """The calls on the root that `code` makes, on a copy of `image`."""
        with self.mounted(self._copy(image, "used"), options):
            return self.calls(code, Path(ROOT))

    def cut(self, image: Path, code: str, cut: Cut) -> Path:
        """What the disk has when `code` ran on a copy of `image` and the power went."""
        used = self._copy(image, "used")
        with self.mounted(used, cut.options):
            self._run_until(code, cut.call)
            if cut.eager:
                other = f"{self._disk}/other"
                self.tell("sh", "-c", f"echo . >>{other} && sync {other}")
            return self._copy(used, "left")

    def _run_until(self, code: str, call: Call | None) -> None:
        if call is None:
            assert self.trace(code, "-e", "trace=sync_file_range", *_LIE) == 0
            return
        kill = f"inject={call.name}:signal=KILL:when={call.count}"
        trace = f"trace={call.name},sync_file_range"
        assert self.trace(code, "-e", trace, *_LIE, "-e", kill) == -signal.SIGKILL

    def _copy(self, image: Path, name: str) -> Path:
        copy = self._directory / f"{name}.img"
        subprocess.run(["cp", "--sparse=always", image, copy], check=True)
        return copy


@contextlib.contextmanager
def power_supply(directory: Path) -> Iterator[Power]:
    """A `Power` that works in `directory`; skips the test where it cannot be had."""
    why = lacks_strace()
    if not why and os.geteuid() != 0:
        why = "only root can mount"
    for tool in ("unshare", "nsenter", "mount", "mkfs.ext4"):
        why = why or ("" if shutil.which(tool) else f"{tool} is not installed")
    if why:
        pytest.skip(why)
    (directory / "power.err").touch()
    with (
        open(directory / "power.err", "a") as errors,
        subprocess.Popen(
            ["unshare", "--mount", sys.executable, "-c", _NURSERY, directory / "powered"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=ENVIRONMENT,
            start_new_session=True,
        ) as process,
    ):
        try:
            if process.stdout.readline() != "ready\n":
                pytest.skip(f"no namespace for mounts: {(directory / 'power.err').read_text():.80}")
            power = Power(process, directory)
            _skip_without_loops(power)
            yield power
        finally:
            with contextlib.suppress(ProcessLookupError):  # children that stand still too
                os.killpg(process.pid, signal.SIGKILL)


def _skip_without_loops(power: Power) -> None:
    try:
        power.image(FILESYSTEMS["ext4"], "pass")
    except AssertionError as error:
        pytest.skip(f"no filesystem in a file can be mounted here: {error!s:.80}")
