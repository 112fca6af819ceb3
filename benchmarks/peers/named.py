"""Tensors by name, `section/position/field`: how a list of dicts lies in a flat container."""

from __future__ import annotations

from collections.abc import Sequence

from payloads import BATCHES


def by_name(payload):
    return {
        f"{section}/{position}/{field}": tensor
        for section in payload
        if section in BATCHES
        for position, one in enumerate(payload[section])
        for field, tensor in one.items()
    }


class Named(Sequence):
    """The list again: its dicts are made when asked for, by `get(name)` for each tensor."""

    def __init__(self, section, length, fields, get):
        self.section, self.length, self.fields, self.get = section, length, fields, get

    def __len__(self):
        return self.length

    def __getitem__(self, position):
        if position >= self.length:
            raise IndexError(position)
        return {name: self.get(f"{self.section}/{position}/{name}") for name in self.fields}


def shape_of(payload):
    """What must be known to find the names again: length and fields of each list."""
    return {
        section: [len(payload[section]), list(payload[section][0])]
        for section in payload
        if section in BATCHES
    }


def sections(shape, get):
    return {
        section: Named(section, length, fields, get) for section, (length, fields) in shape.items()
    }
