"""Bytes looked at by address are those that an array would have."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tensorcache.column import memory
from tensorcache.column.form import array_of, bytes_of
from tensorcache.errors import UnstorableValue

PLAIN = torch.arange(24, dtype=torch.float32).reshape(4, 6)
LEAVES = {
    "plain": PLAIN,
    "of a graph": PLAIN.clone().requires_grad_(),
    "a row": PLAIN[2],
    "transposed": PLAIN.T,
    "a column": PLAIN[:, 1],
    "expanded": torch.ones(1, 3).expand(5, 3),
    "0-d": torch.tensor(3.5),
    "empty": torch.empty(0, 7),
    "bfloat16": PLAIN.to(torch.bfloat16),
    "complex": torch.complex(PLAIN, -PLAIN),
    "conjugated": torch.complex(PLAIN, -PLAIN).conj(),
    "negated": torch.complex(PLAIN[:1, :1], PLAIN[3:, 5:]).conj().imag,
    "never made": torch._efficientzerotensor((2, 2)),
    "an array": PLAIN.numpy(),
    "an array in columns": np.asfortranarray(PLAIN.numpy()),
}


@pytest.mark.parametrize("leaf", LEAVES.values(), ids=LEAVES)
def test_a_leaf_has_the_bytes_of_its_array(leaf):
    (address,) = memory.addresses([leaf])

    assert bytes(memory.bytes_at(leaf, address)) == bytes_of(array_of(leaf)).tobytes()


def test_only_what_lies_end_to_end_as_it_is_read_has_an_address():
    with_address = {name for name, leaf in LEAVES.items() if memory.addresses([leaf])[0]}

    assert with_address == {"plain", "of a graph", "a row", "0-d", "bfloat16"}
    assert LEAVES["negated"].is_contiguous()  # it would have had one


@pytest.mark.parametrize("leaf", LEAVES.values(), ids=LEAVES)
def test_the_same_bytes_are_the_same_wherever_they_lie(leaf):
    other = torch.from_numpy(np.array(leaf)) if isinstance(leaf, np.ndarray) else leaf.clone()
    for one, two in [(leaf, other), (other, leaf)]:
        (address,) = memory.addresses([one])
        lies = bool(memory.addresses([two])[0])

        assert memory.same_bytes(one, address, two, other_lies=lies)


@pytest.mark.parametrize("pair", [(0.0, -0.0), (1.0, 2.0)])
def test_other_bytes_are_not_the_same(pair):
    one, two = map(torch.tensor, pair)

    assert not memory.same_bytes(one, one.data_ptr(), two, other_lies=True)
    assert not memory.same_bytes(one, 0, two, other_lies=False)


def test_leaves_are_alike_by_all_that_a_column_or_a_caller_could_tell():
    leaves = [
        PLAIN,
        PLAIN.clone(),
        PLAIN.clone().requires_grad_(),
        PLAIN.double(),
        PLAIN.T,
        PLAIN.numpy(),
    ]

    groups = list(memory.alike(leaves).values())

    assert groups == [[0, 1], [2], [3], [4], [5]]


def test_a_tensor_whose_memory_was_freed_is_refused_and_never_read(cache):
    freed = torch.ones(4)
    freed.untyped_storage().resize_(0)
    key = cache.key({}, version="1", namespace="t.freed")

    with pytest.raises(UnstorableValue, match=r"shape \(4,\) whose memory was freed"):
        cache.put(key, {"x": freed})
    assert key not in cache
