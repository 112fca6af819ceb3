"""scripts/3_train_model_a.py from end to end: real processes where it counts them, else main()."""

import errno
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open

import tensorcache

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "3_train_model_a.py"
TINY = ROOT / "config" / "tiny.yaml"
FILES = {
    "split_info.json",
    "oof_model_a.parquet",
    "metrics.json",
    "model_a.safetensors",
    "model_a.json",
    "run.json",
}
FINAL_ONLY = FILES - {"oof_model_a.parquet", "metrics.json"}
# Runs the script as its own process does, and writes down every function of model_a that it calls.
COUNTING = """
import json, runpy, sys
script, called_json, *options = sys.argv[1:]
sys.argv = [script, *options]
sys.path[0] = script.rpartition("/")[0]
main = runpy.run_path(script)["main"]
import torch
torch.optim.Adam([torch.zeros(1)])  # imports thousands of functions that nobody asks for here
called = set()
def note(frame, event, _):
    if event == "call" and "model_a" in frame.f_code.co_filename:
        called.add(frame.f_code.co_name)
sys.setprofile(note)
code = main()
sys.setprofile(None)
with open(called_json, "w") as file:
    json.dump(sorted(called), file)
sys.exit(code)
"""
BUILDS = {"read_league", "build_lists", "compute_split", "build_batches", "build_payload"}


@pytest.fixture(scope="module")
def trials(league_db, tmp_path_factory):
    """Three processes of the same inputs: two at once, then one with other epochs."""
    folder = tmp_path_factory.mktemp("trials")

    def start(name, *settings):
        options = arguments(league_db, folder, f"paths.outputs={folder / name}", *settings)
        return subprocess.Popen(
            [sys.executable, "-c", COUNTING, SCRIPT, folder / f"{name}_called.json", *options],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=(folder / f"{name}.txt").open("wb"),
            stderr=subprocess.STDOUT,
        )

    at_once = {name: start(name) for name in ("first", "second")}
    assert [process.wait() for process in at_once.values()] == [0, 0], said(folder, *at_once)
    assert start("epochs", "model_a.epochs=1").wait() == 0, said(folder, "epochs")
    return folder


@pytest.fixture(autouse=True)
def as_it_was():
    """main() sets what torch keeps for the whole process."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def arguments(league_db, folder, *settings):
    settings = (f"paths.db={league_db}", f"paths.batch_cache={folder / 'cache'}", *settings)
    return ["--config", str(TINY)] + [part for one in settings for part in ("--set", one)]


def main(monkeypatch, *argv):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *argv])
    return runpy.run_path(str(SCRIPT))["main"]()


def report(folder, name):
    return json.loads((folder / name / "run.json").read_text())


def said(folder, *names):
    return "".join((folder / f"{name}.txt").read_text() for name in names)


def called(folder, name):
    return set(json.loads((folder / f"{name}_called.json").read_text()))


def test_a_trial_that_differs_in_epochs_only_hits_and_builds_nothing(trials):
    assert report(trials, "epochs")["cache"] == "hit"
    assert called(trials, "epochs") & BUILDS == set()
    assert called(trials, "epochs") >= {"fit", "predict"}


def test_two_trials_at_once_build_once(trials):
    states = sorted(report(trials, name)["cache"] for name in ("first", "second"))
    builders = [name for name in ("first", "second") if called(trials, name) & BUILDS]

    assert states in (["miss", "wait"], ["hit", "miss"])
    assert len(builders) == 1
    assert called(trials, builders[0]) >= BUILDS
    with tensorcache.open(trials / "cache") as cache:
        assert cache.verify(deep=True) == []


@pytest.mark.parametrize("state", ["hit", "off"])
def test_out_of_fold_scores_are_the_same_bytes_however_batches_were_come_by(
    trials, league_db, tmp_path, monkeypatch, state
):
    settings = [f"paths.outputs={tmp_path / state}"]
    if state == "off":
        settings.append("paths.batch_cache=false")

    assert main(monkeypatch, *arguments(league_db, trials, *settings)) == 0

    paths = [trials / "first", trials / "second", tmp_path / state]
    assert report(tmp_path, state)["cache"] == state
    assert len({(path / "oof_model_a.parquet").read_bytes() for path in paths}) == 1


def test_what_is_left_behind_says_that_the_league_is_simulated(trials):
    outputs = trials / "first"

    assert {path.name for path in outputs.iterdir()} == FILES
    for name in FILES - {"oof_model_a.parquet", "model_a.safetensors"}:
        assert json.loads((outputs / name).read_text())["label"] == "SIMULATED"
    assert pq.read_schema(outputs / "oof_model_a.parquet").metadata[b"label"] == b"SIMULATED"
    with safe_open(outputs / "model_a.safetensors", "pt") as model:
        assert model.metadata() == {"label": "SIMULATED"}
        assert "embedding.weight" in model.keys()  # noqa: SIM118 - no mapping
    assert "SIMULATED" in said(trials, "first")


def test_scores_have_a_row_for_each_team_and_list(trials):
    table = pq.read_table(trials / "first" / "oof_model_a.parquet")

    assert table.column_names == [
        "team_id",
        "as_of_date",
        "conference",
        "oof_a",
        "y",
        "season",
        "fold",
    ]
    assert set(table["season"].to_pylist()) == {"2016-17"}  # the first block is never scored
    assert set(table["conference"].to_pylist()) == {"E", "W"}
    assert len(set(table["team_id"].to_pylist())) == 30


def test_what_is_printed_as_the_key_is_what_tensorcache_takes(trials):
    text = said(trials, "epochs")
    key = report(trials, "epochs")["key"]

    assert f"cache: hit {key[:16]} in " in text
    assert "s of building saved" in text
    assert f"tensorcache show {key[:16]} --cache {trials / 'cache'}" in text
    with tensorcache.open(trials / "cache", mode="ro") as cache:
        assert cache[key[:16]]["split_info"]["label"] == "SIMULATED"


def test_a_miss_says_why(trials):
    assert said(trials, "first", "second").count("cache: miss: model_a.batches ") == 1


def test_all_code_that_builds_is_in_the_version(monkeypatch):
    """Domain trap: code was not in the key, and old tensors were served after a fix."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    builder = runpy.run_path(str(SCRIPT.parent / "model_a" / "cached.py"))["BUILDER"]
    build = "import sys, model_a.batches; print(*(n for n in sys.modules if n[:7] == 'model_a'))"

    ran = subprocess.run(
        [sys.executable, "-c", build], cwd=SCRIPT.parent, capture_output=True, text=True, check=True
    )

    covered = set(tensorcache.code_version(*builder).covers())
    assert covered == set(ran.stdout.split())
    assert covered == {"model_a"} | {
        f"model_a.{name}"
        for name in (
            "batches",
            "errors",
            "features",
            "league",
            "lists",
            "rosters",
            "split",
            "standings",
        )
    }


def test_below_two_folds_the_cache_is_never_opened(league_db, tmp_path, monkeypatch, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "oof_model_a.parquet").write_text("of an earlier run")
    outputs = f"paths.outputs={tmp_path / 'out'}"

    code = main(monkeypatch, *arguments(league_db, tmp_path, outputs, "training.n_folds=1"))

    assert code == 0
    assert "final model only, no cache" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == FINAL_ONLY
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (["training.max_lists_oof=0"], "no out-of-fold batches"),
        (
            [
                "training.train_seasons=null",
                "training.test_seasons=null",
                "training.train_test_cutoff=2014-01-01",
                *(f"seasons.20{year}-{year + 1}=null" for year in range(18, 25)),
            ],
            "no train lists",
        ),
    ],
)
def test_with_nothing_to_fold_the_final_model_is_trained_and_nothing_published(
    league_db, tmp_path, monkeypatch, capsys, settings, reason
):
    outputs = f"paths.outputs={tmp_path / 'out'}"

    code = main(monkeypatch, *arguments(league_db, tmp_path, outputs, *settings))

    assert code == 0
    assert f"{reason}: final model only, no cache\n" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == FINAL_ONLY
    with tensorcache.open(tmp_path / "cache") as cache:
        assert len(cache.entries()) == 0
        assert cache.verify(deep=True) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["paths.db=nowhere.sqlite"], "paths.db: 'nowhere.sqlite' is not there"),
        ([f"paths.db={SCRIPT}"], "is not a SQLite database: build one with scripts/2_build_db.py"),
        ([f"paths.db={ROOT}"], "is a directory: name the file of scripts/2_build_db.py"),
        (["training.rolling_windows=[]"], "training.rolling_windows: [] is empty"),
        (["training.test_seasons=[2016-17]"], "both trains and tests"),
        (["training.n_fold=3"], "no such key: did you mean n_folds?"),
        (["training.n_folds=3"], "need as many train_seasons"),
        (["training.train_seasons=[2015-16, 2022-23]"], "season '2022-23' has no games"),
        ([f"paths.batch_cache={ROOT}"], str(ROOT)),
        ([f"paths.outputs={SCRIPT}/out"], "cannot be written: Not a directory"),
        pytest.param(
            ["repro.device=cuda"],
            "repro.device: 'cuda' is not on this machine",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU"),
        ),
    ],
)
def test_wrong_input_is_one_line_and_exit_2(
    league_db, tmp_path, monkeypatch, capsys, settings, message
):
    outputs = f"paths.outputs={tmp_path / 'out'}"

    code = main(monkeypatch, *arguments(league_db, tmp_path, outputs, *settings))
    error = capsys.readouterr().err

    assert code == 2
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bogus"], "unrecognized arguments: --bogus"),
        (["--plan"], "--plan takes one CONFIG or more"),
        (["--shadow", "2"], "argument --shadow: '2' is no share: write a number from 0 to 1"),
        (["--shadow", "half"], "argument --shadow: 'half' is no share"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(monkeypatch, capsys, words, message):
    with pytest.raises(SystemExit) as ended:
        main(monkeypatch, *words)
    error = capsys.readouterr().err

    assert ended.value.code == 2
    assert error == f"error: {message}{error.partition(message)[2]}"
    assert error.endswith(": --help says what there is\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_database_that_may_not_be_read_is_not_to_be_built_again(tmp_path, monkeypatch, capsys):
    (tmp_path / "league.sqlite").touch(mode=0o000)

    code = main(monkeypatch, *arguments(tmp_path / "league.sqlite", tmp_path))
    error = capsys.readouterr().err

    assert code == 2
    assert "cannot be read: Permission denied" in error
    assert "2_build_db" not in error


def test_a_mode_that_is_none_is_named_with_its_variable(league_db, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TENSORCACHE_MODE", "nonsense")

    code = main(monkeypatch, *arguments(league_db, tmp_path))
    error = capsys.readouterr().err

    assert code == 2
    assert error.startswith("error: TENSORCACHE_MODE='nonsense': use one of rw")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "the disk is read-only")],
)
def test_a_disk_that_takes_no_outputs_is_one_line_and_exit_3(
    league_db, tmp_path, monkeypatch, capsys, number, said
):
    real = os.replace

    def refusing(source, target):
        if str(target).endswith("model_a.safetensors"):
            raise OSError(number, os.strerror(number), source)
        real(source, target)

    monkeypatch.setattr(os, "replace", refusing)
    outputs = f"paths.outputs={tmp_path / 'out'}"

    code = main(monkeypatch, *arguments(league_db, tmp_path, outputs, "training.n_folds=1"))
    error = capsys.readouterr().err

    assert code == 3
    assert error.startswith(f"error: paths.outputs: '{tmp_path / 'out'}/model_a.safetensors': ")
    assert said in error
    assert error.count("\n") == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["split_info.json"]


def test_ctrl_c_is_one_line_and_exit_130(league_db, tmp_path):
    outputs = f"paths.outputs={tmp_path / 'out'}"
    options = arguments(league_db, tmp_path, outputs, "model_a.epochs=100000")
    process = subprocess.Popen(
        [sys.executable, SCRIPT, *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not (tmp_path / "out/split_info.json").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()

    assert (process.returncode, error) == (130, "interrupted\n")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["split_info.json"]
    with tensorcache.open(tmp_path / "cache") as cache:
        assert cache.verify(deep=True) == []


@pytest.mark.skipif("NBA_DATA_DIR" not in os.environ, reason="needs the real logs: NBA_DATA_DIR")
def test_the_real_league_gives_whole_lists_and_known_champions(tmp_path, monkeypatch):
    from league import database, layout
    from model_a.config import batch_inputs, load_config
    from model_a.league import check_league, read_league
    from model_a.lists import build_lists, final_ranks

    frames, label = layout.read(Path(os.environ["NBA_DATA_DIR"]))
    path = tmp_path / "league.sqlite"
    database.build(database.tables(frames, label), path)
    inputs = batch_inputs(load_config([], ["training.max_list_dates=null"]))
    league = read_league(str(path), inputs)
    check_league(league, inputs)
    lists, _ = build_lists(league, inputs)
    ranks = final_ranks(league, "playoff_outcome")
    names = dict(frames["teams"][["team_id", "abbreviation"]].itertuples(index=False))
    champions = [names[int(league.team_ids[list(of_season).index(1)])] for of_season in ranks]

    assert label == "REAL"
    assert champions == "GSW CLE GSW GSW TOR LAL MIL GSW DEN BOS OKC".split()
    assert len(lists) > 3100
    assert sum(len(one["team_ids"]) == 15 for one in lists) > 0.95 * len(lists)
