"""torch.save of the whole payload; torch.load plain, trusting the file, and mapped."""

from __future__ import annotations

import torch


def write(payload, folder):
    torch.save(payload, folder / "payload.pt")


def load(folder):
    return torch.load(folder / "payload.pt")


def load_unsafely(folder):
    return torch.load(folder / "payload.pt", weights_only=False)


def load_mapped(folder):
    return torch.load(folder / "payload.pt", mmap=True)
