"""The table of peers: one small file per idea, as plain as its users would write it.

A file has `write(payload, folder)` and one or more ways to load what it wrote. A load gives a
mapping with the payload's sections: lists of dicts of tensors (or what can be walked through and
indexed like one), and lists that are decoded, or a function that decodes one. A file may also have

    ready(folder)       what is at hand before a load is timed; a load is then given that
    warm(folder)        what a process has done before its write is timed; else it writes a small
                        payload beside
    DURABLE = True      `write` has synced all that it wrote; else that is done, and timed, after it

Names stand here and not in the files, so that nobody imports a peer to learn that it exists.
"""

from __future__ import annotations

import importlib
from typing import NamedTuple


class Peer(NamedTuple):
    """A name for the tables, the file, its load; `wrote` is the file that writes, if another."""

    name: str
    file: str
    load: str = "load"
    wrote: str = ""

    @property
    def writer(self):
        """The file that writes what this peer loads."""
        return self.wrote or self.file


OURS = Peer("tensorcache", "ours")
RAM = Peer("in memory already", "in_memory")
TORCH = Peer("torch.load(weights_only=False)", "torch_save")
RIVALS = (
    TORCH,
    Peer("torch.load()", "torch_save", "load_safely"),
    Peer("torch.load(weights_only=False, mmap=True)", "torch_save", "load_mapped"),
    Peer("pickle 5 of numpy arrays", "pickle_5"),
    Peer("joblib", "joblib_dump"),
    Peer("joblib(mmap_mode='c')", "joblib_dump", "load_mapped"),
    Peer("safetensors load_file", "safetensors_file"),
    Peer("safetensors safe_open", "safetensors_file", "load_lazily"),
    Peer("fastsafetensors", "fast_safetensors", wrote="safetensors_file"),
    Peer("TensorDict memmap, stacked", "tensordict_stacked"),
    Peer("datasets", "arrow_datasets"),
    Peer("h5py", "hdf5"),
    Peer("lmdb", "lmdb_values"),
    Peer("diskcache", "disk_cache"),
    Peer(
        "TensorDict memmap, a file each", "tensordict_files"
    ),  # last: so many files disturb others
)
PEERS = {peer.name: peer for peer in (OURS, RAM, *RIVALS)}


def import_peer(file):
    return importlib.import_module(f"peers.{file}")
