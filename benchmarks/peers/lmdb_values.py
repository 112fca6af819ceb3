"""lmdb: a value for each batch, a small head and the raw bytes; tensors are views of the map."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence

import lmdb
import msgpack
import numpy as np
import torch
from payloads import BATCHES

from peers.lists import lists_in, write_lists

# Nobody writes into these tensors: the map is read-only, and writing would kill the process.
warnings.filterwarnings("ignore", "The given NumPy array is not writable")


def write(payload, folder):
    lengths = {section: len(payload[section]) for section in payload if section in BATCHES}
    with lmdb.open(str(folder / "lmdb"), map_size=1 << 36) as env, env.begin(write=True) as txn:
        for section in lengths:
            for position, one in enumerate(payload[section]):
                txn.put(name_of(section, position), to_bytes(one))
    (folder / "lengths.json").write_text(json.dumps(lengths))
    write_lists(payload, folder)


def load(folder):
    lengths = json.loads((folder / "lengths.json").read_text())
    env = lmdb.open(str(folder / "lmdb"), readonly=True, lock=False)
    txn = env.begin(buffers=True)
    return {name: Values(txn, name, length) for name, length in lengths.items()} | lists_in(folder)


class Values(Sequence):
    def __init__(self, txn, section, length):
        self.txn, self.section, self.length = txn, section, length

    def __len__(self):
        return self.length

    def __getitem__(self, position):
        if position >= self.length:
            raise IndexError(position)
        return from_bytes(self.txn.get(name_of(self.section, position)))


def name_of(section, position):
    return f"{section}/{position:08}".encode()  # in the order of the names, which lmdb likes


def to_bytes(batch):
    arrays = {name: tensor.numpy() for name, tensor in batch.items()}
    head = msgpack.packb([(name, a.dtype.str, a.shape) for name, a in arrays.items()])
    return b"".join(
        [len(head).to_bytes(8, "little"), head, *(a.tobytes() for a in arrays.values())]
    )


def from_bytes(value):
    start = 8 + int.from_bytes(value[:8], "little")
    batch = {}
    for name, dtype, shape in msgpack.unpackb(value[8:start]):
        array = np.frombuffer(value, dtype, math.prod(shape), start).reshape(shape)
        batch[name] = torch.from_numpy(array)
        start += array.nbytes
    return batch
