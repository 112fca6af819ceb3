"""The command line: what people read, what machines read, and what the exit code says."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from pathlib import Path

import pytest
import torch

import tensorcache
from tensorcache import cli

WRONG = """\
lss
ls --no-such
ls --limit 0
show
show abc
show ffffff
rm ../../x --yes
explain ffffff
pin ffffff
sql ''
sql 'SELECT nobody FROM entry'
sql 'DELETE FROM entry'
sql 'SELECT 1; SELECT 2'
vacuum --max-size '10 GiBs' --yes
vacuum --older-than 5x --yes
vacuum --grace -1h --yes
"""
HOSTILE = "\x1b[2J\u202enote\n[red]" + "x" * 1000


def publish(cache, n, namespace="my.batches"):
    def build():
        return {"rows": [{"x": torch.full((2, 3), float(n))} for _ in range(4)], "n": n}

    inputs = {"n": n, "training": {"lr": 0.1, "name": "é\x1b[2J"}}
    return cache.get_or_build(inputs, build, version=f"v{n}", namespace=namespace).key.digest


@pytest.fixture
def keys(cache):
    """Three entries, oldest first."""
    return [publish(cache, n) for n in (1, 2, 3)]


@pytest.fixture
def answer(tc):
    """The stdout of a command that must succeed and have nothing to remark."""

    def run(*words):
        code, out, err = tc(*words)
        assert (code, err) == (0, "")
        return out

    return run


def test_ls_shows_a_line_for_each_entry_newest_first(keys, answer):
    head, *lines = answer("ls").splitlines()

    assert head.split() == "key namespace size created used uses build pinned".split()
    assert [line.split()[:2] for line in lines] == [[k[:16], "my.batches"] for k in keys[::-1]]


def test_ls_for_machines_has_whole_keys_and_is_ascii(keys, cache, answer):
    cache.pin(keys[0], "für später")
    out = answer("ls", "--json")
    entries = json.loads(out)

    assert out.isascii()
    assert [entry["key"] for entry in entries] == keys[::-1]
    assert entries[-1]["pinned"] == "für später"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entries[0]["created_at"])
    assert entries[0]["last_used_at"] is None


def test_ls_keeps_to_a_namespace_and_a_limit(keys, cache, tc, answer):
    other = publish(cache, 1, "other")

    assert [entry["key"] for entry in json.loads(answer("ls", "--json", "--limit", "1"))] == [other]
    assert [line.split()[0] for line in answer("ls", "--namespace", "other").splitlines()] == [
        "key",
        other[:16],
    ]
    code, out, err = tc("ls", "--namespace", "nobody")
    assert (code, out) == (0, "")
    assert err.startswith("tensorcache: no entries of 'nobody': there are my.batches")


def test_a_hit_is_a_use_and_to_look_is_none(keys, cache, answer):
    cache.get(keys[0])
    answer("show", keys[0][:6])

    uses = {entry["key"]: entry["uses"] for entry in json.loads(answer("ls", "--json"))}
    assert uses == {keys[0]: 1, keys[1]: 0, keys[2]: 0}


def test_show_tells_what_made_an_entry_and_what_it_holds(cache, tmp_path, answer):
    logs = tmp_path / "logs.txt"
    logs.write_text("a")
    key = cache.get_or_build(
        {"day": "monday", "training": {"lr": 0.1}},
        lambda: {"rows": [{"x": torch.zeros(2, 3)}], "n": 1},
        version="7",
        namespace="my.batches",
        sources={"logs": tensorcache.files(str(logs))},
    ).key.digest
    cache.pin(key, "the best")

    shown = answer("show", key[:6])
    told = json.loads(answer("show", key, "--json"))

    for text in (key, "my.batches", "hand:7", '"monday"', "training.lr", "yes: the best"):
        assert text in shown
    assert re.search(r"rows +x +float32 +\[2, 3\] +24 B", shown)
    assert told["inputs"] == {"day": "monday", "training": {"lr": 0.1}}
    assert told["sources"][0]["path"] == str(logs)
    assert told["sources"][0]["identity"].startswith("files-1:")
    assert told["sections"]["rows"] == [
        {"field": "x", "dtype": "float32", "shape": [2, 3], "bytes": 24}
    ]
    assert told["sections"]["n"] == []
    assert [os.path.getsize(os.path.join(cache.root, file["path"])) for file in told["files"]] == [
        file["bytes"] for file in told["files"]
    ]


def test_sql_sees_inputs_as_columns(keys, answer):
    query = 'SELECT key, n, training__lr AS lr FROM "my.batches" WHERE n > 1 ORDER BY n'

    assert json.loads(answer("sql", query, "--json")) == [
        {"key": keys[1], "n": 2, "lr": 0.1},
        {"key": keys[2], "n": 3, "lr": 0.1},
    ]
    assert [line.split() for line in answer("sql", query).splitlines()] == [
        ["key", "n", "lr"],
        [keys[1], "2", "0.1"],
        [keys[2], "3", "0.1"],
    ]


def test_sql_warns_beside_its_answer(keys, tc):
    code, out, err = tc("sql", 'SELECT "nobody" FROM entry LIMIT 1', "--json")

    assert (code, list(json.loads(out)[0].values())) == (0, ["nobody"])
    assert err.startswith('tensorcache: "nobody" is no column')


def test_json_loses_no_value_of_sql(keys, answer):
    (row,) = json.loads(answer("sql", "SELECT x'00ff' AS a, 9e999 AS a, NULL AS b", "--json"))

    assert row == {"a": "00ff", "a_2": "inf", "b": None}


def test_explain_shows_the_fields_that_differ(keys, cache, answer):
    told = json.loads(answer("explain", keys[2], "--json"))
    lonely = publish(cache, 1, "other")

    assert told["nearest"] == keys[1]
    assert {"place": "inputs.n", "old": 2, "new": 3} in told["differences"]
    assert re.search(r"inputs\.n +2 +3\n", answer("explain", keys[2][:10]))
    assert answer("explain", lonely) == "no earlier entry of 'other'\n"


def test_vacuum_lists_the_same_whether_or_not_it_goes_on(keys, cache, tc, answer):
    limits = ("--unused-for", "0s", "--grace", "0s")
    cache.pin(keys[0])
    _, listed, said = tc("vacuum", *limits, "--dry-run")
    assert said.startswith("tensorcache: spared 1 entry: pinned, open, or used within the grace")
    told = json.loads(answer("vacuum", *limits, "--dry-run", "--json"))

    assert len(json.loads(answer("ls", "--json"))) == 3
    code, out, _ = tc("vacuum", *limits, "--yes")
    assert (code, re.sub(r"\d+ seconds?", "…", out)) == (0, re.sub(r"\d+ seconds?", "…", listed))
    assert {entry["key"] for entry in told["entries"]} == set(keys[1:])
    assert told["spared"] == 1
    assert [entry["key"] for entry in json.loads(answer("ls", "--json"))] == keys[:1]


@pytest.mark.parametrize("alias", ["prune", "gc"])
def test_vacuum_has_aliases_and_takes_orphans_always(alias, cache, root, answer):
    publish(cache, 1)
    orphan = Path(root, "shards", "ab", "ab" * 32 + ".safetensors")
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"12345678")

    told = json.loads(answer(alias, "--dry-run", "--json"))
    assert [(one["digest"], one["bytes"]) for one in told["orphans"]] == [("ab" * 32, 8)]
    assert cli.run([alias, "--yes", "--cache", root]) == 0
    assert not orphan.exists()
    assert len(cache.entries()) == 1


def test_vacuum_comes_down_to_a_size(keys, root, tc, answer):
    policy = ("--policy", "oldest")  # the builds took nearly no time, and so which is worth least?
    assert tc("vacuum", "--max-size", "2kB", "--grace", "0s", *policy, "--yes")[0] == 0

    left = json.loads(answer("ls", "--json"))
    assert 0 < len(left) < 3
    assert left[0]["key"] == keys[2]


def test_what_deletes_wants_a_yes_where_nobody_can_be_asked(keys, tc, answer):
    for words in (["rm", keys[0]], ["clear"], ["vacuum", "--unused-for", "0s", "--grace", "0s"]):
        code, out, err = tc(*words)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "--yes" in err

    assert len(json.loads(answer("ls", "--json"))) == 3


def test_rm_removes_all_that_it_names_or_nothing(keys, cache, tc):
    assert tc("rm", keys[0], "ffffffff", "--yes")[0] == 2
    assert len(cache.entries()) == 3

    cache.pin(keys[1])
    assert tc("rm", keys[0][:8], keys[1].upper(), keys[1], "--yes") == (
        0,
        "",
        "tensorcache: removed 2 entries\n",
    )
    assert list(cache.entries()["key"]) == [keys[2]]


def test_clear_removes_everything(keys, cache, tc):
    assert tc("clear", "--yes")[0] == 0

    assert cache.entries().empty
    assert tc("clear", "--yes") == (0, "", "tensorcache: removed 0 entries\n")


def test_verify_names_each_fault_and_exits_with_1(root, tc, answer):
    with tensorcache.open(root) as cache:
        key = publish(cache, 1)
        publish(cache, 2)
    assert answer("verify", "--deep") == "ok: 2 entries, 2 shards\n"

    (path,) = (file["path"] for file in json.loads(answer("show", key, "--json"))["files"])
    shard = Path(root, path)
    shard.chmod(0o644)
    shard.write_bytes(b"\0" * shard.stat().st_size)

    assert tc("verify")[0] == 0
    code, out, err = tc("verify", "--deep")
    assert (code, err) == (1, "")
    assert key[:16] in out
    assert json.loads(tc("verify", "--deep", "--json")[1])["faults"]


def test_a_pinned_entry_says_so_until_it_is_unpinned(keys, tc, answer):
    assert tc("pin", keys[0][:6], "--note", "keep")[0] == 0
    assert json.loads(answer("show", keys[0], "--json"))["pinned"] == "keep"

    assert tc("unpin", keys[0])[0] == 0
    assert json.loads(answer("show", keys[0], "--json"))["pinned"] is None


def test_db_tells_of_the_index_and_makes_it_anew(keys, root, tc, answer):
    told = json.loads(answer("db", "info", "--json"))
    assert (told["revision"], told["journal_mode"], told["rows"]["entry"]) == (
        told["head"],
        "rollback",
        3,
    )
    assert re.search(r"rows of entry +3\n", answer("db", "info"))

    os.unlink(os.path.join(root, "index.sqlite"))
    assert "not yet made" in answer("db", "info")
    assert tc("db", "upgrade")[0] == 0
    assert json.loads(answer("db", "info", "--json"))["rows"]["entry"] == 3


def test_dir_prints_where_the_cache_is_or_would_be(root, monkeypatch, capfdbinary):
    monkeypatch.setenv("TENSORCACHE_DIR", root + "/x\udce9")
    assert cli.run(["dir"]) == 0
    sys.stdout.flush()

    assert capfdbinary.readouterr().out == os.fsencode(root) + b"/x\xe9\n"


def test_nothing_from_outside_steers_a_terminal_or_floods_it(keys, tc, answer):
    assert tc("pin", keys[2], "--note", HOSTILE)[0] == 0

    printed = answer("ls") + answer("show", keys[2]) + answer("sql", "SELECT * FROM entry")
    assert all(line.isprintable() for line in printed.splitlines())
    assert r"\x1b[2J\u202enote\n[red]xxx" in printed
    assert "x" * 200 not in printed
    told = answer("show", keys[2], "--json")
    assert told.isascii()
    assert json.loads(told)["pinned"] == HOSTILE


def test_wrong_use_is_one_line_and_2(keys, tc, cache):
    for line in WRONG.splitlines():
        code, out, err = tc(*shlex.split(line))
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert err.startswith("tensorcache: ")

    assert len(cache.entries()) == 3


def test_a_directory_that_is_no_cache_is_wrong_use_and_stays_as_it_was(tmp_path, capsys):
    missing, file, full = tmp_path / "missing", tmp_path / "file", tmp_path / "full"
    file.write_text("x")
    full.mkdir(mode=0o700)
    (full / "photo").write_text("x")

    for words in (["ls"], ["db", "upgrade"], ["vacuum", "--yes"], ["clear", "--yes"], ["verify"]):
        for place in (missing, file, full, ""):
            assert cli.run([*words, "--cache", str(place)]) == 2
            assert capsys.readouterr().err.count("\n") == 1

    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "full", "photo"]


def test_a_directory_that_anybody_may_write_is_wrong_use(keys, root, tc):
    os.chmod(root, 0o777)
    code, _, err = tc("ls")
    os.chmod(root, 0o700)

    assert (code, "chmod go-w" in err) == (2, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_the_cache_of_another_is_read_and_not_written(keys, root, tc):
    os.chown(root, 12345, -1)
    before = sorted(os.listdir(os.path.join(root, "journal")))
    listed, removed = tc("ls", "--json"), tc("rm", keys[0], "--yes")
    after = sorted(os.listdir(os.path.join(root, "journal")))
    os.chown(root, os.geteuid(), -1)

    assert (listed[0], len(json.loads(listed[1]))) == (0, 3)
    assert (removed[0], "belongs to user" in removed[2]) == (2, True)
    assert before == after


def test_a_cache_that_cannot_be_used_now_is_3(keys, root, tc, monkeypatch):
    marker = Path(root, "tensorcache.json")
    good = marker.read_text()
    marker.write_text('{"format": 99}')
    assert tc("ls")[0] == 3
    marker.write_text(good)

    manifest = Path(root, "entries", keys[0][:2], keys[0] + ".msgpack")
    data = manifest.read_bytes()
    os.chmod(manifest, 0o600)
    manifest.write_bytes(data[:-1])
    assert tc("show", keys[0])[0] == 3
    manifest.write_bytes(data)

    monkeypatch.setenv("TENSORCACHE_MODE", "ro")
    code, _, err = tc("rm", keys[0], "--yes")
    assert (code, err.count("\n")) == (3, 1)
    assert tc("ls")[0] == 0


def test_a_setting_that_means_nothing_is_wrong_use(keys, tc, monkeypatch):
    monkeypatch.setenv("TENSORCACHE_MODE", "fast")

    assert tc("ls")[0] == 2


def test_a_broken_index_takes_no_entry_away(keys, root, tc):
    Path(root, "index.sqlite").write_bytes(b"no database" * 100)

    code, out, err = tc("ls", "--json")
    assert (code, len(json.loads(out))) == (0, 3)
    assert "made anew" in err
