"""What `exact` means, said without the library: the same types, order, bits and aliases."""

from __future__ import annotations

import datetime as dt
import struct
from decimal import Decimal

import numpy as np
import torch


def print_of(value):
    """A nested tuple that two values share only if nobody can tell them apart."""
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, torch.Tensor):
        return kind, str(value.dtype), tuple(value.shape), value.requires_grad, raw(value)
    if isinstance(value, np.ndarray | np.generic):
        return kind, value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, float):
        return kind, struct.pack("<d", value)
    if isinstance(value, complex):
        return kind, struct.pack("<dd", value.real, value.imag)
    if isinstance(value, list | tuple):
        return kind, tuple(map(print_of, value))
    if isinstance(value, dict):
        return kind, tuple((print_of(name), print_of(item)) for name, item in value.items())
    if isinstance(value, set | frozenset):
        return kind, tuple(sorted(map(print_of, value), key=repr))
    if isinstance(value, dt.datetime | dt.time):
        return kind, value.isoformat(), value.fold, repr(value.tzinfo)
    return kind, str(value) if isinstance(value, Decimal) else value


def raw(tensor):
    """The bytes of a tensor's items, in their order."""
    if not tensor.numel():
        return b""
    plain = tensor.detach().resolve_conj().resolve_neg()
    # a clone, for `contiguous` leaves the strides of a single row as they are
    plain = plain.clone(memory_format=torch.contiguous_format).reshape(-1)
    return plain.view(torch.uint8).numpy().tobytes()


def identical(one, other):
    return print_of(one) == print_of(other)
