"""`verify`, `reindex` and `doctor` on the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from roots import flip, get, hit, names_in, shards_of

from tensorcache import progress


@pytest.fixture
def used(cache):
    for n in (1, 2):
        get(cache, n)
    return cache


def test_verify_repairs_what_can_be_and_names_what_a_build_must_heal(used, root, tc):
    flip(shards_of(root)[0])
    Path(root, "index.sqlite").write_text("no database" * 500)

    code, out, err = tc("verify", "--deep", "--repair")
    lines = out.splitlines()
    assert (code, err) == (1, "")
    assert any(line.endswith("; the next build heals it; moved to quarantine") for line in lines)
    assert any(line.endswith("; the index is made anew") for line in lines)
    code, out, _ = tc("verify", "--deep", "--json")
    left = json.loads(out)
    assert (code, left["entries"]) == (1, 2)
    assert left["faults"]
    assert all("missing" in fault for fault in left["faults"])
    for n in (1, 2):
        get(used, n)
    assert tc("verify", "--deep", "--repair")[0] == 0


def test_verify_repairs_nothing_where_it_may_not_write(used, root, tc, monkeypatch):
    flip(shards_of(root)[0])
    monkeypatch.setenv("TENSORCACHE_MODE", "ro")
    code, out, err = tc("verify", "--repair")
    assert (code, out, err.count("\n")) == (3, "", 1)
    monkeypatch.delenv("TENSORCACHE_MODE")

    assert names_in(root, "quarantine") == set()
    assert tc("verify", "--deep")[0] == 1
    for n in (1, 2):
        get(used, n)


@pytest.mark.parametrize("broken", [False, True])
def test_reindex_makes_the_index_anew_and_says_how_many_entries_it_has(broken, used, root, tc):
    path = Path(root, "index.sqlite")
    if broken:
        path.write_text("no database" * 500)

    assert tc("reindex") == (0, "the index is made anew: 2 entries\n", "")
    assert tc("ls")[0] == 0
    hit(used, 1)
    assert any(name.endswith("-index.sqlite") for name in names_in(root, "quarantine"))


def test_doctor_tells_facts_for_people_and_machines(used, root, tc):
    code, out, err = tc("doctor", "--json")
    told = json.loads(out)
    found = [one for one in told["findings"] if "files open" not in one["what"]]
    assert (code, err, found) == (int(bool(told["findings"])), "", [])
    assert told["place"]["root"] == root
    assert told["contents"]["entries"] == 2
    assert set(told) == {
        "tensorcache",
        "machine",
        "place",
        "index",
        "contents",
        "settings",
        "findings",
    }

    _, out, _ = tc("doctor")
    facts = dict(line.split(maxsplit=1) for line in out.splitlines() if line)
    assert facts["root"] == root
    assert facts["contents"].startswith("2 entries (0 pinned)")
    assert facts["index"].endswith("well")


def test_doctor_ends_with_1_where_there_is_something_to_do(used, root, tc):
    os.chmod(root, 0o777)
    Path(root, "index.sqlite").rename(Path(root, "kept"))
    Path(root, "index.sqlite").write_text("no database" * 500)
    code, out, err = tc("doctor")
    os.chmod(root, 0o700)
    Path(root, "kept").replace(Path(root, "index.sqlite"))

    assert (code, err) == (1, "")
    assert f"chmod go-w {root}" in out
    assert "run tensorcache reindex" in out


def test_doctor_of_what_is_no_cache_is_wrong_use(root, tc):
    code, out, err = tc("doctor")

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert not os.path.exists(root)


def test_a_long_look_tells_how_far_it_has_come(used, root, monkeypatch, caplog):
    for patience in ("PATIENCE_SECONDS", "LINE_SECONDS"):
        monkeypatch.setattr(progress, patience, 0)
    caplog.set_level("INFO", "tensorcache")
    used.verify(deep=True)

    total = sum(
        os.path.getsize(os.path.join(root, name)) for name in names_in(root, "shards", "documents")
    )
    assert caplog.messages[-1] == f"verifying {root}: {total:,} of {total:,} bytes"
