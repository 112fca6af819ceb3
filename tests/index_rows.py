"""What the tests of the index put into one."""

import datetime as dt

import pytest

from tensorcache.index import EntryRows, Index
from tensorcache.key import make_key
from tensorcache.manifest import ColumnRow, Manifest, Piece, Provenance

A, B, C = (Piece(letter * 64, size) for letter, size in (("a", 100), ("b", 20), ("c", 3)))
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC).timestamp()


def entry_rows(
    inputs, *shards, documents=(), namespace="model_a.batches", at=NOON, pinned=None, digest="d1"
):
    key = make_key(
        inputs, version="hand:3", sources={"db": "bytes-1:blake3:00"}, namespace=namespace
    )
    manifest = Manifest(
        key=key.digest,
        identity=key.text,
        is_dict=True,
        sections={},
        shards=tuple(shards),
        documents=tuple(documents),
        sources=(Provenance("db", "database", "/data/nba.sqlite", (1, 2, 4096, 5, 6)),),
        created_at=at,
        build_seconds=1.5,
        host="box",
        tools={"torch": "2.13"},
        digest=digest,
    )
    columns = (ColumnRow("oof", "stats", "float32", (7, 15, 24), 10_080),)
    return EntryRows(manifest, columns, pinned, manifest_bytes=10)


def count(index, table):
    return index.query(f'SELECT count(*) FROM "{table}"').rows[0][0]


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "index.sqlite")


@pytest.fixture
def index(path):
    index = Index(path)
    index.prepare()
    yield index
    assert index.check() == []
