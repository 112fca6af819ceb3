"""Databases in the states in which SQLite, and its writers' deaths, leave them."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

from blake3 import blake3

from tensorcache.source import database, identify


def identity_of(path, memory=None, level="bytes"):
    return identify(
        database(path, level), {} if memory is None else memory, leaf_digest=lambda _: None
    )


def connect(path, journal_mode="wal", page_size=4096, auto_vacuum=0):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA page_size={page_size}")
    connection.execute(f"PRAGMA auto_vacuum={auto_vacuum}")
    connection.execute(f"PRAGMA journal_mode={journal_mode}")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("CREATE TABLE IF NOT EXISTS t(a INTEGER PRIMARY KEY, b)")
    return connection


def grow(connection, rows=40, size=700):
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO t(b) VALUES (randomblob(?))", [(size + i,) for i in range(rows)]
    )
    connection.execute("COMMIT")


def reader_sees(path):
    """The image as a reader finds it who opens a copy of what lies on disk now."""
    copy = f"{path}.copy{time.monotonic_ns()}"
    shutil.copyfile(path, copy)
    if os.path.exists(f"{path}-wal"):
        shutil.copyfile(f"{path}-wal", f"{copy}-wal")
    connection = sqlite3.connect(copy)
    try:
        return connection.serialize()
    finally:
        connection.close()


def text_of(image):
    return f"sqlite-bytes-1:blake3:{blake3(image).hexdigest()}"


def in_rollback_mode(path, mode):
    connection = connect(path, mode)
    grow(connection)
    connection.execute("DELETE FROM t WHERE a % 2")
    return connection


def with_unseen_commits(path, page_size=4096):
    connection = connect(path, page_size=page_size)
    for _ in range(5):
        grow(connection)
    connection.execute("DELETE FROM t WHERE a % 3 = 0")
    return connection


WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size=2")
for statement in sys.argv[2:]:
    connection.execute(statement)
print("ready", flush=True)
time.sleep(60)
"""


def writer(path, *statements):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, path, *statements], stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"ready\n"
    return process


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
