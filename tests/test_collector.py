"""What is spared Python's collector: it may be frozen, never lost to it."""

from __future__ import annotations

import gc
import os
import threading
import weakref

import pytest

from tensorcache.tree import collector, collector_paused, collector_spared


class Knot:
    """A cycle: only the collector can free it."""

    def __init__(self):
        self.itself = self


@pytest.fixture(autouse=True)
def _collector_as_it_was(monkeypatch):
    """As in a process that has frozen nothing."""
    gc.unfreeze()
    monkeypatch.setattr(collector._pauses, "_has_frozen", False)
    gc.collect()
    yield
    gc.enable()
    gc.freeze()  # as conftest.py has it


def generation_of(found):
    return next(n for n in range(3) if any(one is found for one in gc.get_objects(n)))


def test_what_is_made_while_it_is_spared_is_old_at_once():
    with collector_spared():
        made = [[number] for number in range(1000)]

        assert not gc.isenabled()
    assert gc.isenabled()
    assert generation_of(made[0]) == generation_of(made[-1]) == 2
    assert gc.get_count()[0] < 500  # so nothing is looked at soon
    assert gc.get_freeze_count() == 0


def test_garbage_of_before_is_collected_and_not_carried_along():
    knot = weakref.ref(Knot())
    with collector_spared():
        pass

    assert knot() is None


def test_garbage_that_is_made_meanwhile_is_collected_in_the_end():
    with collector_spared():
        knot = weakref.ref(Knot())

    assert knot() is not None
    gc.collect()
    assert knot() is None


def test_what_a_program_has_frozen_stays_frozen():
    gc.freeze()
    frozen = gc.get_freeze_count()
    with collector_spared():
        made = [[]]

    assert gc.get_freeze_count() >= frozen > 0
    assert generation_of(made[0]) < 2


def test_what_is_frozen_is_counted_once_for_that_takes_long(monkeypatch):
    counted = []
    count = gc.get_freeze_count
    monkeypatch.setattr(gc, "get_freeze_count", lambda: counted.append(count()) or counted[-1])
    gc.freeze()
    for _ in range(3):
        with collector_spared():
            pass

    assert len(counted) == 1
    assert counted[0] > 0


@pytest.mark.parametrize("aside", [collector_paused, collector_spared])
def test_a_collector_that_was_off_stays_off(aside):
    gc.disable()
    with aside():
        pass

    assert not gc.isenabled()


@pytest.mark.parametrize("aside", [collector_paused, collector_spared])
def test_an_error_leaves_it_as_it_was(aside):
    with pytest.raises(ValueError, match="meanwhile"), aside():
        raise ValueError("meanwhile")

    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_a_child_that_is_forked_meanwhile_has_a_collector():
    go_on, paused = threading.Event(), threading.Event()

    def pause():
        with collector_paused():
            paused.set()
            go_on.wait()

    thread = threading.Thread(target=pause)
    thread.start()
    paused.wait()
    child = os.fork()
    if not child:
        with collector_paused():  # whose lock no other thread has taken along
            pass
        os._exit(0 if gc.isenabled() else 1)
    go_on.set()
    thread.join()

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert gc.isenabled()


def test_of_two_that_paused_it_the_last_lets_it_go_on():
    one, other = collector_paused(), collector_paused()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)

    assert not gc.isenabled()
    other.__exit__(None, None, None)
    assert gc.isenabled()
