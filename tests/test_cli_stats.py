"""`tensorcache stats`: what people read, what machines read, and what is drawn."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from roots import get, hit

import tensorcache
from tensorcache import disk

DAY = 86_400.0


@pytest.fixture
def asked(cache, place):
    """Two entries, a hit; and three days ago, in another namespace, a hit that saved an hour."""
    for n in (1, 2):
        get(cache, n)
    hit(cache, 1)
    use = (time.time() - 3 * DAY, "hit", "ab" * 32, 10.0, 0, "t.other", 3610.0)
    disk.append_use(place, use)
    return cache


def answer(tc, *words):
    code, out, err = tc("stats", *words)
    assert (code, err) == (0, "")
    return out


def facts(out):
    """The lines of the first table, by their names."""
    lines = out.split("\n\n")[0].splitlines()
    return {name: value.strip() for name, _, value in (line.partition("  ") for line in lines)}


def test_people_read_counts_rates_times_and_bytes(asked, tc):
    out = answer(tc)

    told = facts(out)
    assert told["since"] == "all that is known"
    assert (told["hits"], told["waits"], told["misses"]) == ("2", "0", "2")
    assert told["builds"].startswith("2, ")
    assert told["hit rate"] == "50.0 %"
    assert told["time saved"] == "1.0 h"
    assert told["entries"] == "2"
    assert told["stored"].endswith("B")
    ranked = out.split("\n\n")[1].splitlines()
    assert ranked[0].split() == ["key", "namespace", "size", "build", "uses", "used"]
    assert [line.split()[0] for line in ranked[1:]] == [
        rank for rank in ("dearest", "largest", "stalest") for _ in range(2)
    ]


def test_since_leaves_out_what_was_before(asked, tc):
    told = facts(answer(tc, "--since", "1d"))

    assert told["hits"] == "1"
    assert told["time saved"].split()[-1] in ("ms", "s")


def test_by_namespace_and_by_day_sums_stand_apart(asked, tc):
    days = answer(tc, "--by", "day").split("\n\n")[1].splitlines()
    names = answer(tc, "--by", "namespace").split("\n\n")[1].splitlines()

    assert names[0].split() == "namespace hits waits misses builds hit rate saved".split()
    assert names[1].split()[:7] == ["t.laws", "1", "0", "2", "2", "33.3", "%"]
    assert names[2].split() == ["t.other", "1", "0", "0", "0", "100.0", "%", "1.0", "h"]
    assert days[1].split()[0] == time.strftime("%Y-%m-%d", time.gmtime(time.time() - 3 * DAY))
    assert len(days) == 3


def test_machines_read_all_of_it_as_ascii(asked, tc):
    out = answer(tc, "--json", "--by", "namespace", "--since", "7d")

    told = json.loads(out)
    stats = asked.stats(since=7 * DAY)
    assert out.isascii()
    assert (told["hits"], told["saved_seconds"]) == (stats.hits, stats.saved_seconds)
    assert (told["stored_bytes"], told["shared_bytes"]) == (stats.stored_bytes, stats.shared_bytes)
    assert told["hit_rate"] == 0.5
    assert told["groups"]["t.other"]["saved_seconds"] == 3600.0
    assert told["groups"]["t.other"]["hit_rate"] == 1.0
    assert told["dearest"][0]["key"] == stats.dearest[0].key
    assert told["dearest"][0]["created_at"].endswith("Z")
    assert told["since"].endswith("Z")


def test_of_an_empty_cache_there_is_nothing_to_tell(root, tc):
    with tensorcache.open(root) as cache:
        told = facts(answer(tc))
        assert json.loads(answer(tc, "--json"))["hit_rate"] is None
        assert cache.verify() == []

    assert (told["hits"], told["hit rate"], told["entries"]) == ("0", "-", "0")


@pytest.mark.slow
def test_a_plot_is_a_picture_that_is_not_blank(asked, tc, tmp_path):
    image = pytest.importorskip("matplotlib.image")
    png, svg = tmp_path / "by hour.png", tmp_path / "by day.SVG"
    for path, since in ((png, "1d"), (svg, "7d")):
        code, out, err = tc("stats", "--plot", str(path), "--since", since)
        assert (code, err) == (0, f"tensorcache: drawn in {path}\n")
        assert "hits" in out

    pixels = image.imread(png)
    assert pixels.shape[0] > 500
    assert len(np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0)) > 20  # bars, lines, text
    assert svg.read_text().startswith("<?xml")
    assert svg.read_text().count("<path") > 50


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--since", "yesterday"], "duration 'yesterday'"),
        (["--since", "-1d"], "duration '-1d'"),
        (["--by", "week"], "'week'"),
        (["--plot", "it.pdf"], "--plot 'it.pdf': name a file that ends in .png or .svg"),
        (["--plot", "png"], "name a file that ends in .png or .svg"),
        (["--plot", "no/such/it.png"], "--plot 'no/such/it.png': No such file or directory"),
    ],
)
def test_wrong_use_is_one_line(asked, tc, words, said):
    code, out, err = tc("stats", *words)

    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert said in err


def test_without_matplotlib_a_plot_says_what_to_install(asked, tc, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    code, out, err = tc("stats", "--plot", str(tmp_path / "it.png"))

    assert (code, out) == (2, "")
    assert err == "tensorcache: --plot needs matplotlib: pip install 'tensorcache[plot]'\n"
    assert not Path(tmp_path, "it.png").exists()
    assert answer(tc, "--json")
