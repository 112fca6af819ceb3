"""Forks beside questions: each waits for what is under way, and for nothing that has ended."""

from __future__ import annotations

import contextlib
import gc
import os
import sqlite3
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from index_rows import entry_rows, index, path

from tensorcache.index import usual_seconds
from tensorcache.index.connection import PATIENCE_SECONDS
from tensorcache.index.file import IndexFile

__all__ = ["index", "path"]

SOON_SECONDS = PATIENCE_SECONDS / 2


def fork():
    """A child that ends at once; how long the fork took."""
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os._exit(0)
    took = time.monotonic() - began
    assert os.waitpid(child, 0)[1] == 0
    return took


def test_a_question_that_failed_keeps_no_fork_waiting(index, path):
    """A writer begins after the file was opened, and before it was read."""
    index.add([entry_rows({"n": 1})])

    def ask():
        def begin(frame, event, _):
            if event == "return" and frame.f_code.co_name == "_connect":
                writer.execute("BEGIN EXCLUSIVE")

        sys.setprofile(begin)
        try:
            return usual_seconds(path, "model_a.batches")
        finally:
            sys.setprofile(None)

    gc.disable()
    try:
        with (
            contextlib.closing(
                sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            ) as writer,
            ThreadPoolExecutor(1) as pool,
        ):
            assert pool.submit(ask).result() is None
            assert writer.in_transaction
            assert fork() < SOON_SECONDS
    finally:
        gc.enable()


def test_a_connection_that_nobody_closed_keeps_no_fork_waiting(index, path):
    index.add([entry_rows({"n": 1})])

    def drop():
        IndexFile(path).reader()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(drop).result()
        gc.collect()  # it refers to itself
        assert fork() < SOON_SECONDS
    assert "index.sqlite" not in str([os.readlink(f"/proc/self/fd/{n}") for n in descriptors()])


def descriptors():
    return [n for n in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{n}")]


@pytest.mark.slow
def test_a_question_waits_for_each_fork_that_is_under_way(index, path):
    index.add([entry_rows({"n": 1})])
    file = IndexFile(path)
    with (
        ThreadPoolExecutor(1) as asks,
        ThreadPoolExecutor(1) as both,
        ThreadPoolExecutor(1) as third,
    ):
        question = asks.submit(file.reader).result()
        its_own = both.submit(file.reader).result()
        one = both.submit(fork)  # waits for the question
        other = third.submit(fork)  # waits for the question, and for who asks and forks
        time.sleep(0.3)
        assert not one.done()
        assert not other.done()
        asks.submit(question.close).result()
        one.result()
        question = asks.submit(file.reader)
        time.sleep(0.3)
        assert not question.done()  # else a crowd of questions would keep the fork waiting
        assert not other.done()
        both.submit(its_own.close).result()
        assert other.result() < SOON_SECONDS
        asks.submit(question.result().close).result()
