"""diskcache: the payload under one key, as numpy arrays: it pickles, and tensors pickle slowly."""

from __future__ import annotations

import diskcache

from peers.arrays import to_arrays, to_tensors


def write(payload, folder):
    with diskcache.Cache(folder, size_limit=1 << 40) as cache:
        cache["payload"] = to_arrays(payload)


def ready(folder):
    return diskcache.Cache(folder, size_limit=1 << 40)


def load(cache):
    return to_tensors(cache["payload"])
