"""The floor: the tensors are in memory already, the lists decoded in bulk, nothing collected."""

from __future__ import annotations

import gc

from payloads import BATCHES

from peers import pickle_5
from peers.lists import read_list, write_lists


def write(payload, folder):
    pickle_5.write({name: payload[name] for name in payload if name in BATCHES}, folder)
    write_lists(payload, folder)


def ready(folder):
    payload = pickle_5.load(folder)
    gc.disable()  # decoding lists would make it walk through a hundred thousand tensors
    return payload | {path.stem: packed(path) for path in folder.glob("*.msgpack")}


def packed(path):
    return lambda: read_list(path)


def load(payload):
    return payload
