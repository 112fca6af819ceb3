"""The bytes of leaves where they lie, to be hashed and compared: the inner loop of a put.

Most leaves are tensors that lie end to end in the memory of this machine. Their bytes are looked at
by address, and what has to be known for that is asked of many at once: to make an array of each
would cost more than to hash it. All others go through `array_of`, which copies what it must.
"""

from __future__ import annotations

import ctypes
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from tensorcache.column.form import array_of, bytes_of
from tensorcache.errors import UnstorableValue

# Not by CDLL, which would let go of the interpreter's lock and wait to have it back.
_memcmp = ctypes.PyDLL(None).memcmp
_memcmp.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)

Traits = tuple[Any, ...]
_of_tensor = operator.attrgetter("dtype", "shape", "requires_grad", "is_cpu")
_of_array = operator.attrgetter("dtype", "shape")


def alike(leaves: Sequence[Any]) -> dict[Traits, list[int]]:
    """Positions of leaves that may differ in their bytes alone, by what they have in common."""
    traits: Iterable[Traits] = map(_of_tensor, leaves)
    if set(map(type, leaves)) != {torch.Tensor}:
        traits = ((_of_array if type(x) is np.ndarray else _of_tensor)(x) for x in leaves)
    groups: dict[Traits, list[int]] = {}
    for position, found in enumerate(traits):
        groups.setdefault(found, []).append(position)
    return groups


def addresses(leaves: Sequence[Any]) -> Sequence[int]:
    """Where the bytes of leaves lie that are alike; 0 where they do not lie end to end.

    Raises:
        UnstorableValue: the memory of one was freed.
    """
    like = leaves[0]
    # Zeros that were never made have no address; what is conjugated or negated only when it is
    # read has other bytes than it lies in.
    if type(like) is np.ndarray or not like.is_cpu or like.is_complex():
        return [0] * len(leaves)
    kind = torch.Tensor
    places = list(map(kind.data_ptr, leaves))
    if 0 in places and like.nbytes:
        _refuse_freed(leaves)
    return [
        address if is_contiguous and not is_negated else 0
        for address, is_contiguous, is_negated in zip(
            places, map(kind.is_contiguous, leaves), map(kind.is_neg, leaves), strict=True
        )
    ]


def _refuse_freed(leaves: Sequence[Any]) -> None:
    if any(not leaf.untyped_storage().nbytes() for leaf in leaves):
        raise UnstorableValue(
            f"payload: a tensor of shape {tuple(leaves[0].shape)} whose memory was freed "
            "(resize_(0)) cannot be stored: have it filled before, or leave it out"
        )


def bytes_at(leaf: Any, address: int) -> Any:
    """The bytes of a leaf, in C order."""
    if address:
        return (ctypes.c_ubyte * leaf.nbytes).from_address(address)
    return bytes_of(array_of(leaf))


def same_bytes(leaf: Any, address: int, other: Any, *, other_lies: bool) -> bool:
    """Whether two leaves of one dtype and shape have the same bytes.

    `other_lies`: it had an address. That is asked for again, for much may have come between.
    """
    if address and other_lies:
        return not _memcmp(address, other.data_ptr(), leaf.nbytes)
    one, two = bytes_of(array_of(leaf)), bytes_of(array_of(other))
    return bool((one == two).all())
