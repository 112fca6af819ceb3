"""Law 6: whatever call fails, once or from then on, no value is wrong, and what was there stays."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from deeds import DEEDS, begin, code_of, is_whole
from processes import Call
from roots import hit, names_in, same
from scale import HOURS, reached, some
from told import code_that_tells, read

import tensorcache

SAMPLE = 6  # faults of each deed within `make test`

# What may befall a call; of several errors each call meets one, by turns.
ERRORS = {
    "openat": ("EMFILE", "ENOSPC", "EIO", "EACCES", "ENFILE", "EROFS"),
    "read": ("EIO",),
    "pread64": ("EIO",),
    "getdents64": ("EIO",),
    "newfstatat": ("EIO", "EACCES"),
    "fstat": ("EIO",),
    "flock": ("ENOLCK", "EIO"),
    "mkdir": ("ENOSPC", "EDQUOT", "EROFS", "EACCES"),
    "rename": ("ENOSPC", "EIO", "EACCES", "EROFS"),
    "unlink": ("EIO", "EACCES", "EROFS"),
    "unlinkat": ("EIO", "EACCES"),
    "rmdir": ("EIO", "EACCES"),
    "write": ("ENOSPC", "EIO", "EDQUOT", "EFBIG"),
    "pwrite64": ("ENOSPC", "EIO", "EDQUOT"),
    "fsync": ("EIO", "ENOSPC", "EDQUOT"),
    "fdatasync": ("EIO", "ENOSPC", "EDQUOT"),
    "fallocate": ("ENOSPC", "EDQUOT", "EFBIG", "EIO"),
    "ftruncate": ("EIO", "EROFS"),
    "fchmod": ("EPERM", "EIO"),
    "chmod": ("EPERM", "EIO"),
    "dup": ("EMFILE",),
    "socket": ("EMFILE",),
}
# The most frequent ones: in a soak of an hour every fourth of them, in a longer one all.
FREQUENT = {"newfstatat", "pread64", "pwrite64"}
GO_ON = "write pwrite64 fsync fdatasync fallocate rename mkdir unlink ftruncate".split()

# The entry that a deed gives, by the number of its value.
GIVES = {
    "get": 1,
    "put": 3,
    "get_or_build": 3,
    "get_or_build without index": 3,
    "get_or_build beside a broken index": 3,
    "refresh": 12,
}
NEVER_FAILS = {deed for deed in GIVES if deed not in ("get", "put")}
OWN_CALLS = {"get_or_build without index": {Call("unlink", 1)}}  # of the deed, not of the library


class Fault(NamedTuple):
    """A call that fails with an error, and with `on` all later ones of its name."""

    call: Call
    error: str
    on: bool


def faults_of(calls, own):
    """One error for each call, and for each that writes another that goes on."""
    faults = []
    for turn, call in enumerate(calls):
        errors = ERRORS.get(call.name, ())
        if not errors or call in own:
            continue
        faults.append(Fault(call, errors[turn % len(errors)], on=False))
        if call.name in GO_ON:
            faults.append(Fault(call, errors[(turn + 1) % len(errors)], on=True))
    if HOURS >= 2:
        return faults
    return [f for f in faults if f.call.count % 4 == 0 or f.call.name not in FREQUENT]


def check(deed, told, root):
    """What was told is what a caller may meet, and the root has what it should."""
    assert told.is_clear, told
    assert not told.silent
    assert told.left <= 0
    assert not any("traceback" in warning for warning in told.warnings)
    if deed in NEVER_FAILS:
        assert told.error == ""
        assert len(told.warnings) <= (2 if "broken" in deed else 1), told.warnings
    if deed == "get" and told.error:
        assert told.error == "EntryMissing"
        assert len(told.warnings) == 1 or "no cache can begin" in told.text
    if "repair" not in deed:
        aside = names_in(root, "quarantine")
        assert all("index.sqlite" in name for name in aside)
        assert not aside or "broken" in deed or deed == "reindex"
    with tensorcache.open(root) as cache:
        if told.published and deed != "get":
            value = GIVES[deed]
            same(hit(cache, 2 if deed == "refresh" else value), value)
        if deed == "remove":
            same(hit(cache, 1), 1)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("deed", DEEDS)
def test_whatever_call_fails_no_value_is_wrong_and_nothing_is_lost(deed, nurse, seed, shm):
    root, report = shm / "cache", shm / "told"
    code = code_that_tells(deed, root, report, GIVES.get(deed))
    begin(deed, root, seed)
    faults = faults_of(nurse.calls(code, root), OWN_CALLS.get(deed, ()))
    assert len(faults) > 10
    assert read(report).error == ""
    faults = some(faults, SAMPLE)
    for fault in faults:
        begin(deed, root, seed)
        exit_code = nurse.fail_at(code, *fault.call, fault.error, on=fault.on)
        try:
            assert exit_code == 0
            check(deed, read(report), root)
            is_whole(root, deed)
        except BaseException as error:
            error.add_note(f"{deed}: {fault}: {report.read_text()}")
            raise
    reached("failing calls", cases=len(faults))


def test_a_lease_that_cannot_be_looked_at_is_released_all_the_same(nurse, seed, shm):
    root, report = shm / "cache", shm / "told"
    code = code_that_tells("get_or_build", root, report, 3)
    begin("get_or_build", root, seed)
    last = [call for call in nurse.calls(code, root) if call.name == "newfstatat"][-1]
    begin("get_or_build", root, seed)

    assert nurse.fail_at(code, *last, "EIO") == 0
    assert ".lock" in nurse._log.read_text()
    told = read(report)
    assert (told.error, told.warnings, told.published) == ("", [], True)
    is_whole(root, "get_or_build")


def test_an_index_that_cannot_be_read_once_is_taken_over_all_the_same(nurse, seed, shm):
    root = shm / "cache"
    code = code_of("reindex", root)
    begin("reindex", root, seed)
    calls = nurse.calls(code, root)
    reads = [place for place, call in enumerate(calls) if call.name == "pread64"]
    for name, count in some([c for c in calls[reads[0] :] if c.name == "newfstatat"], 20):
        begin("reindex", root, seed)
        nurse.fail_at(code, name, count, "EIO")
        is_whole(root, "reindex")  # which counts the events that it took over


@pytest.mark.parametrize("on", [False, True])
def test_after_a_failed_fsync_nothing_is_acknowledged_and_none_is_tried_again(on, nurse, seed, shm):
    root, report = shm / "cache", shm / "told"
    code = code_that_tells("put", root, report, 3)
    begin("put", root, seed)
    calls = [call for call in nurse.calls(code, root) if call.name in ("fsync", "fdatasync")]
    assert {call.name for call in calls} == {"fsync", "fdatasync"}
    calls = some(calls, 8) if on else calls
    for name, count in calls:
        begin("put", root, seed)
        inject = f"inject={name}:error=EIO:when={count}{'+' * on}"
        assert nurse.trace(code, "-y", "-e", "trace=fsync,fdatasync", "-e", inject) == 0
        paths = re.findall(r"f(?:data)?sync\(\d+<(.*?)>", nurse._log.read_text())
        first = re.search(r"f(?:data)?sync\(\d+<(.*?)>.*INJECTED", nurse._log.read_text())[1]
        told = read(report)
        if "index.sqlite" in first or name == "fdatasync":  # SQLite's: the rows come later
            assert told.published
            # SQLite does without that of a directory.
            assert len(told.warnings) <= 1
            assert told.warnings or not on
            with tensorcache.open(root) as cache:
                same(hit(cache, 3), 3)
        else:
            assert told.error == "ReadOnlyCache"
            assert "Input/output error" in told.text
            assert not told.warnings
            assert paths.count(first) == 1
            assert paths[-1] == first
        is_whole(root, "put")
    reached("failed fsync", cases=len(calls))
