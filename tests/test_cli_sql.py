"""`tensorcache sql`: forms of an answer, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import sys

import pandas as pd
import pytest
import torch

ASKED = 'SELECT key, n, "on", created_at, n FROM "my.batches" ORDER BY n'


@pytest.fixture
def keys(cache):
    return [
        cache.get_or_build(
            {"n": n, "on": n > 0},
            lambda: {"rows": [{"x": torch.zeros(2, 3)}] * 3, "y": torch.ones(1, dtype=torch.int64)},
            version="1",
            namespace="my.batches",
        ).key.digest
        for n in range(2)
    ]


def test_csv_has_the_values_as_they_are(keys, tc):
    code, out, err = tc(
        "sql", "SELECT key, n, NULL AS no, x'00ff' AS b FROM \"my.batches\"", "--csv"
    )

    assert (code, err) == (0, "")
    head, *rows = csv.reader(io.StringIO(out))
    assert head == ["key", "n", "no", "b"]
    assert sorted(rows) == sorted([key, str(n), "", "00ff"] for n, key in enumerate(keys))


def test_parquet_keeps_the_types(keys, tc, tmp_path):
    file = tmp_path / "answer.parquet"

    code, out, err = tc("sql", ASKED, "--parquet", str(file))

    assert (code, out, err) == (0, "", f"tensorcache: wrote 2 rows to {file}\n")
    frame = pd.read_parquet(file)
    assert frame.columns.tolist() == ["key", "n", "on", "created_at", "n_2"]
    assert [str(t) for t in frame.dtypes[1:]] == ["int64", "bool", "datetime64[us, UTC]", "int64"]
    assert frame.key.tolist() == keys


def test_what_parquet_cannot_hold_leaves_the_file_alone(keys, tc, tmp_path):
    file = tmp_path / "answer.parquet"
    file.write_text("mine")

    code, out, err = tc("sql", "SELECT 1 AS a UNION SELECT 'x'", "--parquet", str(file))

    assert (code, out) == (2, "")
    assert "CAST the column to one type" in err
    assert len(err.splitlines()) == 1
    assert file.read_text() == "mine"
    code, _, err = tc("sql", ASKED, "--parquet", nowhere := str(tmp_path / "no" / "x"))
    assert (code, err) == (2, f"tensorcache: --parquet {nowhere!r}: No such file or directory\n")


def test_parquet_without_pyarrow_says_how_to_get_it(keys, tc, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    code, _, err = tc("sql", ASKED, "--parquet", str(tmp_path / "x"))

    assert (code, err) == (2, "tensorcache: --parquet needs pyarrow: pip install pyarrow\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (['SELECT nn FROM "my.batches"'], "no such column: nn: there are key, bytes, .*, n, on"),
        (['SELECT e.nn FROM "my.batches" AS e'], "there are key"),
        (["SELECT nn"], "no such column: nn"),
        (["SELECT * FROM my.batch"], "there are .*my.batches"),
        (["SELECT 1; SELECT 2"], "one statement"),
        (["DELETE FROM entry"], "only SELECT"),
        (["SELECT 1", "--json", "--csv"], "--json and --csv: give one of them"),
    ],
)
def test_what_is_wrong_is_one_line(keys, tc, words, says):
    code, out, err = tc("sql", *words)

    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert pd.Series([err]).str.contains(says).all()


def test_an_answer_beyond_the_cap_is_cut_with_a_remark(keys, tc):
    endless = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n FROM r"

    code, out, err = tc("sql", f"{endless} LIMIT 100001", "--csv")

    assert code == 0
    assert len(out.splitlines()) == 100_001
    assert err == "tensorcache: only the first 100000 rows are shown: add a LIMIT or a WHERE\n"


def test_show_has_the_catalogue_of_tensors(keys, cache, tc):
    shown = json.loads(tc("show", keys[0], "--json")[1])["sections"]

    table = cache.sql(
        'SELECT section, field, dtype, shape, bytes FROM "column" WHERE entry = ?', (keys[0],)
    )

    assert [
        (section, one["field"], one["dtype"], one["shape"], one["bytes"])
        for section, columns in shown.items()
        for one in columns
    ] == [
        (row.section, row.field, row.dtype, json.loads(row.shape), row.bytes)
        for row in table.itertuples()
    ]
    assert sorted(table.dtype) == ["float32", "int64"]


def test_a_view_without_its_quotes_is_answered_with_them(keys, tc):
    code, out, err = tc("sql", "SELECT * FROM my.batches")

    assert (code, out) == (2, "")
    assert 'no such table: my.batches: there are "column", "entry"' in err
    assert err.rstrip().endswith('"my.batches"; such a name needs its quotes')
