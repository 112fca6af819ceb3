"""Batches of equal shapes stacked into one memory-mapped TensorDict; a file for each field."""

from __future__ import annotations

import json
from collections.abc import Sequence

import torch
from payloads import BATCHES
from tensordict import TensorDict

from peers.lists import lists_in, write_lists


def write(payload, folder):
    order = {
        name: write_stacks(payload[name], folder / name) for name in payload if name in BATCHES
    }
    (folder / "order.json").write_text(json.dumps(order))
    write_lists(payload, folder)


def write_stacks(batches, folder):
    """Which stack each batch is in, and at which row."""
    numbers, stacks, order = {}, [], []
    for one in batches:
        shapes = tuple(tensor.shape for tensor in one.values())
        number = numbers.setdefault(shapes, len(numbers))
        if number == len(stacks):
            stacks.append([])
        order.append((number, len(stacks[number])))
        stacks[number].append(TensorDict(one))
    for number, rows in enumerate(stacks):
        torch.stack(rows).memmap(folder / str(number))
    return order


def load(folder):
    order = json.loads((folder / "order.json").read_text())
    return {name: Stacked(folder / name, rows) for name, rows in order.items()} | lists_in(folder)


class Stacked(Sequence):
    def __init__(self, folder, order):
        count = max(stack for stack, _ in order) + 1
        self.stacks = [TensorDict.load_memmap(folder / str(number)) for number in range(count)]
        self.order = order

    def __len__(self):
        return len(self.order)

    def __getitem__(self, position):
        stack, row = self.order[position]
        return self.stacks[stack][row]
