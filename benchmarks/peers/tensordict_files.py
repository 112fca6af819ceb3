"""A TensorDict for each batch, memory-mapped: a file for each tensor."""

from __future__ import annotations

from payloads import BATCHES
from tensordict import TensorDict

from peers.lists import lists_in, write_lists


def write(payload, folder):
    for section in payload:
        if section in BATCHES:
            batches = {str(position): one for position, one in enumerate(payload[section])}
            TensorDict(batches).memmap(folder / section)
    write_lists(payload, folder)


def load(folder):
    sections = [path.name for path in folder.iterdir() if path.is_dir()]
    return {name: list_of(TensorDict.load_memmap(folder / name)) for name in sections} | lists_in(
        folder
    )


def list_of(batches):
    return [batches[str(position)] for position in range(len(batches.keys()))]
