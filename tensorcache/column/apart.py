"""How many numbers differ between two memories of one dtype: by their bits, or by how much."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tensorcache.column.form import Form, bytes_of, form_named, tensor_of

# At once: little memory beside what is compared, and fewer than torch would share among threads,
# whose pool hangs in a forked child.
_STEP = 32_767


def apart(
    dtype: str, one: memoryview, other: memoryview, *, tolerance: float | None
) -> tuple[int, int]:
    """How many numbers differ, of how many; floats by more than `tolerance` where there is one.

    With a tolerance NaN equals NaN, and 0.0 equals -0.0.
    """
    form = form_named(dtype)
    ours, theirs = (np.frombuffer(memory, form.numpy) for memory in (one, other))
    differing = 0
    for start in range(0, len(ours), _STEP):
        parts = ours[start : start + _STEP], theirs[start : start + _STEP]
        differing += int((~_same(*parts, form, tolerance)).sum())
    return differing, len(ours)


def _same(
    one: np.ndarray[Any, Any], other: np.ndarray[Any, Any], form: Form, tolerance: float | None
) -> np.ndarray[Any, Any]:
    """Whether they are, number by number."""
    if tolerance is not None:
        floats, others = _floats(one, form), _floats(other, form)
        if floats is not None and others is not None:
            near = np.isclose(floats, others, rtol=0.0, atol=tolerance, equal_nan=True)
            return np.asarray(near)
    bits, other_bits = (bytes_of(part).reshape(len(part), -1) for part in (one, other))
    return np.asarray((bits == other_bits).all(1))


def _floats(array: np.ndarray[Any, Any], form: Form) -> np.ndarray[Any, Any] | None:
    """The same as doubles, or None where they are no floats."""
    if form.torch is None:
        wider = {"f": "float64", "c": "complex128"}.get(array.dtype.kind)
        return None if wider is None else array.astype(wider)
    kind = torch.complex128 if form.torch.is_complex else torch.float64
    try:
        doubles: np.ndarray[Any, Any] = tensor_of(array.copy(), form).to(kind).numpy()
    except (RuntimeError, TypeError):  # two numbers to a byte: only bits can be compared
        return None
    return doubles
