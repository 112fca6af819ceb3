"""torch.save of the whole payload; torch.load as it comes, trusting the file, and mapped.

As it comes it reads the pickle in Python, for safety. Trusting the file it takes half the time.
"""

from __future__ import annotations

import torch


def write(payload, folder):
    torch.save(payload, folder / "payload.pt")


def load(folder):
    return torch.load(folder / "payload.pt", weights_only=False)


def load_safely(folder):
    return torch.load(folder / "payload.pt")


def load_mapped(folder):
    return torch.load(folder / "payload.pt", mmap=True, weights_only=False)
