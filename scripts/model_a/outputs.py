"""What a run leaves in `paths.outputs`.

Rules of this room: a file is written aside, then renamed, so that it is there whole or not at all;
the files of an earlier run go first, so that a directory never holds two runs; each says where the
league is SIMULATED.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from disk import writing
from safetensors.torch import save
from torch import Tensor

from model_a.errors import BadInput

FILES = (
    "split_info.json",
    "oof_model_a.parquet",
    "metrics.json",
    "model_a.safetensors",
    "model_a.json",
    "run.json",
    "predicted_ranks.png",
    "losses.png",
    "spearman_by_day.png",
)


def clear(directory: str) -> None:
    """Make the directory, and take away what an earlier run left there.

    Raises:
        BadInput: nothing can be written there.
        BadDisk: the disk is full or read-only; so do all that write.
    """
    with writing(f"paths.outputs: {directory!r}", BadInput):
        os.makedirs(directory, exist_ok=True)
        for name in FILES:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(directory, name))


def write_json(directory: str, name: str, values: Mapping[str, Any]) -> None:
    """`values` as indented JSON."""

    def write(path: str) -> None:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(values, file, indent=2, default=str)
            file.write("\n")

    _write_aside(directory, name, write)


def write_parquet(directory: str, name: str, columns: Mapping[str, list[Any]], label: str) -> None:
    """`columns` as a table; the label is in the schema's metadata."""
    table = pa.table(dict(columns)).replace_schema_metadata({"label": label})
    _write_aside(directory, name, lambda path: pq.write_table(table, path))


def write_safetensors(directory: str, name: str, tensors: Mapping[str, Tensor], label: str) -> None:
    """`tensors` by name; the label is in the file's metadata."""
    whole = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    write_bytes(directory, name, save(whole, {"label": label}))  # save_file's only we could read


def write_bytes(directory: str, name: str, data: bytes) -> None:
    """`data` as they are."""

    def write(path: str) -> None:
        with open(path, "wb") as file:
            file.write(data)

    _write_aside(directory, name, write)


def _write_aside(directory: str, name: str, write: Callable[[str], Any]) -> None:
    path = os.path.join(directory, name)
    aside = f"{path}.{secrets.token_hex(4)}.part"
    try:
        with writing(f"paths.outputs: {path!r}", BadInput):
            write(aside)
            os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)
        raise
