"""scripts/sweep_hparams.py: trials are real processes of script 3."""

import errno
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from model_a.config import load_config

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "sweep_hparams.py"


def sweep_file(folder, grid, **others):
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump({"grid": grid, **others}, sort_keys=False))
    return str(path)


@pytest.fixture(scope="module")
def swept(league_db, tmp_path_factory):
    """Two trials, of which the second asks for a database that is not there."""
    folder = tmp_path_factory.mktemp("swept")
    base = folder / "base.yaml"
    base.write_text(yaml.safe_dump({"paths": {"batch_cache": str(folder / "cache")}}))
    grid = {"paths.db": [str(league_db), "nowhere.sqlite"], "training.rolling_windows": [[10, 30]]}
    grid_file = sweep_file(folder, grid, config=[str(ROOT / "config" / "tiny.yaml"), str(base)])
    run = subprocess.run(
        [
            sys.executable,
            SCRIPT,
            "--sweep",
            grid_file,
            "--jobs",
            "2",
            "--batch-id",
            "b1",
            "--outputs",
            str(folder),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        text=True,
    )
    return folder / "sweeps" / "b1", run


def main(monkeypatch, *argv):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *argv])
    return runpy.run_path(str(SCRIPT))["main"]()


def test_a_failing_trial_has_its_row_and_the_others_go_on(swept):
    folder, run = swept
    rows = pq.read_table(folder / "results.parquet").to_pylist()

    assert run.returncode == 1, run.stderr
    assert [row["trial"] for row in rows] == [1, 2]
    assert [row["status"] for row in rows] == ["ok", "failed"]
    assert rows[1]["error"].startswith("error: paths.db: 'nowhere.sqlite' is not there")
    assert rows[0]["error"] is None
    assert rows[0]["cache"] == "miss"
    assert len(rows[0]["key"]) == 64
    assert -1 <= rows[0]["spearman_oof_a"] <= 1
    assert rows[0]["label"] == "SIMULATED"
    assert rows[0]["training.rolling_windows"] == "[10, 30]"


def test_each_trial_has_a_full_config_and_outputs_of_its_own(swept):
    folder, _ = swept
    for number, db in ((1, None), (2, "nowhere.sqlite")):
        trial = folder / f"combo_{number:04d}"
        config = load_config([trial / "config.yaml"])

        assert yaml.safe_load((trial / "config.yaml").read_text()).keys() == {
            "paths",
            "repro",
            "seasons",
            "training",
            "model_a",
            "outputs",
        }
        assert config.paths.outputs == str(trial)
        assert db is None or config.paths.db == db
    assert json.loads((folder / "combo_0001" / "run.json").read_text())["cache"] == "miss"
    assert not (folder / "combo_0002" / "run.json").exists()


def test_the_results_are_printed_as_plain_lines_where_there_is_no_terminal(swept):
    folder, run = swept
    lines = run.stdout.splitlines()

    assert "[2/2] trial " in run.stdout
    assert "trial 2: failed" in run.stdout
    assert any(line.split("\t")[:2] == ["trial", "paths.db"] for line in lines)
    assert lines[-1] == f"results: {folder / 'results.parquet'}"
    assert "\x1b" not in run.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grid: {model_a.epoch: [1]}", "model_a.epoch: no such key: did you mean epochs?"),
        ("grids: {model_a.epochs: [1]}", "'grids' is no key of it"),
        ("grid: {}", "name keys and their values"),
        ("grid: {model_a.epochs: 3}", "is no list of values"),
        ("grid: {model_a.epochs: [1, many]}", "trial 2 {'model_a.epochs': 'many'}: model_a.epochs"),
        ("config: nowhere.yaml\ngrid: {model_a.epochs: [1]}", "is no list of files"),
        ("config: [nowhere.yaml]\ngrid: {model_a.epochs: [1]}", "'nowhere.yaml' cannot be read"),
        ("grid: [", "not readable as YAML: expected the node content"),
        ("grid: {paths.outputs: [a, b]}", "paths.outputs is each trial's own folder"),
        ("grid: {paths: [{outputs: a}]}", "paths.outputs is each trial's own folder"),
    ],
)
def test_a_wrong_sweep_is_one_line_and_exit_2_and_nothing_is_written(
    tmp_path, monkeypatch, capsys, text, message
):
    (tmp_path / "sweep.yaml").write_text(text)
    options = ["--sweep", str(tmp_path / "sweep.yaml"), "--outputs", str(tmp_path / "out")]

    code = main(monkeypatch, *options)
    error = capsys.readouterr().err

    assert code == 2
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_sweep_that_is_not_there_is_called_a_sweep(tmp_path, monkeypatch, capsys):
    code = main(monkeypatch, "--sweep", str(tmp_path / "none.yaml"))

    assert code == 2
    assert capsys.readouterr().err.startswith(f"error: sweep '{tmp_path / 'none.yaml'}' cannot be")


def test_a_full_disk_is_one_line_and_exit_3_and_nothing_stays(tmp_path, monkeypatch, capsys):
    real = Path.write_text

    def refusing(path, *text, **options):
        if "combo_0002" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return real(path, *text, **options)

    grid = sweep_file(tmp_path, {"model_a.epochs": [1, 2]})
    monkeypatch.setattr(Path, "write_text", refusing)

    code = main(monkeypatch, "--sweep", grid, "--outputs", str(tmp_path), "--batch-id", "b1")

    folder = tmp_path / "sweeps/b1"
    assert code == 3
    assert capsys.readouterr().err == (
        f"error: outputs: '{folder}': the disk is full: make room, or name another\n"
    )
    assert not folder.exists()


def test_a_batch_is_never_written_over(tmp_path, monkeypatch, capsys):
    (tmp_path / "sweeps" / "b1").mkdir(parents=True)
    grid = sweep_file(tmp_path, {"model_a.epochs": [1]})

    code = main(monkeypatch, "--sweep", grid, "--outputs", str(tmp_path), "--batch-id", "b1")

    assert code == 2
    assert "choose another --batch-id" in capsys.readouterr().err


def test_the_sweeps_of_the_house_are_right(tmp_path, monkeypatch):
    """Every trial of every config/sweep_*.yaml passes the checks that come before it runs."""
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--sweep", ""])
    script = runpy.run_path(str(SCRIPT))
    for number, path in enumerate(sorted((ROOT / "config").glob("sweep_*.yaml"))):
        argv = ["--sweep", str(path), "--outputs", str(tmp_path), "--batch-id", f"b{number}"]
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *argv])

        trials = script["plan"](script["_options"]())

        assert len(trials) >= 10
        assert len({(trial.folder / "config.yaml").read_text() for trial in trials}) == len(trials)


def test_it_does_not_import_tensorcache():
    code = "import runpy, sys; runpy.run_path(sys.argv[1]); print('tensorcache' in sys.modules)"
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, sys.argv[1].rpartition('/')[0]); {code}",
            SCRIPT,
        ],
        capture_output=True,
        check=True,
        text=True,
    )

    assert run.stdout == "False\n"
