"""Rows of the matrix: two configs of script 3, and whether the second finds the first's batches.

A config is completed and typed before anything is keyed, so a config is compared as what it means.
The tables of `test_model_a_config`, which have a row for every field there is, are rows here too.
"""

from __future__ import annotations

from typing import NamedTuple

from test_model_a_config import CHANGES, CHANGES_NOTHING

from scenarios import HIT, MISS, REFUSED

FOLDS = "training.n_folds=2"
SEASONS = "training.train_seasons=[2015-16, 2016-17]"
# Config files that a row names by what they hold.
FILES = {
    "n_folds, then roster_size": "training: {n_folds: 2, roster_size: 8}\n",
    "roster_size, then n_folds": "training:\n  roster_size: 8\n  n_folds: 2\n",
    "all left out": "{}\n",
    "sections that are empty": "training: {}\nmodel_a: {}\n",
}


class Row(NamedTuple):
    """Settings of the first and of the second start (`--set`), and the files of each (`--config`).

    `message` is what a refusal says.
    """

    name: str
    first: tuple[str, ...]
    then: tuple[str, ...]
    expected: str
    first_files: tuple[str, ...] = ()
    then_files: tuple[str, ...] = ()
    message: str = ""


ROWS = (
    Row("a default left out and written", (), ("training.n_folds=5",), HIT),
    Row("a null default left out and written", (), ("training.train_test_cutoff=null",), HIT),
    Row("no file and a file of nothing", (), (), HIT, (), ("all left out",)),
    Row("no file and empty sections", (), (), HIT, (), ("sections that are empty",)),
    Row("keys of a file in another order", (), (), HIT, ("n_folds, then roster_size",),
        ("roster_size, then n_folds",)),
    Row("a value by --config and by --set", (), ("training.n_folds=2", "training.roster_size=8"),
        HIT, ("n_folds, then roster_size",)),
    Row("0.75 and 0.750", (), ("training.train_frac=0.750",), HIT),
    Row("0.75 and 7.5e-1", (), ("training.train_frac=7.5e-1",), HIT),
    Row("seasons in another order", (FOLDS, SEASONS),
        (FOLDS, "training.train_seasons=[2016-17, 2015-16]"), HIT),
    Row("a season named twice", (FOLDS, SEASONS),
        (FOLDS, "training.train_seasons=[2015-16, 2016-17, 2015-16]"), REFUSED,
        message="names something twice"),
    Row("one season more", (FOLDS, SEASONS),
        (FOLDS, "training.train_seasons=[2015-16, 2016-17, 2017-18]"), MISS),
    Row("windows in another order", (), ("training.rolling_windows=[30, 10]",), MISS),
    Row("a window named twice", (), ("training.rolling_windows=[10, 10]",), REFUSED,
        message="names something twice"),
    Row("n_folds 5 and 5.0", (), ("training.n_folds=5.0",), REFUSED, message="5.0 is not allowed"),
    Row("n_folds 5 and '5'", (), ("training.n_folds='5'",), REFUSED, message="'5' is not allowed"),
    Row("a flag true and 1", (), ("training.use_prior_season_baseline=1",), REFUSED,
        message="1 is not allowed"),
    Row("a flag true and yes", (), ("training.use_prior_season_baseline=yes",), HIT),
    Row("a key that is none", (), ("training.n_fold=5",), REFUSED, message="did you mean n_folds?"),
    *(Row(f"keyed: {setting}", (), (setting,), MISS) for _, setting in CHANGES),
    *(Row(f"unkeyed: {setting}", (), (setting,), HIT) for setting in CHANGES_NOTHING),
)  # fmt: skip

# Whole runs of script 3, one after another over one cache: settings, and what the run finds.
RUNS = (
    ("the first run", ("model_a.epochs=1",), MISS),
    (
        "other epochs, learning rate, dropout and seed",
        ("model_a.epochs=2", "model_a.learning_rate=0.01", "model_a.dropout=0", "repro.seed=1"),
        HIT,
    ),
    ("seasons in another order", ("training.train_seasons=[2016-17, 2015-16]",), HIT),
    ("windows in another order", ("training.rolling_windows=[30, 10]",), MISS),
)
