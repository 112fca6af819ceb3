"""The lists beside the tensors, for peers that keep tensors only: a msgpack file per section."""

from __future__ import annotations

import functools

import msgpack
from payloads import BATCHES


def write_lists(payload, folder):
    for name, value in payload.items():
        if name not in BATCHES:
            (folder / f"{name}.msgpack").write_bytes(msgpack.packb(value))


def read_list(path):
    return msgpack.unpackb(path.read_bytes())


def lists_in(folder):
    """A function for each section, which reads it when it is asked for."""
    return {path.stem: functools.partial(read_list, path) for path in folder.glob("*.msgpack")}
