"""The golden root: what was once written opens for ever, and is written so to this day."""

from __future__ import annotations

import shutil
from pathlib import Path

import make_golden
import pytest
import torch
from exact import identical

import tensorcache

GOLDEN = Path(__file__).parent / "data/golden_root"
PRESENT = [name for name in make_golden.YOUNG_DTYPES if hasattr(torch, name)]
pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")


@pytest.fixture
def golden(tmp_path):
    path = tmp_path / "golden"
    shutil.copytree(GOLDEN, path)
    path.chmod(0o700)  # a clone under a lax umask would be refused
    return str(path)


def files_of(path):
    return {str(p.relative_to(path)): p.read_bytes() for p in Path(path).rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", make_golden.PAYLOADS)
def test_what_was_once_written_opens_for_ever(golden, name):
    if name == "dtypes" and len(PRESENT) < len(make_golden.YOUNG_DTYPES):
        pytest.skip("this torch is older than some dtypes")
    key = make_golden.key_of(name)

    with tensorcache.open(golden) as cache:
        loaded = cache[key].load()

        assert identical(loaded, make_golden.PAYLOADS[name]())
        assert cache.verify(deep=True) == []


def test_dtypes_that_torch_lacks_leave_the_others_readable(golden):
    entry = tensorcache.open(golden)[make_golden.key_of("dtypes")]

    for name, tensor in entry["torch"].items():
        assert identical(tensor, make_golden.of_bytes(getattr(torch, name), 3, 5))


def test_the_golden_root_opens_for_reading_only(golden):
    before = files_of(golden)

    cache = tensorcache.open(golden, mode="ro")
    for name in make_golden.PAYLOADS:
        assert list(cache[make_golden.key_of(name)])

    assert files_of(golden) == before


def test_the_golden_root_gets_its_index_from_its_manifests(golden):
    with tensorcache.open(golden) as cache:
        frame = cache.entries()

        assert sorted(frame["key"]) == sorted(
            make_golden.key_of(name).digest for name in make_golden.PAYLOADS
        )
        assert set(frame["build_seconds"]) == {1.5}
        assert cache.verify(deep=True) == []


def test_two_golden_entries_share_every_shard(golden):
    cache = tensorcache.open(golden)
    five, six = (cache[make_golden.key_of(f"batches {n}")]._manifest for n in (5, 6))

    assert five.shards == six.shards
    assert five.digest != six.digest


@pytest.mark.skipif(len(PRESENT) < len(make_golden.YOUNG_DTYPES), reason="this torch is too old")
def test_the_same_payloads_are_written_to_the_same_bytes_to_this_day(tmp_path):
    make_golden.make(tmp_path / "today")

    written, expected = files_of(tmp_path / "today"), files_of(GOLDEN)
    assert sorted(written) == sorted(expected)
    assert written == expected


def test_the_golden_root_stays_small():
    assert sum(map(len, files_of(GOLDEN).values())) < 200_000
