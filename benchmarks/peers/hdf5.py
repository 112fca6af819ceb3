"""HDF5: a dataset for each tensor, read when it is asked for."""

from __future__ import annotations

import json

import h5py
import torch

from peers.lists import lists_in, write_lists
from peers.named import by_name, sections, shape_of


def write(payload, folder):
    with h5py.File(folder / "tensors.h5", "w") as file:
        for name, tensor in by_name(payload).items():
            file[name] = tensor.numpy()
    (folder / "shape.json").write_text(json.dumps(shape_of(payload)))
    write_lists(payload, folder)


def load(folder):
    file = h5py.File(folder / "tensors.h5", "r")
    shape = json.loads((folder / "shape.json").read_text())
    return sections(shape, lambda name: torch.from_numpy(file[name][...])) | lists_in(folder)
