"""pickle, protocol 5, of numpy arrays: a pickle of tensors takes ten times as long."""

from __future__ import annotations

import pickle

from peers.arrays import to_arrays, to_tensors


def write(payload, folder):
    with (folder / "payload.pickle").open("wb") as file:
        pickle.dump(to_arrays(payload), file, protocol=5)


def load(folder):
    with (folder / "payload.pickle").open("rb") as file:
        return to_tensors(pickle.load(file))
