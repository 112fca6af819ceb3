"""joblib.dump of numpy arrays; joblib.load plain and mapped."""

from __future__ import annotations

import joblib

from peers.arrays import to_arrays, to_tensors


def write(payload, folder):
    joblib.dump(to_arrays(payload), folder / "payload.joblib")


def load(folder):
    return to_tensors(joblib.load(folder / "payload.joblib"))


def load_mapped(folder):
    return to_tensors(joblib.load(folder / "payload.joblib", mmap_mode="c"))
