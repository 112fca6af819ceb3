"""Law 1 without power: what was acknowledged stays, and what was not is whole or not there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from acknowledged import SEQUENCES, code_of
from images import FILESYSTEMS, Cut, power_supply
from processes import Call
from scale import HOURS, IS_SOAK, _turn, reached

# Cuts of each step at calls, beside those at the end: in `make test`, and in an hour of soak.
SAMPLE, SOAK = 2, {"ext4": 25, "xfs": 10, "btrfs": 10}
KINDS = list(FILESYSTEMS) if IS_SOAK else ["ext4"]
# What brings anything to the disk, and what changes anything that a journal may bring there.
SYNCS = {"fsync", "fdatasync"}
CHANGES = {"rename", "unlink", "mkdir", "rmdir", "write", "pwrite64", "ftruncate", "fallocate"}


@pytest.fixture(scope="module")
def power(shm):
    with power_supply(shm) as power:
        yield power


def cuts_of(kind: str, steps: int, calls: list[Call]) -> Iterator[Cut]:
    """One after the end on each mount, always; and some of those at a call that may matter."""
    mounts = FILESYSTEMS[kind].mounts
    yield from mounts
    at_calls = [
        mount._replace(call=call)
        for call in calls
        for mount in mounts
        if call.name in (SYNCS | CHANGES if mount.eager else SYNCS)
    ]
    most = steps * (max(SAMPLE, int(SOAK[kind] * HOURS)) if IS_SOAK else SAMPLE)
    step = max(1, len(at_calls) // most)
    at_calls = at_calls[_turn() % step :: step]  # others at each commit
    assert len(at_calls) >= SAMPLE
    yield from at_calls


@pytest.mark.slow
@pytest.mark.timeout(3000 if IS_SOAK else 300)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SEQUENCES)
def test_a_power_cut_takes_nothing_that_was_acknowledged(name, kind, power, seed, shm):
    filesystem = FILESYSTEMS[kind]
    if shutil.which(filesystem.make[0]) is None:
        pytest.skip(f"{filesystem.make[0]} is not installed")
    said = shm / "acknowledged"
    said.touch()
    code = code_of(name, power.root, said)
    layout = (
        f"from acknowledged import prepare\nprepare({name!r}, {str(power.root)!r}, {str(seed)!r})"
    )
    image = power.image(filesystem, layout)
    calls = power.calls_on(image, code, filesystem.mounts[0].options)
    cases = acknowledged = 0
    for cut in cuts_of(kind, len(SEQUENCES[name]), calls):
        said.write_bytes(b"")
        left = power.cut(image, code, cut)
        steps = said.stat().st_size
        assert cut.call or steps == len(SEQUENCES[name])
        look = (
            f"from acknowledged import survived\nsurvived({name!r}, {str(power.root)!r}, {steps})"
        )
        with power.mounted(left, cut.options):
            try:
                power.run(look)
            except AssertionError as error:
                raise AssertionError(f"{kind}, {cut}: {error}") from error
        cases += 1
        acknowledged += steps
    reached("power cut", cases=cases, acknowledged=acknowledged, lost=0)
