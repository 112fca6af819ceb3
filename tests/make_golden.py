"""Makes a golden root: `python tests/make_golden.py DIR`.

`tests/data/golden_root` was made once and must open for ever. Neither it nor a payload below is
ever edited: what it lacks goes into a new function here and a new root beside it. Its values come
from whole numbers alone, and its clock and host stand still, so that its bytes are always the same.
"""

from __future__ import annotations

import datetime as dt
import math
import os
import shutil
import struct
import sys
import tempfile
import zoneinfo
from decimal import Decimal

import numpy as np
import torch

from tensorcache import column, disk
from tensorcache.key import make_key
from tensorcache.manifest import Manifest, Provenance

TORCH_DTYPES = (
    "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64 "
    "complex32 complex64 complex128 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz"
).split()
YOUNG_DTYPES = ("float8_e8m0fnu", "float4_e2m1fn_x2")  # each in a section of its own
NUMPY_DTYPES = (
    "?|u1|<u2|<u4|<u8|i1|<i2|<i4|<i8|<f2|<f4|<f8|<c8|<c16|>u2|>u4|>u8|>i2|>i4|>i8|>f2|>f4|>f8|>c8"
    "|>c16|<M8[ns]|<M8[D]|<m8[us]|<m8[25s]|>M8[s]|>m8[ns]"
).split("|")
PERSON = {"team_ids": [1610612737, 1610612738], "as_of_date": "2021-01-02"}


def of_bytes(dtype, *shape):
    """A tensor of any dtype: its bytes count up, so that every bit pattern is met."""
    size = math.prod(shape) * torch.empty(0, dtype=dtype).element_size()
    top = 2 if dtype == torch.bool else 251
    items = torch.from_numpy((np.arange(size) % top).astype(np.uint8)).view(dtype)
    return items.reshape(shape)


def array_of_bytes(dtype, *shape):
    size = math.prod(shape) * np.dtype(dtype).itemsize
    top = 2 if dtype == "?" else 251
    return (np.arange(size) % top).astype(np.uint8).view(dtype).reshape(shape)


def nan_of(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def values():
    """Every type of the table, and so every ext code but those of columns."""
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    east = dt.timezone(dt.timedelta(hours=5, minutes=30), "east")
    day = dt.datetime.fromisoformat("2020-10-25T02:30:00.000001")
    return {
        "plain": {
            "none": None,
            "bools": [True, False],
            "text": "\u00e9t\u00e9 \U0001f3c0",
            "b": b"\0\xff",
        },
        "ints": [0, -1, 127, 128, -(1 << 63), (1 << 64) - 1, 1 << 64, -(1 << 63) - 1, 1 << 200],
        "floats": {"all": [0.0, -0.0, 0.1, math.inf, nan_of(0x7FF8000000000123), nan_of(1)]},
        "complex": {"all": (1j, complex(-0.0, math.nan))},
        "containers": {"tuple": (1, (2, [3, ()])), "empty": [[], {}, (), set(), frozenset()]},
        "odd keys": {1: "int", None: 0, (1, "a"): {2.5: b""}, "s": 1, b"b": 2},
        "sets": {"set": {1, "a", (2, b""), None}, "frozen": frozenset({frozenset({1}), 2})},
        "times": {
            "date": dt.date(1, 1, 1),
            "time": [dt.time(1, 2, 3, 4), dt.time(2, 30, fold=1, tzinfo=dt.UTC)],
            "datetime": [day, day.replace(tzinfo=dt.UTC), day.replace(tzinfo=east)],
            "folded": [day.replace(tzinfo=berlin), day.replace(tzinfo=berlin, fold=1)],
            "timedelta": [dt.timedelta(-1, 2, 3), dt.timedelta.max],
        },
        "decimals": [Decimal("1.10"), Decimal("-0E+5"), Decimal("-Infinity"), Decimal("sNaN7")],
        "scalars": {"all": tuple(array_of_bytes(dtype, 2)[1] for dtype in NUMPY_DTYPES)},
    }


def dtypes():
    """Every dtype: many rows, 0-d, none, remembered gradients."""
    grown = {name: of_bytes(getattr(torch, name), 3, 5) for name in TORCH_DTYPES}
    scalars = {name: of_bytes(getattr(torch, name), 1)[0] for name in TORCH_DTYPES}
    young = {name: of_bytes(getattr(torch, name), 4) for name in YOUNG_DTYPES}
    return {
        "torch": grown,
        "torch 0-d": scalars,
        "torch laid out": [grown, scalars],
        "numpy": {name: array_of_bytes(name, 3, 5) for name in NUMPY_DTYPES},
        "numpy 0-d": {name: array_of_bytes(name, 1).reshape(()) for name in NUMPY_DTYPES},
        "empty": {"rows": torch.zeros(0, 3), "width": np.zeros((3, 0)), "both": torch.zeros(0)},
        "grad": [torch.ones(2, requires_grad=True), torch.ones(2)],
        **young,
    }


def batch(i, k=4):
    """A batch as a ranker eats it: five tensors, leading axis 1."""
    return {
        "embedding_indices": torch.arange(i, i + k * 2).reshape(1, k, 2),
        "player_stats": torch.arange(i * 2, i * 2 + k * 6, dtype=torch.float32).reshape(1, k, 2, 3),
        "minutes": torch.arange(i, i + k * 2, dtype=torch.float32).reshape(1, k, 2) / 64,
        "key_padding_mask": torch.arange(k * 2).reshape(1, k, 2) % 2 == i % 2,
        "rel": torch.arange(i, i + k, dtype=torch.float32).reshape(1, k),
    }


def batches(n_folds):
    """What the first consumer caches; the number of folds changes one plain section only."""
    shared = [batch(i, k=4 - (i % 7 == 3)) for i in range(20)]
    return {
        "split_info": {"n_folds": n_folds, "mode": "seasons"},
        "list_metas": [PERSON | {"conference": "EW"[i % 2], "n": i} for i in range(20)],
        "oof_batches": shared[:12],
        "all_batches": shared,
    }


def shapes():
    """The rarer layouts: documents, flat columns, ordinals, absent fields, names to escape."""
    two = torch.ones(2)
    many = {f"f{i}": torch.full((2,), i, dtype=torch.int16) for i in range(300)}
    return {
        "absent": [{"x": torch.arange(i), "y": [i]} if i % 2 else {"z": i} for i in range(8)],
        "mixed": [two, np.ones(2, np.float32), "text", torch.ones(2, 2), {7: torch.ones(3)}],
        "flat": [{"x": torch.arange(3 * w, dtype=torch.int32).reshape(3, w)} for w in range(20)],
        "ordinals": [many, {}, many | {"f0": torch.zeros(1)}],
        "inner": {"laid": [{"x": torch.tensor(i)} for i in range(33)], "plain": [torch.ones(1)]},
        "a/b#c%d~e \u00e9": {"x/y": {"": torch.ones(4)}, 3: torch.ones(5), "~1": (torch.ones(6),)},
        "long": {"list": list(range(24000))},
        "nothing": [],
    }  # fmt: skip


def alone():
    """A payload that is no dict: one section without a name."""
    return [{"x": torch.arange(i, i + 3)} for i in range(3)]


PAYLOADS = {
    "values": values,
    "dtypes": dtypes,
    "batches 5": lambda: batches(5),
    "batches 6": lambda: batches(6),
    "shapes": shapes,
    "alone": alone,
}


def key_of(name):
    namespace = f"golden.{name.split()[0]}"
    sources = {"db": "sqlite-bytes-1:blake3:" + 64 * "0"}
    return make_key({"name": name}, version="hand:1", sources=sources, namespace=namespace)


def make(path):
    """A root at `path` with one entry for each payload, and nothing that a clock has touched."""
    with tempfile.TemporaryDirectory() as scratch:
        root = disk.Root(os.path.join(scratch, "root"))
        disk.prepare(root, write=True)
        for name, payload in PAYLOADS.items():
            publish(root, key_of(name), payload())
        os.mkdir(path, 0o700)
        for kept in ("tensorcache.json", "CACHEDIR.TAG"):
            shutil.copy(root.join(kept), path)
        for kept in ("entries", "shards", "documents"):
            shutil.copytree(root.join(kept), os.path.join(path, kept))


def publish(root, key, payload):
    laid = column.lay(payload)
    staging = disk.stage(root)
    contents = column.write(laid, staging.add)
    manifest = Manifest(
        key=key.digest,
        identity=key.text,
        is_dict=laid.is_dict,
        **contents._asdict(),
        sources=(
            Provenance("db", "sqlite", "/data/league.sqlite", (1, 2, 4096, 3, 4)),
            Provenance("made", "value", None, None),
        ),
        created_at=1600000000.25,
        build_seconds=1.5,
        host="golden",
        tools={"python": "3.11.7"},
    )
    with disk.locked(root):
        staging.seal(manifest)
        staging.publish(manifest, disk.Memory(root, write=False))
    staging.discard()


if __name__ == "__main__":
    make(sys.argv[1])
