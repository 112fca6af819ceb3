"""The payload with numpy arrays for tensors: picklers know these by their buffers."""

from __future__ import annotations

import torch
from payloads import BATCHES


def to_arrays(payload):
    return _with(payload, lambda tensor: tensor.numpy())


def to_tensors(payload):
    return _with(payload, torch.from_numpy)


def _with(payload, change):
    return {
        section: [{name: change(value) for name, value in one.items()} for one in values]
        if section in BATCHES
        else values
        for section, values in payload.items()
    }
