"""scripts/sweep_hparams.py: what it is told, refuses, leaves and shows."""

import errno
import json
import os
import pty
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
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "120"}


def sweep_file(folder, space, **others):
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump({"space": space, **others}, sort_keys=False))
    return str(path)


@pytest.fixture(scope="module")
def swept(league_db, tmp_path_factory):
    """Two trials, of which the second asks for a database that is not there."""
    folder = tmp_path_factory.mktemp("swept")
    base = folder / "base.yaml"
    base.write_text(yaml.safe_dump({"paths": {"batch_cache": str(folder / "cache")}}))
    space = {"paths.db": [str(league_db), "nowhere.sqlite"], "training.rolling_windows": [[10, 30]]}
    file = sweep_file(folder, space, config=[str(ROOT / "config" / "tiny.yaml"), str(base)])
    words = ["--sweep", file, "--jobs", "2", "--batch-id", "b1", "--outputs", str(folder)]
    run = subprocess.run(
        [sys.executable, SCRIPT, *words],
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
        text=True,
    )
    return folder / "sweeps" / "b1", run


def main(monkeypatch, *argv):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *argv])
    return runpy.run_path(str(SCRIPT))["main"]()


@pytest.mark.slow
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
    assert -1 <= rows[0]["objective"] <= 1
    assert rows[0]["label"] == "SIMULATED"
    assert rows[0]["training.rolling_windows"] == "[10, 30]"


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_results_are_printed_as_plain_lines_where_there_is_no_terminal(swept):
    folder, run = swept
    lines = run.stdout.splitlines()

    assert "[2/2] trial " in run.stdout
    assert "trial 2: failed" in run.stdout
    assert any(line.split("\t")[:2] == ["trial", "paths.db"] for line in lines)
    assert lines[-1] == f"report: {folder / 'report.html'}"
    assert "\x1b" not in run.stdout


@pytest.mark.slow
def test_a_terminal_shows_the_trials_in_a_table_while_they_run(tmp_path):
    """Of a trial that fails at once: its league is not there."""
    ours, theirs = pty.openpty()
    file = sweep_file(tmp_path, {"paths.db": ["nowhere.sqlite"]})
    process = subprocess.Popen(
        [sys.executable, SCRIPT, "--sweep", file, "--outputs", str(tmp_path)],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    os.close(theirs)
    drawn = b""
    try:
        while data := os.read(ours, 4096):
            drawn += data
    except OSError:  # the other end is closed
        pass
    os.close(ours)

    assert process.communicate()[1] == b""
    assert process.returncode == 1
    assert "0 of 1 trials ended" in drawn.decode()
    assert "failed" in drawn.decode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("space: {model_a.epoch: [1]}", "model_a.epoch: no such key: did you mean epochs?"),
        ("spase: {model_a.epochs: [1]}", "spase: no such key: did you mean space?"),
        ("space: {model_a.epochs: [1]}\nsampeler: grid", "no such key: did you mean sampler?"),
        ("space: {model_a.epochs: 3}", "is no list of values"),
        ("space: {model_a.epochs: [1, many]}", "trial 2 {'model_a.epochs': 'many'}: model_a.ep"),
        ("sampler: tpe\ntrials: 2\nspace: {model_a.dropout: {low: 0.5, high: 1.5}}", "dropout"),
        ("config: nowhere.yaml\nspace: {model_a.epochs: [1]}", "config: 'nowhere.yaml' is not"),
        ("config: [nowhere.yaml]\nspace: {model_a.epochs: [1]}", "'nowhere.yaml' cannot be read"),
        ("space: [", "not readable as YAML: expected the node content"),
        ("space: {paths.outputs: [a, b]}", "paths.outputs is each trial's own folder"),
        ("space: {paths: [{outputs: a}]}", "paths.outputs is each trial's own folder"),
        ("fixed: {paths.outputs: a}\nspace: {repro.seed: [1]}", "fixed.paths.outputs: paths.out"),
        ("space: {training.n_folds: [5, 1]}", "leaves no out-of-fold scores to compare"),
        ("space: {training.n_folds: [5, 99]}", "99 folds of whole seasons need as many"),
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


def test_without_optuna_its_sampler_is_refused_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna", None)

    code = main(monkeypatch, "--phase", "full", "--outputs", str(tmp_path))

    assert code == 2
    assert capsys.readouterr().err == (
        "error: sampler 'tpe' needs optuna, which is not installed: install 'tensorcache[sweep]', "
        "or choose --sampler random\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_exit_3(tmp_path, monkeypatch, capsys):
    real = Path.write_text

    def refusing(path, *text, **options):
        if "combo_0001" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return real(path, *text, **options)

    file = sweep_file(tmp_path, {"model_a.epochs": [1, 2]})
    monkeypatch.setattr(Path, "write_text", refusing)

    code = main(monkeypatch, "--sweep", file, "--outputs", str(tmp_path), "--batch-id", "b1")

    assert code == 3
    assert capsys.readouterr().err == (
        f"error: outputs: '{tmp_path / 'sweeps/b1/combo_0001'}': the disk is full: make room, "
        "or name another\n"
    )


def test_a_folder_that_is_no_sweeps_is_never_written_into(tmp_path, monkeypatch, capsys):
    (tmp_path / "sweeps" / "b1").mkdir(parents=True)
    (tmp_path / "sweeps" / "b1" / "mine").touch()
    file = sweep_file(tmp_path, {"model_a.epochs": [1]})

    code = main(monkeypatch, "--sweep", file, "--outputs", str(tmp_path), "--batch-id", "b1")

    assert code == 2
    assert "choose another --batch-id" in capsys.readouterr().err
    assert os.listdir(tmp_path / "sweeps" / "b1") == ["mine"]


def test_two_sweeps_do_not_run_in_one_folder(tmp_path, monkeypatch, capsys):
    from sweep import run, space, trials  # the script's own package

    file = sweep_file(tmp_path, {"model_a.epochs": [1]})
    sweep = space.read_sweep(file, {})
    words = ["--sweep", file, "--outputs", str(tmp_path), "--batch-id", "b1"]

    with run.opened(tmp_path / "sweeps" / "b1", sweep, trials.base_of(sweep, [])):
        code = main(monkeypatch, *words)

    assert code == 2
    assert "another sweep runs in" in capsys.readouterr().err


def test_a_sweep_of_another_kind_does_not_go_on_in_its_folder(tmp_path, monkeypatch, capsys):
    from sweep import run, space, trials  # the script's own package

    file = sweep_file(tmp_path, {"model_a.epochs": [1]})
    sweep = space.read_sweep(file, {})
    with run.opened(tmp_path / "sweeps" / "b1", sweep, trials.base_of(sweep, [])):
        pass
    words = ["--sweep", file, "--outputs", str(tmp_path), "--batch-id", "b1"]

    code = main(monkeypatch, *words, "--objective", "ndcg@4")

    assert code == 2
    assert capsys.readouterr().err == (
        f"error: '{tmp_path / 'sweeps/b1'}' holds a sweep that differs in sweep.objective: "
        "choose another --batch-id\n"
    )


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
