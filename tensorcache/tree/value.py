"""Exact types <-> msgpack.

The ext codes are frozen and never reused; `lower` and `_raise` are one table in two directions, so
a new type is a line in each. A value is lowered to what msgpack takes, with stand-ins for tensors;
paths are kept as linked cells and only written out when something is refused.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn, Self

import msgpack

from tensorcache.errors import EntryCorrupt, TensorCacheError, UnstorableValue
from tensorcache.key import is_decimal

(
    EXT_PLACE,  # where columns stand in: a field number, [reference, first, rows] or [layout]
    EXT_TUPLE,  # an array
    EXT_DICT,  # key, value, key, value, …: a dict with other than str keys
    EXT_INT,  # two's complement, big endian: an int beyond 64 bits
    EXT_DATE,  # ISO text
    EXT_TIME,  # [ISO text without zone, fold, zone]
    EXT_DATETIME,  # the same
    EXT_TIMEDELTA,  # [days, seconds, microseconds]
    EXT_SET,  # an array, sorted by packed bytes
    EXT_FROZENSET,  # the same
    EXT_COMPLEX,  # two little-endian doubles
    EXT_SCALAR,  # [numpy dtype, bytes]
    EXT_DECIMAL,  # text
) = range(1, 14)

MAX_DEPTH = 32
MAX_TOGETHER = 1 << 18  # values that are looked at together
# msgpack keeps these as they are, NaN bits too; an int beyond 64 bits comes back to `_default`.
_PLAIN = frozenset({type(None), bool, int, float, bytes})
_PLAIN_LEAVES = _PLAIN | {str}
_SURROGATE = re.compile("[\ud800-\udfff]")
_ARRAY = struct.Struct(">BI")  # msgpack's array32 header


class Root:
    """Where a path begins: a section, or the current element of a list."""

    __slots__ = ("element", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.element: int | None = None

    def __str__(self) -> str:
        return self.name if self.element is None else f"{self.name}[{self.element}]"


class Odd(int):
    """The step to a value whose dict key is no str: a position, and the key for messages.

    It equals any step of the same position, so that paths are equal when their names are.
    """

    name: str

    def __new__(cls, position: int, name: str) -> Self:
        step = super().__new__(cls, position)
        step.name = name
        return step


Path = Root | tuple[Any, str | int]  # (path, step)
# What stands for a value in the packed bytes, or None where it is no tensor.
Place = Callable[[Any, Path], Any]


class Packed(NamedTuple):
    """A container that msgpack lacks, on its way to bytes; packed late, since it may hold holes."""

    code: int
    items: list[Any]


def written(path: Path) -> str:
    """The path as a person would write it: `payload['metas'][3]['team_ids']`."""
    if isinstance(path, Root):
        return str(path)
    step = path[1].name if isinstance(path[1], Odd) else repr(path[1])
    return f"{written(path[0])}[{step}]"


def depth_of(path: Path) -> int:
    """How many steps lead to it."""
    depth = 0
    while not isinstance(path, Root):
        path = path[0]
        depth += 1
    return depth


def lower(value: Any, path: Path, depth: int, place: Place) -> Any:
    """`value` as `pack` takes it.

    Raises:
        UnstorableValue: it, or something in it, is not of the table.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is str:
        return check_str(value, path)
    if kind is dict:
        return lower_dict(value, path, depth, lambda inner, at: lower(inner, at, depth + 1, place))
    if kind is list or kind is tuple:
        check_depth(path, depth)
        if set(map(type, value)) <= _PLAIN:  # long lists of numbers, at little cost
            items = list(value)
        else:
            items = [lower(v, (path, i), depth + 1, place) for i, v in enumerate(value)]
        return items if kind is list else Packed(EXT_TUPLE, items)
    stand_in = place(value, path)
    if stand_in is not None:
        return stand_in
    if kind is set or kind is frozenset:
        check_depth(path, depth)
        members = sorted(pack_at(lower(v, path, depth + 1, no_place), path) for v in value)
        data = _ARRAY.pack(0xDD, len(members)) + b"".join(members)
        return msgpack.ExtType(EXT_SET if kind is set else EXT_FROZENSET, data)
    scalar = _SCALARS.get(kind)
    if scalar is not None:
        return msgpack.ExtType(*scalar(value, path))
    if kind.__module__ == "numpy" and hasattr(value, "item") and value.shape == ():
        return _numpy_scalar(value, path)
    if is_decimal(kind):
        return msgpack.ExtType(EXT_DECIMAL, str(value).encode())
    return refuse(path, f"a {kind.__module__}.{kind.__qualname__}", _remedy(value))


def lower_dict(
    value: dict[Any, Any], path: Path, depth: int, inner: Callable[[Any, Path], Any]
) -> Any:
    """A dict, its values lowered by `inner`; with other than str keys it becomes pairs."""
    check_depth(path, depth)
    if set(map(type, value)) <= {str}:
        return {check_str(k, path): inner(v, (path, k)) for k, v in value.items()}
    items = []
    for position, (key, item) in enumerate(value.items()):
        items.append(lower(key, (path, Odd(position, f"key {key!r:.40}")), depth + 1, no_place))
        items.append(inner(item, (path, Odd(position, f"{key!r:.40}"))))
    return Packed(EXT_DICT, items)


def no_place(_value: Any, _path: Path) -> None:
    """Dict keys and members of sets hold no tensors: a tensor equals nothing by value."""


def check_depth(path: Path, depth: int) -> None:
    """Refuse what is nested too deep, cycles among it."""
    if depth > MAX_DEPTH:
        refuse(path, f"nested deeper than {MAX_DEPTH}", "flatten it; or is it a cycle?")


def check_str(value: str, path: Path) -> str:
    """Refuse a str that has no UTF-8."""
    if not value.isascii() and _SURROGATE.search(value):
        refuse(path, f"{value!r:.80}, a str with surrogates", "store bytes: os.fsencode(it)")
    return value


def refuse(path: Path, what: str, remedy: str) -> NoReturn:
    """Say what cannot be stored, where, and what to do."""
    where = written(path)
    where = where if len(where) <= 200 else f"{where[:120]}…{where[-60:]}"
    raise UnstorableValue(f"{where}: {what} cannot be stored exactly: {remedy}")


def _big_int(value: int) -> msgpack.ExtType:
    size = value.bit_length() // 8 + 1
    return msgpack.ExtType(EXT_INT, value.to_bytes(size, "big", signed=True))


def _zone(zone: dt.tzinfo | None, path: Path) -> Any:
    if zone is None:
        return None
    import zoneinfo  # 3 ms that a hit without times never spends

    if type(zone) is zoneinfo.ZoneInfo and zone.key is not None:
        return zone.key
    if type(zone) is dt.timezone:
        offset, *name = zone.__getinitargs__()  # type: ignore[attr-defined]
        check_str("".join(name), path)
        return [offset // dt.timedelta(microseconds=1), *name]
    return refuse(path, f"the tzinfo {zone!r:.80}", "use a ZoneInfo by name or a fixed offset")


def _clock(value: dt.time | dt.datetime, path: Path) -> bytes:
    naive = value.replace(tzinfo=None, fold=0)
    return pack([naive.isoformat(), value.fold, _zone(value.tzinfo, path)])


def _numpy_scalar(value: Any, path: Path) -> msgpack.ExtType:
    dtype = value.dtype
    if dtype.kind not in "biufcmM" or dtype.char in "gG":
        refuse(path, f"a numpy scalar of dtype {dtype}", "convert it: .item(), or another dtype")
    return msgpack.ExtType(EXT_SCALAR, pack([dtype.str, value.tobytes()]))


_SCALARS: dict[type, Callable[[Any, Path], tuple[int, bytes]]] = {
    dt.date: lambda value, _: (EXT_DATE, value.isoformat().encode()),
    dt.time: lambda value, path: (EXT_TIME, _clock(value, path)),
    dt.datetime: lambda value, path: (EXT_DATETIME, _clock(value, path)),
    dt.timedelta: lambda value, _: (
        EXT_TIMEDELTA,
        pack([value.days, value.seconds, value.microseconds]),
    ),
    complex: lambda value, _: (EXT_COMPLEX, struct.pack("<dd", value.real, value.imag)),
}


def _remedy(value: Any) -> str:
    kind = type(value)
    if hasattr(kind, "__dataclass_fields__"):
        return "store dataclasses.asdict(it)"
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return "store it._asdict(), or tuple(it)"
    if kind.__name__ in {"DataFrame", "Series"}:
        return "store {name: column.to_numpy() for each column}"
    for base in (bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset):
        if isinstance(value, base):
            return f"a subclass would lose its class: store {base.__name__}(it)"
    return "store plain values, numpy arrays and tensors"


def pack(value: Any) -> bytes:
    """Lowered values as msgpack."""
    packed: bytes = msgpack.packb(value, use_bin_type=True, strict_types=True, default=_default)
    return packed


def pack_rows(rows: list[Any], written: Callable[[Any], bytes]) -> memoryview:
    """Rows of plain values as msgpack, end to end: the same bytes however they are parted.

    Tuples count as lists. What msgpack lacks becomes ext 0 around what `written` says of it.
    """
    packed = msgpack.packb(
        rows, use_bin_type=True, default=lambda value: msgpack.ExtType(0, written(value))
    )
    header_bytes = 1 if len(rows) < 16 else 3 if len(rows) < 1 << 16 else 5
    return memoryview(packed)[header_bytes:]


def pack_plain(values: list[Any], depth: int) -> list[bytes] | None:
    """Each value (all at `depth`) packed, where msgpack takes all of them as they are; else None.

    Most long lists are of such values, and to lower each would cost ten times as much.
    """
    if not _are_plain(values, depth):
        return None
    packer = msgpack.Packer(use_bin_type=True, strict_types=True, default=_default)
    try:
        return [packer.pack(value) for value in values]
    except (ValueError, OverflowError):
        return None  # `lower` will lead to it


def _are_plain(values: Sequence[Any], depth: int) -> bool:
    """Whether they hold no types but those that msgpack has, and no dict keys but str.

    What lies at one place of many values is looked at together, by few calls that each see all.
    More than MAX_TOGETHER, and `lower` looks: at cycles that branch, and at large elements.
    """
    kinds = set(map(type, values))
    if kinds <= _PLAIN_LEAVES:
        return True
    if depth > MAX_DEPTH or len(values) > MAX_TOGETHER or not kinds <= _PLAIN_LEAVES | {list, dict}:
        return False
    lists = values if kinds == {list} else [value for value in values if type(value) is list]
    dicts = values if kinds == {dict} else [value for value in values if type(value) is dict]
    chained = itertools.chain.from_iterable
    if not set(map(type, chained(dicts))) <= {str}:
        return False
    if sum(map(len, lists)) + sum(map(len, dicts)) > MAX_TOGETHER:
        return False
    inside: list[Sequence[Any]] = [list(chained(map(dict.values, dicts)))]
    if len(set(map(tuple, dicts))) == 1:
        inside = list(zip(*map(dict.values, dicts), strict=True))
    return all(_are_plain(some, depth + 1) for some in (*inside, list(chained(lists))))


def pack_at(value: Any, path: Path) -> bytes:
    """`pack`, with what msgpack itself refuses (over 4 GiB) refused by path."""
    try:
        return pack(value)
    except (ValueError, OverflowError) as error:
        return refuse(path, f"what msgpack refuses ({error})", "split it")


def _default(value: Any) -> Any:
    if type(value) is int:
        return _big_int(value)
    if isinstance(value, Packed):
        return msgpack.ExtType(value.code, pack(value.items))
    if isinstance(value, tuple):  # our own NamedTuples, in manifests and structures
        return list(value)
    return msgpack.ExtType(EXT_PLACE, pack(value.place))  # a hole


# What msgpack and the constructors of the table raise; OSError is of a zone that is a directory.
_NOT_OURS = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    OSError,
    RecursionError,
    struct.error,
)


def unpack(data: Any, place: Callable[[Any], Any] | None = None) -> Any:
    """The value in `data` (bytes-like); `place` answers what stands at a place of columns.

    Raises:
        EntryCorrupt: it is not one msgpack value of ours.
    """
    try:
        return _unpack(data, place)
    except TensorCacheError:
        raise
    except _NOT_OURS as error:
        raise EntryCorrupt(f"not msgpack as tensorcache writes it: {error!r:.200}") from error


def unpack_rows(data: Any, count: int) -> list[Any]:
    """`count` values that lie end to end in `data`, decoded in one go; no places are in them."""
    rows: list[Any] = unpack(b"".join((_ARRAY.pack(0xDD, count), data)))
    return rows


def _unpack(data: Any, place: Callable[[Any], Any] | None) -> Any:
    return msgpack.unpackb(
        data, strict_map_key=True, ext_hook=lambda code, inner: _raise(code, inner, place)
    )


def _raise(code: int, data: bytes, place: Callable[[Any], Any] | None) -> Any:
    if code == EXT_PLACE:
        if place is None:
            raise ValueError("a place of columns where none can be")
        return place(msgpack.unpackb(data))
    if code == EXT_TUPLE:
        return tuple(_unpack(data, place))
    if code == EXT_DICT:
        pairs = iter(_unpack(data, place))
        return dict(zip(pairs, pairs, strict=True))
    if code == EXT_SET:
        return set(_unpack(data, None))
    if code == EXT_FROZENSET:
        return frozenset(_unpack(data, None))
    return _RAISE[code](data)


def _raise_clock(parse: Callable[[str], Any], data: bytes) -> Any:
    text, fold, zone = msgpack.unpackb(data)
    if isinstance(zone, str):
        import zoneinfo  # as in `_zone`

        zone = zoneinfo.ZoneInfo(zone)
    elif zone is not None:
        zone = dt.timezone(dt.timedelta(microseconds=zone[0]), *zone[1:])
    return parse(text).replace(tzinfo=zone, fold=fold)


def _decimal(text: str) -> Any:
    import decimal  # 1 ms that few spend

    return decimal.Decimal(text)


def _raise_scalar(data: bytes) -> Any:
    import numpy as np  # a command line that shows manifests needs none

    dtype, raw = msgpack.unpackb(data)
    return np.frombuffer(raw, dtype=dtype)[0]


_RAISE: dict[int, Callable[[bytes], Any]] = {
    EXT_INT: lambda data: int.from_bytes(data, "big", signed=True),
    EXT_DATE: lambda data: dt.date.fromisoformat(data.decode()),
    EXT_TIME: lambda data: _raise_clock(dt.time.fromisoformat, data),
    EXT_DATETIME: lambda data: _raise_clock(dt.datetime.fromisoformat, data),
    EXT_TIMEDELTA: lambda data: dt.timedelta(*msgpack.unpackb(data)),
    EXT_COMPLEX: lambda data: complex(*struct.unpack("<dd", data)),
    EXT_SCALAR: _raise_scalar,
    EXT_DECIMAL: lambda data: _decimal(data.decode()),
}
