"""A payload with sections of every kind, and the tensors in whatever is read from it."""

from __future__ import annotations

import numpy as np
import torch

from tensorcache import Rows

GIVEN = {"version": "1", "namespace": "t.batches"}


def batch(i):
    return {
        "stats": torch.arange(i, i + 12.0).reshape(1, 3, 4),
        "mask": torch.arange(3).reshape(1, 3) % 2 == i % 2,
        "rel": torch.arange(float(i)),
        "n": i,
    }


def made():
    """A payload with sections of every kind."""
    batches = [batch(i) for i in range(10)]
    weight = torch.ones(2, requires_grad=True)
    return {
        "info": {"mode": "seasons", "weights": torch.ones(3), "windows": (10, 30)},
        "metas": [{"team_ids": [i, i + 1], "date": f"2021-01-{i:02}"} for i in range(1, 2000)],
        "oof": batches[:6],
        "all": batches,
        "arrays": [{"x": np.arange(i, dtype=">i4"), "w": weight} for i in range(3)],
        "inner": {"long": [(torch.tensor(i),) for i in range(40)], "short": [torch.ones(1)]},
        "many": [{f"f{i}": torch.full((1,), i) for i in range(300)}, {"x": torch.ones(1, 2)}],
        "empty": [],
        "number": 5,
    }  # fmt: skip


def tensors_in(value):
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, list | tuple | Rows):
        for item in value:
            yield from tensors_in(item)
