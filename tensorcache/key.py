"""Inputs -> identity text -> Key.

Rules of this room: standard library only, no files, no clock. The text is frozen (key scheme 1):
two values share a text exactly when they are the same value of the same type, and what cannot
be told apart for certain is refused with its path. `tests/data/keys.json` holds golden vectors;
they are appended to, never edited. The table in `_encode` is the whole list of types: a new type
is a new tag, never a new meaning of an old one.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

from tensorcache.errors import UnkeyableValue

KEY_SCHEME = 1
MAX_DEPTH = 32
MAX_TEXT_BYTES = 1 << 20
# Names that the index needs for itself; a namespace is also the name of a view.
RESERVED_NAMESPACES = frozenset(
    {"alembic_version", "column", "entry", "entry_shard", "event", "shard", "source"}
)
_NAMESPACE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
_NUMPY_SCALARS = frozenset(
    "bool bool_ int8 int16 int32 int64 intc longlong uint8 uint16 uint32 uint64 uintc ulonglong "
    "float16 float32 float64 str_ bytes_".split()
)
TAG = re.compile(r"\$[^$]")  # begins a tag in the text; a name of the caller's has one more $
_INT_BITS = 14_000  # about 4,200 digits: below the limit at which Python refuses to print an int


class Key(NamedTuple):
    """The name of one result.

    `digest` is the SHA-256 of `text` (64 hex digits); `text` is the identity text: the inputs,
    the sources' identities, the version and the namespace as canonical JSON.
    """

    digest: str
    namespace: str
    text: str

    @property
    def short(self) -> str:
        """The 16 digits that people see."""
        return self.digest[:16]

    def __str__(self) -> str:
        return self.digest


class NoKeyNow(Exception):
    """An input is an entry that belongs to no key: what is made of it cannot be published."""


def make_key(
    inputs: Mapping[str, Any], *, version: str, sources: Mapping[str, str], namespace: str
) -> Key:
    """The key of `inputs` under a version and the identities of its sources.

    `version` and the values of `sources` carry their scheme (`hand:3`, `sqlite-bytes-1:…`).

    Raises:
        UnkeyableValue: a value has no place in a key; the message says where and what to do.
        NoKeyNow: an entry among the inputs has no key.
    """
    check_namespace(namespace)
    if type(inputs) is not dict and not isinstance(inputs, Mapping):
        _refuse("inputs", f"a {type(inputs).__name__}", "pass a mapping of names to plain values")
    identity = {
        "inputs": canonical(dict(inputs), "inputs"),
        "key": KEY_SCHEME,
        "namespace": namespace,
        "sources": canonical(dict(sources), "sources"),
        "version": canonical(version, "version"),
    }
    text = _dumps(identity)
    if len(text) > MAX_TEXT_BYTES:
        _refuse("inputs", f"{len(text)} bytes as text", "pass what is large as a source: value(x)")
    return Key(hashlib.sha256(text.encode("ascii")).hexdigest(), namespace, text)


def check_namespace(namespace: str) -> None:
    """Refuse what cannot be a namespace, and so not the name of a view.

    Raises:
        UnkeyableValue: not `[a-z][a-z0-9_]*(.[a-z0-9_]+)*`, over 60 characters, or a table's name.
    """
    if not isinstance(namespace, str) or not _NAMESPACE.fullmatch(namespace):
        _refuse("namespace", repr(namespace), "use lowercase words, as in 'model_a.batches'")
    if len(namespace) > 60:
        _refuse("namespace", f"{len(namespace)} characters", "use 60 at most")
    if namespace in RESERVED_NAMESPACES or namespace.startswith("sqlite_"):
        _refuse("namespace", repr(namespace), "it names a table of the index; choose another")


def canonical(value: Any, path: str) -> Any:
    """`value` as what `json.dumps` writes: tagged where JSON has no such type.

    Raises:
        UnkeyableValue: `value`, or something in it, is not of the table; `path` leads to it.
    """
    budget = [MAX_TEXT_BYTES]  # every value costs a byte of text at least: a cheap early end
    return _encode(value, path, 0, budget)


def _encode(value: Any, path: str, depth: int, budget: list[int]) -> Any:
    budget[0] -= 1
    if budget[0] < 0:
        _refuse(path, "more than a million values", "pass what is large as a source: value(x)")
    if depth > MAX_DEPTH:
        _refuse(path, f"nested deeper than {MAX_DEPTH}", "flatten it; or is it a cycle?")
    kind = type(value)
    if value is None or kind is bool:
        return value
    encode = _SCALARS.get(kind)
    if encode is not None:
        return encode(value, path)
    if kind is list or kind is tuple:  # YAML cannot say tuple, so the two are one
        return [_encode(v, f"{path}[{i}]", depth + 1, budget) for i, v in enumerate(value)]
    if kind is dict:
        return {
            _dict_key(name, path): _encode(item, f"{path}.{name}", depth + 1, budget)
            for name, item in value.items()
        }
    if kind is set or kind is frozenset:
        texts = sorted(_dumps(_encode(v, f"{path}{{}}", depth + 1, budget)) for v in value)
        return {"$set": [json.loads(text) for text in texts]}
    if is_decimal(kind):
        return _decimal(value, path)
    if hasattr(kind, "_key_"):  # an entry, or a view of a configuration: what stands for it
        return _encode(value._key_(), path, depth, budget)
    if kind.__module__ == "numpy" and kind.__name__ in _NUMPY_SCALARS:
        return _encode(value.item(), path, depth, budget)
    return _refuse(path, f"{value!r:.80} of type {kind.__qualname__}", _remedy(value))


def _int(value: int, path: str) -> int:
    if value.bit_length() > _INT_BITS:
        _refuse(path, f"an int of {value.bit_length()} bits", "write it as bytes or str")
    return value


def _float(value: float, path: str) -> Any:
    if math.isnan(value):
        _refuse(path, "nan", "NaN equals nothing, not even itself; use None for 'not set'")
    if math.isinf(value):
        return {"$float": "inf" if value > 0 else "-inf"}
    return value


def _str(value: str, path: str) -> str:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        _refuse(path, f"{value!r:.80}, a str with surrogates", "pass bytes, or os.fsencode(it)")
    return value


def is_decimal(kind: type) -> bool:
    """Whether it is `Decimal`: who made one has imported its module, which we need not do."""
    module = sys.modules.get("decimal")
    return module is not None and kind is module.Decimal


def _decimal(value: Any, path: str) -> dict[str, str]:
    if value.is_nan():
        _refuse(path, repr(value), "NaN equals nothing, not even itself; use None for 'not set'")
    return {"$decimal": str(value)}


_SCALARS: dict[type, Callable[[Any, str], Any]] = {
    int: _int,
    float: _float,
    str: _str,
    bytes: lambda value, _: {"$bytes": value.hex()},
    dt.date: lambda value, _: {"$date": value.isoformat()},
    dt.datetime: lambda value, _: {"$datetime": value.isoformat()},
    Key: lambda value, _: {"$key": value.digest},
}


def _dict_key(name: Any, path: str) -> str:
    if type(name) is not str:
        _refuse(path, f"the dict key {name!r:.80}", "keys are str: write str(key)")
    _str(name, path)
    return "$" + name if name.startswith("$") else name  # so that no input looks like a tag


def _remedy(value: Any) -> str:
    names = {f"{base.__module__.partition('.')[0]}.{base.__name__}" for base in type(value).__mro__}
    if "pathlib.PurePath" in names:
        return "a path is no content: pass it as a source, database(path) or files(path)"
    if "enum.Enum" in names:
        return "pass its .value or .name"
    if hasattr(type(value), "__dataclass_fields__"):
        return "pass dataclasses.asdict(it)"
    if names & {"numpy.ndarray", "torch.Tensor", "pandas.DataFrame", "pandas.Series"}:
        return "pass data as a source: value(x)"
    if callable(value):
        return "code is versioned, not keyed: version=code_version(it)"
    return "use None, bool, int, float, str, bytes, list, dict, set, date, datetime or Decimal"


# json.dumps with these options, made once.
_dumps = json.JSONEncoder(
    sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False
).encode


def _refuse(path: str, what: str, remedy: str) -> NoReturn:
    raise UnkeyableValue(f"{path}: {what} cannot be part of a key: {remedy}")
