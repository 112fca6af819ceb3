"""Script 3 asked of many configs with --plan, and told to build its hits again with --shadow."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys

import pytest
from test_script3 import ROOT, SCRIPT, TINY, arguments, as_it_was, main, report
from test_script3_explain import ASK

import tensorcache

__all__ = ["as_it_was"]
pytestmark = pytest.mark.slow
CONFIGS = {
    "base": "",
    "epochs": "model_a: {epochs: 1}",
    "windows": "training: {rolling_windows: [15]}",
    "alone": "training: {n_folds: 1}",
    "wrong": "training: {n_fold: 2}",
}


@pytest.fixture(scope="module")
def trial(league_db, tmp_path_factory):
    """A folder with configs, and in its end a sound cache, if there is one."""
    folder = tmp_path_factory.mktemp("plan")
    for name, text in CONFIGS.items():
        (folder / f"{name}.yaml").write_text(text + "\n")
    yield folder
    with tensorcache.open(folder / "cache") as cache:
        assert cache.verify(deep=True) == []


@pytest.fixture
def planned(trial, league_db, monkeypatch, capsys):
    """What --plan prints of some configs."""

    def plan(*names, options=("--json",)):
        paths = [str(trial / f"{name}.yaml") for name in names]
        code = main(monkeypatch, *arguments(league_db, trial), "--plan", *options, *paths)
        out, err = capsys.readouterr()
        return (json.loads(out) if "--json" in options and code == 0 else out), code, err

    return plan


def states(found):
    return [trial["state"] for trial in found["trials"]]


def test_before_any_run_each_key_is_built_once_and_the_asking_leaves_no_trace(trial, league_db):
    paths = [str(trial / f"{name}.yaml") for name in ("base", "epochs", "windows")]
    before = sorted(os.listdir(trial))

    asked = subprocess.run(
        [
            sys.executable,
            "-c",
            ASK,
            SCRIPT,
            *arguments(league_db, trial),
            "--plan",
            "--json",
            *paths,
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (asked.returncode, asked.stderr) == (0, "[]\n")  # nothing that trains was imported
    found = json.loads(asked.stdout)
    assert list(found) == ["trials", "builds", "hits", "bytes", "seconds"]
    assert [one["config"] for one in found["trials"]] == paths
    assert states(found) == ["build", "same", "build"]
    assert found["trials"][0]["key"] == found["trials"][1]["key"] != found["trials"][2]["key"]
    assert [one["bytes"] for one in found["trials"]] == [None] * 3
    assert (found["builds"], found["hits"], found["bytes"], found["seconds"]) == (2, 0, None, None)
    assert sorted(os.listdir(trial)) == before


def train(trial, league_db, scale, *options):
    """Run the script; the builder multiplies by what no key tells. Its exit code must be 0."""
    settings = f"paths.outputs={trial / 'out'}", "model_a.epochs=1"
    main = runpy.run_path(str(SCRIPT))["main"]
    build = main.__globals__["_build"]

    def planted(config, inputs):
        payload = build(config, inputs)
        first = payload["all_batches"][0]
        payload["all_batches"][0] = first | {"minutes": first["minutes"] * scale}
        return payload

    main.__globals__["_build"] = planted
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(SCRIPT), *arguments(league_db, trial, *settings), *options])
        assert main() == 0


@pytest.fixture(scope="module")
def built(trial, league_db):
    """One run, whose builder multiplied by 1."""
    train(trial, league_db, 1.0)
    assert report(trial, "out")["cache"] == "miss"
    return trial


def test_what_is_there_is_a_hit_and_the_rest_is_told_by_it(built, planned):
    found, code, _ = planned("base", "windows", "epochs", "windows")

    assert code == 0
    assert states(found) == ["hit", "build", "hit", "same"]
    with tensorcache.open(built / "cache", mode="ro") as cache:
        size = int(cache.entries()["bytes"].iloc[0])
        seconds = cache.entries()["build_seconds"].iloc[0]
    assert [one["bytes"] for one in found["trials"]] == [size, size, size, None]
    assert (found["builds"], found["hits"]) == (1, 2)
    assert (found["bytes"], found["seconds"]) == (size, seconds)


def test_people_read_a_line_for_each_and_one_for_all(built, planned):
    out, _, _ = planned("base", "windows", "windows", options=())
    lines = out.splitlines()

    assert [line.split()[0] for line in lines] == ["hit", "build", "same", "plan:"]
    assert lines[0].endswith("base.yaml")
    assert "1 to build, 1 hits, 1 the same as a build before; about " in lines[-1]


def test_what_no_cache_keeps_is_built_each_time(built, planned, monkeypatch):
    alone, _, _ = planned("alone", "alone", "base")
    off, _, _ = planned("base", "base", options=("--set", "paths.batch_cache=false", "--json"))
    monkeypatch.setenv("TENSORCACHE_MODE", "refresh")
    anew, _, _ = planned("base", "epochs")

    assert states(alone) == ["build", "build", "hit"]
    assert [one["key"] for one in alone["trials"][:2]] == [None, None]
    assert (alone["bytes"], alone["seconds"]) == (None, None)
    assert states(off) == states(anew) == ["build", "build"]


def test_a_config_that_is_wrong_is_named_in_one_line(built, planned):
    out, code, err = planned("base", "wrong")

    assert (out, code) == ("", 2)
    assert err.startswith(f"error: {built / 'wrong.yaml'}: training.n_fold: no such key")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [["--plan"], [str(TINY)], ["--json"], ["--plan", "--explain", str(TINY)], ["--shadow", "2"]],
)
def test_what_does_not_go_together_is_refused(monkeypatch, capsys, words):
    with pytest.raises(SystemExit) as left:
        main(monkeypatch, *words)

    assert left.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_a_shadow_of_the_same_is_said_and_reported(built, league_db, capsys, caplog):
    train(built, league_db, 1.0, "--shadow")

    assert "shadow: built again in " in capsys.readouterr().out
    assert [one for one in caplog.records if one.levelname == "WARNING"] == []
    found = report(built, "out")
    assert found["cache"] == "hit"
    assert (found["shadow"]["is_same"], found["shadow"]["differences"]) == (True, [])


def test_a_shadow_of_something_else_is_one_line_and_what_is_stored_trains(
    built, league_db, capsys, caplog
):
    train(built, league_db, 2.0, "--shadow", "1.0")

    assert "shadow: " not in capsys.readouterr().out
    (line,) = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert line.startswith("'model_a.batches' ")
    assert "section 'all_batches', minutes: 1 of " in line
    found = report(built, "out")
    assert (found["cache"], found["shadow"]["is_same"]) == ("hit", False)
    (difference,) = found["shadow"]["differences"]
    assert (difference["section"], difference["field"]) == ("all_batches", "minutes")
