"""`tensorcache ls`: which entries, in which order, which columns, in which form."""

from __future__ import annotations

import csv
import io
import json

import pytest

NAMESPACE = ("--namespace", "my.batches")


def publish(cache, namespace="my.batches", **inputs):
    return cache.get_or_build(
        inputs, lambda: {"n": inputs}, version="1", namespace=namespace
    ).key.digest


@pytest.fixture
def keys(cache):
    """Three entries, oldest first, and one of another namespace before them."""
    publish(cache, "other", m=1)
    return [
        publish(cache, n=n, rolling_windows=[10, 30 + n % 2], on=n > 1, training={"lr": n / 2})
        for n in range(3)
    ]


@pytest.fixture
def answer(tc):
    """The stdout of a command that must succeed and have nothing to remark."""

    def run(*words):
        code, out, err = tc("ls", *words)
        assert (code, err) == (0, "")
        return out

    return run


def listed(out):
    return out.split()


def test_quiet_prints_whole_keys_alone(keys, answer):
    assert listed(answer("-q", "--limit", "3")) == keys[::-1]
    assert listed(answer("--quiet", *NAMESPACE)) == keys[::-1]


def test_a_condition_may_name_inputs_of_the_namespace(keys, answer):
    where = ("--where", "rolling_windows = '[10,30]'")
    assert listed(answer("-q", *NAMESPACE, *where)) == [keys[2], keys[0]]
    assert listed(answer("-q", *NAMESPACE, "--where", 'training__lr < 1 AND NOT "on"')) == [
        keys[1],
        keys[0],
    ]
    assert len(listed(answer("-q", "--where", "uses = 0"))) == 4


def test_it_sorts_by_columns_and_inputs_either_way(keys, answer):
    assert listed(answer("-q", *NAMESPACE, "--sort", "n")) == keys
    assert listed(answer("-q", *NAMESPACE, "--sort", "n:desc")) == keys[::-1]
    assert listed(answer("-q", *NAMESPACE, "--sort", "on:desc,n:asc")) == [keys[2], *keys[:2]]
    assert listed(answer("-q", "--sort", "namespace,created_at:desc"))[:3] == keys[::-1]
    assert listed(answer("-q", "--sort", "namespace,created:desc"))[:3] == keys[::-1]


def test_it_shows_the_columns_that_are_asked_for_as_people_read_them(keys, answer):
    head, first, *_ = answer(*NAMESPACE, "--columns", "key, n,ON,bytes,created_at").splitlines()

    assert head.split() == ["key", "n", "on", "bytes", "created_at"]
    assert first.split()[:3] == [keys[2][:16], "2", "true"]
    assert first.endswith("s ago")


def test_json_and_csv_hold_whole_values_with_their_types(keys, answer):
    asked = (*NAMESPACE, "--sort", "n")
    (one, *_) = json.loads(answer(*asked, "--json"))
    (row, *_) = csv.DictReader(io.StringIO(answer(*asked, "--csv")))

    assert one["key"] == row["key"] == keys[0]
    assert (one["n"], one["on"], one["rolling_windows"]) == (0, False, "[10,30]")
    assert (row["n"], row["training__lr"], row["pinned"]) == ("0", "0.0", "")
    assert row["created_at"] == one["created_at"]
    assert one["created_at"].endswith("Z")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--columns", "keey"], "no column 'keey': there are key, namespace, identity"),
        (["--sort", "keey:desc"], "no column 'keey': there are key"),
        (["--where", "n = 1"], "no such column: n: there are key"),
        ([*NAMESPACE, "--where", "nn = 1"], "lr"),
        ([*NAMESPACE, "--columns", "key,nn"], "no column 'nn': there are key, bytes"),
        (["--sort", "key:up"], "--sort 'key:up': write COLUMN"),
        (["--where", "1) UNION SELECT 1 --"], ""),
        (["--where", "key ="], "syntax error"),
        (["--json", "-q"], "--json and --quiet: give one of them"),
    ],
)
def test_what_is_misspelt_is_one_line_with_what_there_is(keys, tc, words, says):
    code, out, err = tc("ls", *words)

    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert says in err


def test_a_namespace_without_entries_is_told_with_those_that_there_are(keys, tc):
    asked = ("ls", "--namespace", "my.batch")

    assert tc(*asked) == (
        0,
        "",
        "tensorcache: no entries of 'my.batch': there are my.batches, other\n",
    )
    assert tc(*asked, "--json")[:2] == (0, "[]\n")
    assert tc(*asked, "-q")[:2] == (0, "")
    assert tc("ls", *NAMESPACE, "--where", "n > 9") == (0, "", "tensorcache: no entries\n")
