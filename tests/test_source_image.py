"""Identities of databases: equal to what SQLite itself says is committed, and never in its way."""

import os
import random
import shutil
import sqlite3
import struct

import pytest
from blake3 import blake3
from databases import (
    connect,
    grow,
    identity_of,
    in_rollback_mode,
    reader_sees,
    text_of,
    with_unseen_commits,
)

from tensorcache.errors import UnkeyableValue


def partly_checkpointed(path):
    connection = connect(path)
    grow(connection)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchall()
    grow(connection)
    assert connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1:] != (0, 0)
    grow(connection, rows=3)
    return connection, reader


def vacuumed(path, journal_mode):
    connection = connect(path, journal_mode)
    grow(connection, rows=200)
    connection.execute("DELETE FROM t WHERE a > 20")
    connection.execute("VACUUM")
    return connection


def shrunk_in_wal(path, auto_vacuum):
    connection = connect(path, auto_vacuum=auto_vacuum)
    grow(connection, rows=300)
    connection.execute("PRAGMA wal_checkpoint(FULL)")
    connection.execute("DELETE FROM t WHERE a > 5")
    connection.execute("PRAGMA incremental_vacuum")
    if not auto_vacuum:
        connection.execute("VACUUM")
    return connection


def grown_again(path):
    connection = shrunk_in_wal(path, 1)
    grow(connection, rows=80)
    return connection


def begun(path, commit_after):
    """A transaction so large that its frames go to the WAL before it ends."""
    connection = connect(path)
    grow(connection)
    connection.execute("PRAGMA cache_size=2")
    connection.execute("BEGIN")
    before = os.path.getsize(f"{path}-wal")
    connection.executemany("INSERT INTO t(b) VALUES (randomblob(?))", [(3000,)] * 100)
    assert os.path.getsize(f"{path}-wal") > before + 100_000
    if commit_after is not None:
        connection.execute("ROLLBACK")
        for _ in range(commit_after):
            connection.execute("INSERT INTO t(b) VALUES ('short')")
    return connection


def only_uncommitted(path):
    connect(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA cache_size=2")
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO t(b) VALUES (randomblob(?))", [(3000,)] * 100)
    assert os.path.getsize(f"{path}-wal") > 100_000
    return connection


def reset(path):
    connection = with_unseen_commits(path)
    before = os.path.getsize(f"{path}-wal")
    assert connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0] == 0
    connection.execute("INSERT INTO t(b) VALUES ('over the first frames of before')")
    assert os.path.getsize(f"{path}-wal") == before
    return connection


def truncated(path):
    connection = with_unseen_commits(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert os.path.getsize(f"{path}-wal") == 0
    return connection


CASES = {
    **{
        f"journal_mode={mode}": lambda path, mode=mode: in_rollback_mode(path, mode)
        for mode in ("delete", "truncate", "persist", "memory", "off")
    },
    **{
        f"page_size={1 << n}": lambda path, n=n: with_unseen_commits(path, 1 << n)
        for n in range(9, 17)
    },
    "partly checkpointed": partly_checkpointed,
    "vacuumed": lambda path: vacuumed(path, "delete"),
    "vacuumed in wal": lambda path: vacuumed(path, "wal"),
    "shrunk by VACUUM": lambda path: shrunk_in_wal(path, 0),
    "shrunk by auto_vacuum": lambda path: shrunk_in_wal(path, 1),
    "shrunk by incremental_vacuum": lambda path: shrunk_in_wal(path, 2),
    "shrunk and grown": grown_again,
    "under way": lambda path: begun(path, None),
    "rolled back": lambda path: begun(path, 0),
    "rolled back, then committed over": lambda path: begun(path, 3),
    "only uncommitted frames": only_uncommitted,
    "reset, old frames behind": reset,
    "truncated": truncated,
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_identity_is_the_digest_of_the_committed_image(tmp_path, case):
    path = str(tmp_path / "league.sqlite")
    live = case(path)

    identity = identity_of(path)

    assert identity.text == text_of(reader_sees(path))
    assert identity.kind == "sqlite"
    assert identity.stat[2] == os.path.getsize(path)
    del live


@pytest.mark.parametrize("seed", range(6))
def test_identity_follows_sqlite_through_random_histories(tmp_path, seed):
    chance = random.Random(seed)
    path = str(tmp_path / "league.sqlite")
    connection = connect(path, page_size=chance.choice([512, 1024, 4096]), auto_vacuum=seed % 3)
    connection.execute("PRAGMA cache_size=5")
    acts = [
        lambda: grow(connection, chance.randrange(1, 60), chance.randrange(1, 3000)),
        lambda: connection.execute("DELETE FROM t WHERE a % 7 = ?", (chance.randrange(7),)),
        lambda: connection.execute("UPDATE t SET b = randomblob(50) WHERE a % 5 = 0"),
        lambda: connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall(),
        lambda: connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall(),
        lambda: connection.execute("PRAGMA incremental_vacuum(3)").fetchall(),
        lambda: connection.executescript(
            "BEGIN; INSERT INTO t(b) SELECT randomblob(900) FROM t LIMIT 90; ROLLBACK;"
        ),
    ]

    for _ in range(25):
        chance.choice(acts)()
        assert identity_of(path).text == text_of(connection.serialize())


def damaged_wal(path, damage):
    connection = with_unseen_commits(path)
    copy = f"{path}.damaged"
    shutil.copyfile(path, copy)
    with open(f"{path}-wal", "rb") as wal:
        content = bytearray(wal.read())
    connection.close()
    with open(f"{copy}-wal", "wb") as wal:
        wal.write(damage(content))
    return copy


def flipped(at):
    def damage(content):
        content[at] ^= 1
        return content

    return damage


def checksums(words, first, second):
    """SQLite's own loop, word by word."""
    for at in range(0, len(words), 2):
        first = (first + words[at] + second) % 2**32
        second = (second + words[at + 1] + first) % 2**32
    return first, second


def big_endian(content, page_bytes=4096):
    """The same WAL as a big-endian machine would have written it."""
    struct.pack_into(">I", content, 0, 0x377F0683)
    sums = checksums(struct.unpack_from(">6I", content), 0, 0)
    struct.pack_into(">2I", content, 24, *sums)
    for frame in range(32, len(content), 24 + page_bytes):
        page = struct.unpack_from(f">{page_bytes // 4}I", content, frame + 24)
        sums = checksums(struct.unpack_from(">2I", content, frame) + page, *sums)
        struct.pack_into(">2I", content, frame + 16, *sums)
    return content


DAMAGES = {
    "torn last frame": lambda content: content[:-1000],
    "a bit of the last page": flipped(-1),
    "a bit of the first page": flipped(32 + 24 + 5),
    "a bit of a checksum": flipped(32 + 4 * 4120 + 17),
    "a bit of a salt": flipped(32 + 9 * 4120 + 8),
    "a bit of a page number": flipped(32 + 9 * 4120 + 3),
    "a bit of the header": flipped(17),
    "a bit of the header's checksum": flipped(25),
    "a bit of the format": flipped(7),
    "a bit of the checkpoint's number": flipped(15),
    "half a header": lambda content: content[:20],
    "a header alone": lambda content: content[:32],
    "garbage": lambda content: b"\x00" * len(content),
    "garbage behind": lambda content: content + os.urandom(50_000),
    "big-endian": big_endian,
    "big-endian, damaged": lambda content: flipped(-1)(big_endian(content)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_wal_counts_as_far_as_sqlite_would_recover_it(tmp_path, damage):
    path = damaged_wal(str(tmp_path / "league.sqlite"), damage)

    assert identity_of(path).text == text_of(reader_sees(path))


def test_wal_longer_than_the_read_buffer(tmp_path):
    path = str(tmp_path / "league.sqlite")
    connection = connect(path)
    grow(connection, rows=30, size=400_000)
    connection.execute("DELETE FROM t WHERE a % 2")
    grow(connection, rows=3)
    assert os.path.getsize(f"{path}-wal") > 12 << 20

    assert identity_of(path).text == text_of(connection.serialize())


def test_pages_that_the_header_does_not_count_are_none(tmp_path):
    path = str(tmp_path / "league.sqlite")
    connection = in_rollback_mode(path, "delete")
    before = identity_of(path).text
    connection.close()
    with open(path, "ab") as file:
        file.write(b"left by a writer that takes space in large steps" * 1000)

    assert identity_of(path).text == text_of(reader_sees(path)) == before


@pytest.mark.slow
def test_page_of_the_lock_byte_counts_as_zeros(tmp_path):
    """It lies at 1 GiB and holds no data; SQLite serializes zeros whatever is there."""
    path = str(tmp_path / "league.sqlite")
    connect(path, "delete", page_size=65536).close()
    pages = (1 << 30) // 65536 + 2
    with open(path, "r+b") as file:
        file.truncate(pages * 65536)
        os.pwrite(file.fileno(), struct.pack(">I", pages), 28)
        os.pwrite(file.fileno(), b"lock", 1 << 30)
        image = blake3(os.pread(file.fileno(), 2 * 65536, 0))
    for _ in range(pages - 2):
        image.update(bytes(65536))

    assert identity_of(path).text == f"sqlite-bytes-1:blake3:{image.hexdigest()}"


def test_wal_of_a_later_format_is_refused(tmp_path):
    def later(content):
        struct.pack_into(">I", content, 4, 3_008_000)
        struct.pack_into(">2I", content, 24, *checksums(struct.unpack_from("<6I", content), 0, 0))
        return content

    path = damaged_wal(str(tmp_path / "league.sqlite"), later)

    with pytest.raises(UnkeyableValue, match=r"-wal has the format 3008000, .* upgrade"):
        identity_of(path)
