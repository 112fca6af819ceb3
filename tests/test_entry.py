"""Entries: mappings of their sections, private memory, and handles that are small to send."""

from __future__ import annotations

import collections.abc
import copy
import multiprocessing
import os
import pickle
import sys

import pytest
import torch
from exact import identical
from small_entry import GIVEN, made, tensors_in
from torch.utils.data import DataLoader

import tensorcache
from tensorcache import Batches, EntryMissing, Rows

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")


@pytest.fixture
def entry(cache):
    return cache.get_or_build({}, made, **GIVEN)


# An entry is a mapping of its sections.


def test_an_entry_is_a_mapping_of_its_sections(entry):
    assert isinstance(entry, collections.abc.Mapping)
    assert list(entry) == list(made())
    assert len(entry) == 9
    assert "oof" in entry
    assert "absent" not in entry
    assert entry["number"] == 5
    assert entry.get("number") == 5
    assert entry.get("absent", 7) == 7
    with pytest.raises(KeyError, match="absent"):
        entry["absent"]


def test_an_entry_says_whether_it_was_there(cache):
    built = cache.get_or_build({}, made, **GIVEN)
    found = cache.get_or_build({}, made, **GIVEN)

    assert (built.hit, built.published) == (False, True)
    assert (found.hit, found.published, found.why) == (True, True, "")
    assert found.key == built.key
    assert found.build_seconds == built.build_seconds > 0
    assert repr(built) == f"Entry({built.key.short}, built: {', '.join(made())})"
    assert repr(found) == f"Entry({built.key.short}, hit: {', '.join(made())})"


def test_sections_come_as_what_they_are(entry):
    kinds = {name: type(value) for name, value in entry.items()}

    assert kinds == {
        "info": dict, "metas": Rows, "oof": Batches, "all": Batches, "arrays": Batches,
        "inner": dict, "many": Batches, "empty": Rows, "number": int,
    }  # fmt: skip
    assert type(entry["inner"]["long"]) is Batches
    assert type(entry["inner"]["short"]) is list


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what is mapped")
def test_what_is_not_asked_for_is_neither_mapped_nor_parsed(entry):
    documents = os.path.join(entry._held.root.path, "documents")

    def mapped():
        with open("/proc/self/maps") as maps:
            return documents in maps.read()

    assert identical(entry["arrays"][0], made()["arrays"][0])
    assert not mapped()
    assert entry["metas"][0] == made()["metas"][0]
    assert mapped()


def test_load_gives_exactly_what_was_stored(cache, entry):
    assert identical(entry.load(), made())
    assert identical(cache[entry.key].load(), made())


def test_a_payload_that_is_no_dict_is_one_section_without_a_name(cache):
    entry = cache.get_or_build({}, lambda: [torch.ones(2), 5], **GIVEN)

    assert list(entry) == [""]
    assert entry[""][1] == 5
    assert identical(entry.load(), [torch.ones(2), 5])


def test_a_miss_and_a_hit_hand_out_the_same(cache):
    built = cache.get_or_build({}, made, **GIVEN)
    found = cache.get_or_build({}, made, **GIVEN)

    for name in built:
        assert type(built[name]) is type(found[name])
    assert identical(built.load(), found.load())


def test_an_entry_in_memory_is_like_any_other(root):
    entry = tensorcache.open(root, mode="off").get_or_build({}, made, **GIVEN)

    assert not entry.published
    assert entry.why
    assert identical(entry.load(), made())
    assert entry["oof"] == made()["oof"]


# Memory: private, shared within a process, and no larger than it must be.


def test_a_fetched_tensor_owns_a_storage_of_its_own_bytes(entry):
    for loaded in (entry.load(), dict(entry)):
        found = list(tensors_in(loaded))

        assert len(found) > 300
        for tensor in found:
            assert tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
            assert tensor.storage_offset() == 0


def test_saving_a_tensor_drags_no_column_along(entry, tmp_path):
    torch.save(entry["all"][0]["stats"], tmp_path / "x.pt")

    assert (tmp_path / "x.pt").stat().st_size < 3000


def shard_bytes(root):
    return {
        name: open(os.path.join(folder, name), "rb").read()
        for folder, _, names in os.walk(os.path.join(root, "shards"))
        for name in names
    }


def test_changing_a_loaded_tensor_changes_neither_the_files_nor_other_entries(cache, root, entry):
    before = shard_bytes(root)

    for tensor in tensors_in(entry.load()):
        tensor.detach().fill_(1)
    entry["arrays"][2]["x"][:] = 7

    assert shard_bytes(root) == before
    assert identical(cache[entry.key].load(), made())


def test_equal_tensors_of_an_entry_share_memory_so_a_change_shows_in_later_fetches(entry):
    entry["oof"][3]["stats"].fill_(9)

    assert entry["oof"][3]["stats"].eq(9).all()
    assert entry["all"][3]["stats"].eq(9).all()


def test_clone_parts_what_is_fetched(cache):
    cache.get_or_build({}, made, **GIVEN)
    entry = cache.get_or_build({}, made, **GIVEN, clone=True)

    loaded = entry.load()
    for tensor in [*tensors_in(loaded), *tensors_in(entry["oof"])]:
        tensor.detach().fill_(1)
    entry["arrays"][2]["x"][:] = 7

    assert identical(entry.load(), made())
    assert identical(list(entry["all"]), made()["all"])
    assert all(tensor.is_leaf for tensor in tensors_in(entry.load()))


def test_what_requires_gradients_can_be_trained(entry):
    weight = entry["arrays"][0]["w"]

    (weight * 3).sum().backward()

    assert weight.grad.tolist() == [3, 3]
    assert entry["arrays"][0]["w"].grad is None


# Handles: small to send, reopened where they land.


def test_an_entry_pickles_into_less_than_a_kilobyte(entry):
    data = pickle.dumps(entry)
    back = pickle.loads(data)

    assert len(data) < 1024
    assert back.hit
    assert back.key == entry.key
    assert identical(back.load(), made())


@pytest.mark.parametrize("name", ["metas", "all", "arrays", "many", "empty"])
def test_a_list_pickles_into_a_handle(entry, name):
    for lazy, plain in [(entry[name], made()[name]), (entry[name][1::2], made()[name][1::2])]:
        data = pickle.dumps(lazy)

        assert len(data) < 1200
        assert identical(list(pickle.loads(data)), plain)


def test_an_inner_list_pickles_into_a_handle(entry):
    data = pickle.dumps(entry["inner"]["long"][::-1])

    assert len(data) < 1200
    assert identical(list(pickle.loads(data)), made()["inner"]["long"][::-1])


def test_clone_survives_the_journey(cache):
    entry = cache.get_or_build({}, made, **GIVEN, clone=True)
    back = pickle.loads(pickle.dumps(entry))["oof"]

    back[0]["stats"].fill_(1)

    assert back == made()["oof"]


def test_a_copy_reads_the_same(entry):
    assert identical(copy.copy(entry["oof"])[0], made()["oof"][0])
    assert identical(copy.deepcopy(entry)["number"], 5)


def test_a_handle_whose_entry_was_removed_is_missing(cache, entry):
    data = pickle.dumps((entry, entry["oof"]))
    cache.remove(entry.key)

    with pytest.raises(EntryMissing, match="removed or built anew"):
        pickle.loads(data)
    assert entry["oof"] == made()["oof"]


def test_a_handle_stands_for_one_generation(cache, entry):
    data = pickle.dumps(entry)
    cache.get_or_build({}, lambda: {"other": 1}, **GIVEN, refresh=True)

    with pytest.raises(EntryMissing, match="built anew"):
        pickle.loads(data)


def test_what_was_given_up_and_removed_is_missing_not_corrupt_and_no_default(cache, entry):
    """As it happens to an entry that gave up its descriptors to others."""
    entry._held.close()
    cache.remove(entry.key)

    with pytest.raises(EntryMissing, match="given up"):
        entry["oof"]
    with pytest.raises(EntryMissing, match="given up"):
        entry.get("oof", [])


def test_what_was_given_up_is_opened_anew(entry):
    entry._held.close()

    assert identical(entry.load(), made())


def test_entries_in_memory_refuse_to_be_pickled(root):
    entry = tensorcache.open(root, mode="off").get_or_build({}, made, **GIVEN)

    for value in (entry, entry["oof"], entry["metas"]):
        with pytest.raises(TypeError, match=r"in memory only and .*: .*switched off"):
            pickle.dumps(value)


def check_in_another_process(entry, batches, queue):
    same = identical(entry.load(), made()), batches == made()["all"][::2]
    for tensor in tensors_in(entry.load()):
        tensor.detach().fill_(1)
    queue.put(same)


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_another_process_reads_the_same_and_changes_nothing_here(entry, root, method):
    before = shard_bytes(root)
    context = multiprocessing.get_context(method)
    queue = context.SimpleQueue()
    child = context.Process(target=check_in_another_process, args=(entry, entry["all"][::2], queue))

    child.start()
    child.join(60)

    assert child.exitcode == 0
    assert queue.get() == (True, True)
    assert shard_bytes(root) == before
    assert identical(entry.load(), made())


@pytest.mark.parametrize(
    ("workers", "method"), [(0, None), (2, "spawn"), (2, "fork"), (4, "spawn"), (4, "fork")]
)
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
def test_a_data_loader_reads_a_list(entry, workers, method):
    loader = DataLoader(
        entry["all"], batch_size=None, num_workers=workers, multiprocessing_context=method
    )

    assert identical(list(loader), made()["all"])


def test_a_data_loader_shuffles_and_collates_what_has_one_shape(entry):
    lazy = entry["inner"]["long"]
    loader = DataLoader(lazy, batch_size=8, shuffle=True, generator=torch.Generator())

    seen = torch.cat([numbers for (numbers,) in loader])

    assert sorted(seen.tolist()) == list(range(40))
