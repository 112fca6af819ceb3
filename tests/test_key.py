"""The key: golden vectors, what is refused and where, and that nothing else can move it."""

from __future__ import annotations

import ast
import datetime as dt
import functools
import hashlib
import json
import math
import os
import shutil
import struct
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorcache import schema
from tensorcache.errors import UnkeyableValue
from tensorcache.key import RESERVED_NAMESPACES, Key, make_key

REPO = Path(__file__).parents[1]
VECTORS = json.loads((REPO / "tests/data/keys.json").read_text())["vectors"]
NAMES = {"np": np, "dt": dt, "Decimal": Decimal, "Key": Key}
GIVEN = ("version", "sources", "namespace")


def key(inputs, version="1", sources=None, namespace="a.b"):
    return make_key(inputs, version=version, sources=sources or {}, namespace=namespace)


def text_of(value):
    """The canonical text of one value."""
    return key({"a": value}).text.removeprefix('{"inputs":{"a":').partition('},"key":1,')[0]


# Golden vectors.


@pytest.mark.parametrize("row", VECTORS, ids=lambda row: row["name"])
def test_golden_vectors_never_change(row):
    inputs = eval(row["inputs"], NAMES)

    made = make_key(inputs, **{name: row[name] for name in GIVEN})

    assert (made.text, made.digest) == (row["text"], row["key"])


def test_the_key_is_the_sha256_of_the_text():
    for row in VECTORS:
        assert hashlib.sha256(row["text"].encode("ascii")).hexdigest() == row["key"]


def test_golden_vectors_differ_except_where_they_say_equals():
    texts = {}
    for row in VECTORS:
        texts.setdefault(row["text"], []).append(row["name"])

    assert [names for names in texts.values() if len(names) > 1] == [
        ["list", "tuple equals list"],
        ["set", "frozenset equals set"],
    ]


def test_a_key_shows_sixteen_digits_and_is_its_digest():
    made = key({"a": 1})

    assert made.short == made.digest[:16]
    assert str(made) == made.digest
    assert len(made.digest) == 64
    assert made.namespace == "a.b"


# The same everywhere.

OTHER_PROCESS = """
import json, sys, types, datetime as dt
from decimal import Decimal
package = types.ModuleType("tensorcache")
package.__path__ = [sys.argv[1]]                     # without its __init__: this room alone
sys.modules["tensorcache"] = package
before = set(sys.modules)
from tensorcache.key import Key, make_key
foreign = {name.partition(".")[0] for name in set(sys.modules) - before}
foreign -= sys.stdlib_module_names | {"tensorcache"}
assert not foreign, f"key.py imports {foreign}"
names = {"dt": dt, "Decimal": Decimal, "Key": Key}
checked = 0
for row in json.load(open(sys.argv[2], encoding="ascii"))["vectors"]:
    if "np." in row["inputs"]:
        continue
    given = {name: row[name] for name in ("version", "sources", "namespace")}
    made = make_key(eval(row["inputs"], names), **given)
    assert (made.text, made.digest) == (row["text"], row["key"]), row["name"]
    checked += 1
print(checked)
"""


def checked_elsewhere(python, **environment):
    """How many golden vectors hold in another process, which sees the standard library alone."""
    done = subprocess.run(
        [python, "-S", "-c", OTHER_PROCESS, REPO / "tensorcache", REPO / "tests/data/keys.json"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@functools.cache
def python_of(version):
    """A Python of this version on this machine, or None."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    named = shutil.which(f"python{version}")
    for python in filter(None, [named, *sorted(versions.glob(f"{version}.*/bin/python3"))]):
        told = subprocess.run([python, "-V"], capture_output=True, text=True, check=False)
        if f"Python {version}." in told.stdout:  # a shim may stand there for nothing at all
            return str(python)
    return None


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_every_python_makes_the_same_keys_from_its_standard_library(version):
    python = python_of(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")

    assert checked_elsewhere(python) >= 40


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONHASHSEED": "0", "LC_ALL": "C", "PYTHONUTF8": "0"},
        {"PYTHONHASHSEED": "1", "LC_ALL": "tr_TR.UTF-8", "TZ": "America/New_York"},
        {"PYTHONHASHSEED": "4294967295", "PYTHONUTF8": "1"},
    ],
    ids=lambda environment: environment["PYTHONHASHSEED"],
)
def test_hash_seed_locale_and_zone_do_not_count(environment):
    assert checked_elsewhere(sys.executable, **environment) >= 40


def test_the_room_imports_nothing_outside():
    tree = ast.parse((REPO / "tensorcache/key.py").read_text())
    modules = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [node.names[0].name])
    }

    assert modules - sys.stdlib_module_names == {"tensorcache"}


# What differs, and what does not.


def test_numbers_of_different_types_differ():
    assert len({text_of(v) for v in (5, 5.0, "5", True, 1, 1.0, "1", None, "None", b"5")}) == 10


def test_zero_differs_from_negative_zero():
    assert text_of(0.0) != text_of(-0.0)


def test_absent_differs_from_none():
    assert key({"a": 1}).digest != key({"a": 1, "b": None}).digest


def test_lists_and_tuples_are_one():
    assert text_of([1, (2, [3])]) == text_of((1, [2, (3,)]))


def test_composed_and_decomposed_letters_differ():
    assert text_of("\u00e9") != text_of("e\u0301")


def test_dates_differ_from_datetimes_and_their_text():
    day, midnight = dt.date(2020, 1, 2), dt.datetime.fromisoformat("2020-01-02")

    assert len({text_of(v) for v in (day, midnight, "2020-01-02", "2020-01-02T00:00:00")}) == 4


@pytest.mark.parametrize(
    ("value", "alike"),
    [
        (b"\x00", {"$bytes": "00"}),
        ({1}, {"$set": [1]}),
        (float("inf"), {"$float": "inf"}),
        (dt.date(2020, 1, 2), {"$date": "2020-01-02"}),
        (Decimal(1), {"$decimal": "1"}),
        ({"$a": 1}, {"$$a": 1}),
        (Key("00", "a.b", ""), {"$key": "00"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_input_looks_like_a_tag(value, alike):
    assert text_of(value) != text_of(alike)


@pytest.mark.parametrize(
    ("scalar", "plain"),
    [
        (np.True_, True),
        (np.int32(-7), -7),
        (np.longlong(7), 7),
        (np.uint64(1 << 63), 1 << 63),
        (np.float16(0.5), 0.5),
        (np.float32(0.1), 0.10000000149011612),
        (np.float64(-0.0), -0.0),
        (np.float64("inf"), math.inf),
        (np.str_("x"), "x"),
        (np.bytes_(b"x"), b"x"),
    ],
    ids=repr,
)
def test_numpy_scalars_are_the_python_numbers_they_hold(scalar, plain):
    assert text_of([scalar, {scalar}]) == text_of([plain, {plain}])


def test_the_caller_s_objects_are_left_as_they_were():
    inputs = {"b": [1, {"x": {2, 3}}], "a": {"$y": (1, 2)}}
    before = repr(inputs)

    key(inputs)

    assert repr(inputs) == before


@pytest.mark.parametrize("part", ["version", "sources", "namespace"])
def test_version_sources_and_namespace_are_in_the_key(part):
    other = {"version": "2", "sources": {"db": "x"}, "namespace": "a.c"}[part]

    assert key({"a": 1}).digest != key({"a": 1}, **{part: other}).digest


# Namespaces.


@pytest.mark.parametrize(
    "namespace", ["a", "model_a.batches", "a1_.2b._c", "a" * 60, "entry.x", "entries", "alembic"]
)
def test_namespaces_are_lowercase_words(namespace):
    assert key({}, namespace=namespace).namespace == namespace


@pytest.mark.parametrize(
    "namespace",
    ["", "A", "1a", "_a", "a.", ".a", "a..b", "a b", "a-b", "a/b", 'a"b', "a\n", "é", "a" * 61,
     "sqlite_master", None, 1, b"a"],
)  # fmt: skip
def test_other_namespaces_are_refused(namespace):
    with pytest.raises(UnkeyableValue, match=r"^namespace: "):
        key({}, namespace=namespace)


def test_no_namespace_meets_a_table_of_the_index():
    named = {name for name in schema.metadata.tables if not name.startswith("_")}
    assert named | {"alembic_version"} == RESERVED_NAMESPACES
    for table in RESERVED_NAMESPACES:
        with pytest.raises(UnkeyableValue, match="names a table"):
            key({}, namespace=table)


# No two values share a text: it can be read back.

WORDS = st.text(alphabet="$ab\u00e9e\u0301\U0001f3c0", max_size=3) | st.sampled_from(
    ["$set", "$bytes", "$$set", "$float", "inf", "00", "2020-01-02"]
)
HASHABLE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2) | st.integers(),
    st.sampled_from([0.0, -0.0, 1.0, math.inf]) | st.floats(allow_nan=False),
    WORDS,
    st.binary(max_size=2),
    st.dates(min_value=dt.date(2020, 1, 1), max_value=dt.date(2020, 1, 3)),
    st.datetimes(timezones=st.sampled_from([None, dt.UTC, dt.timezone(dt.timedelta(hours=-5))])),
    st.decimals(allow_nan=False, places=1, min_value=-2, max_value=2),
)
VALUES = st.recursive(
    HASHABLE | st.sets(HASHABLE, max_size=3) | st.frozensets(HASHABLE, max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(WORDS, inner, max_size=3)
    ),
    max_leaves=12,
)


def form(value):
    """What the key promises to tell apart, said without tags."""
    if isinstance(value, float):
        return "float", struct.pack("<d", value)
    if isinstance(value, list | tuple):
        return "list", tuple(map(form, value))
    if isinstance(value, dict):
        return "dict", frozenset((name, form(item)) for name, item in value.items())
    if isinstance(value, set | frozenset):
        return "set", frozenset(map(form, value))
    return type(value).__name__, str(value) if isinstance(value, Decimal | dt.date) else value


RAISE = {
    "$bytes": bytes.fromhex,
    "$date": dt.date.fromisoformat,
    "$datetime": dt.datetime.fromisoformat,
    "$decimal": Decimal,
    "$float": float,
}


def read_back(value):
    """The form of what a canonical text stands for."""
    if isinstance(value, list):
        return "list", tuple(map(read_back, value))
    if isinstance(value, dict):
        tags = [name for name in value if name.startswith("$") and not name.startswith("$$")]
        if tags == ["$set"]:
            return "set", frozenset(map(read_back, value["$set"]))
        if tags:
            return form(RAISE[tags[0]](value[tags[0]]))
        plain = {n.removeprefix("$"): item for n, item in value.items()}
        return "dict", frozenset((name, read_back(item)) for name, item in plain.items())
    return form(value)


@settings(max_examples=400, deadline=None)
@given(VALUES)
def test_a_text_can_be_read_back_so_no_two_values_share_one(value):
    assert read_back(json.loads(text_of(value))) == form(value)


def reordered(value):
    if isinstance(value, dict):
        return {name: reordered(value[name]) for name in reversed(value)}
    if isinstance(value, set | frozenset):
        return type(value)(sorted(value, key=repr, reverse=True))
    return type(value)(map(reordered, value)) if isinstance(value, list | tuple) else value


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(WORDS, VALUES, max_size=4))
def test_order_of_dicts_and_sets_does_not_count(inputs):
    assert key(inputs).digest == key(reordered(inputs)).digest
