"""A safetensors file with a name for every tensor: read whole, and lazily."""

from __future__ import annotations

import json

from safetensors import safe_open
from safetensors.torch import load_file, save_file

from peers.lists import lists_in, write_lists
from peers.named import by_name, sections, shape_of


def write(payload, folder):
    save_file(parted(by_name(payload)), folder / "tensors.safetensors")
    (folder / "shape.json").write_text(json.dumps(shape_of(payload)))
    write_lists(payload, folder)


def parted(tensors):
    """Copies of tensors that lie there under two names: save_file refuses them."""
    seen = set()
    for name, tensor in tensors.items():
        if tensor.data_ptr() in seen:
            tensors[name] = tensor.clone()
        seen.add(tensor.data_ptr())
    return tensors


def load(folder):
    return given(folder, load_file(folder / "tensors.safetensors").__getitem__)


def load_lazily(folder):
    return given(folder, safe_open(folder / "tensors.safetensors", "pt").get_tensor)


def given(folder, get):
    shape = json.loads((folder / "shape.json").read_text())
    return sections(shape, get) | lists_in(folder)
