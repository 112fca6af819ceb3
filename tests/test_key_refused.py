"""What cannot be part of a key is refused, with the path to it and what to do instead."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import math
import pathlib
import typing
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tensorcache.errors import UnkeyableValue
from tensorcache.key import make_key


def key(inputs, version="1", sources=None):
    return make_key(inputs, version=version, sources=sources or {}, namespace="a.b")


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Config:
    lr: float = 0.1


class Pair(typing.NamedTuple):
    a: int = 1


class Text(str):
    __slots__ = ()


REFUSED = [
    ("nan", math.nan, "None"),
    ("numpy nan", np.float32("nan"), "None"),
    ("decimal nan", Decimal("nan"), "None"),
    ("signalling decimal nan", Decimal("sNaN"), "None"),
    ("path", pathlib.Path("league.sqlite"), "database(path)"),
    ("pure path", pathlib.PureWindowsPath("x"), "database(path)"),
    ("function", math.sqrt, "code_version(it)"),
    ("lambda", lambda: 1, "code_version(it)"),
    ("class", Config, "code_version(it)"),
    ("enum", Colour.RED, ".value"),
    ("int enum", Level.LOW, ".value"),
    ("dataclass", Config(), "dataclasses.asdict(it)"),
    ("named tuple", Pair(), "use None, bool"),
    ("str subclass", Text("x"), "use None, bool"),
    ("array", np.zeros(2), "value(x)"),
    ("0-d array", np.zeros(()), "value(x)"),
    ("tensor", torch.zeros(2), "value(x)"),
    ("parameter", torch.nn.Parameter(torch.zeros(2)), "value(x)"),
    ("data frame", pd.DataFrame({"a": [1]}), "value(x)"),
    ("series", pd.Series([1]), "value(x)"),
    ("surrogates", "\ud800", "os.fsencode"),
    ("surrogates in a key", {"\udcff": 1}, "os.fsencode"),
    ("int key", {1: 2}, "str(key)"),
    ("none key", {None: 2}, "str(key)"),
    ("str subclass as key", {Text("x"): 2}, "str(key)"),
    ("complex", 1j, "use None, bool"),
    ("bytearray", bytearray(b"x"), "use None, bool"),
    ("range", range(3), "use None, bool"),
    ("time", dt.time(1), "use None, bool"),
    ("timedelta", dt.timedelta(1), "use None, bool"),
    ("numpy datetime", np.datetime64("2020-01-01"), "use None, bool"),
    ("numpy complex", np.complex64(1), "use None, bool"),
    ("long double", np.longdouble(1), "use None, bool"),
    ("pandas time", pd.Timestamp("2020-01-01"), "use None, bool"),
    ("object", object(), "use None, bool"),
    ("int of a million bits", 1 << 1_000_000, "write it as bytes or str"),
]


@pytest.mark.parametrize(
    ("value", "remedy"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_what_has_no_place_in_a_key_is_refused_with_path_and_remedy(value, remedy):
    with pytest.raises(UnkeyableValue) as refused:
        key({"training": {"windows": [1, value]}})

    message = str(refused.value)
    assert message.startswith("inputs.training.windows[1]: ")
    assert remedy in message
    assert len(message) < 400
    assert isinstance(refused.value, TypeError)


def test_members_of_sets_are_refused_too():
    with pytest.raises(UnkeyableValue, match=r"^inputs\.a\{\}\[0\]: nan"):
        key({"a": {(math.nan,)}})


def nested(depth):
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def test_depth_has_its_limit():
    assert key({"a": nested(31)})
    with pytest.raises(UnkeyableValue, match="nested deeper than 32"):
        key({"a": nested(32)})


def test_cycles_are_refused():
    ring = [1]
    ring.append(ring)
    wide: list[object] = []
    wide.extend([wide, wide])
    mapping = {}
    mapping["self"] = mapping

    for value in (ring, wide, mapping):
        with pytest.raises(UnkeyableValue, match="nested deeper than 32"):
            key({"a": value})


def test_a_text_above_a_mebibyte_is_refused():
    bare = len(key({"a": ""}).text)

    assert len(key({"a": "x" * ((1 << 20) - bare)}).text) == 1 << 20
    with pytest.raises(UnkeyableValue, match=r"1048577 bytes as text.*value\(x\)"):
        key({"a": "x" * ((1 << 20) - bare + 1)})


def test_a_million_values_are_refused_before_they_are_written_out():
    with pytest.raises(UnkeyableValue, match=r"more than a million values.*value\(x\)"):
        key({"a": [None] * (1 << 20)})


@pytest.mark.parametrize("inputs", [None, [("a", 1)], "a", 1])
def test_inputs_are_a_mapping(inputs):
    with pytest.raises(UnkeyableValue, match="pass a mapping"):
        key(inputs)


def test_version_and_sources_are_refused_by_name():
    with pytest.raises(UnkeyableValue, match=r"^version: "):
        key({}, version=math.sqrt)
    with pytest.raises(UnkeyableValue, match=r"^sources\.db: .*database\(path\)"):
        key({}, sources={"db": Path("x")})
