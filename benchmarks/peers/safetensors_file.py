"""A safetensors file with a name for every tensor: read whole, and lazily."""

from __future__ import annotations

import json

from safetensors import safe_open
from safetensors.torch import load_file, save_file

from peers.lists import lists_in, write_lists
from peers.named import by_name, sections, shape_of


def write(payload, folder):
    save_file(by_name(payload), folder / "tensors.safetensors")
    (folder / "shape.json").write_text(json.dumps(shape_of(payload)))
    write_lists(payload, folder)


def load(folder):
    return given(folder, load_file(folder / "tensors.safetensors").__getitem__)


def load_lazily(folder):
    return given(folder, safe_open(folder / "tensors.safetensors", "pt").get_tensor)


def given(folder, get):
    shape = json.loads((folder / "shape.json").read_text())
    return sections(shape, get) | lists_in(folder)
