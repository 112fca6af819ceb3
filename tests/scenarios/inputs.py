"""Rows of the matrix: two inputs, or two starts of the same inputs in other surroundings.

Inputs are expressions, for JSON cannot say most of them. A row that is refused names the path.
"""

from __future__ import annotations

from typing import NamedTuple

from scenarios import HIT, MISS, REFUSED


class Row(NamedTuple):
    """What the first start asks for, what the second one does, and what that finds."""

    name: str
    first: str
    then: str
    expected: str
    path: str = ""


class Place(NamedTuple):
    """Where and how the second start of the same inputs and the same database runs.

    `locale` must be installed, or "". The first names the database by its absolute path.
    """

    name: str
    environment: dict[str, str]
    directory: str = ""
    database: str = "{directory}/league.sqlite"
    locale: str = ""


def refused(name, then, path):
    return Row(name, "{}", then, REFUSED, f"inputs.{path}: ")


ROWS = (
    # Numbers and texts.
    Row("5 and 5.0", "{'n': 5}", "{'n': 5.0}", MISS),
    Row("5 and '5'", "{'n': 5}", "{'n': '5'}", MISS),
    Row("1 and True", "{'n': 1}", "{'n': True}", MISS),
    Row("1.0 and True", "{'n': 1.0}", "{'n': True}", MISS),
    Row("0 and False", "{'n': 0}", "{'n': False}", MISS),
    Row("0.0 and -0.0", "{'n': 0.0}", "{'n': -0.0}", MISS),
    Row("0.1 and the next float", "{'n': 0.1}", "{'n': 0.10000000000000002}", MISS),
    Row("1e-4 and 0.0001", "{'n': 1e-4}", "{'n': 0.0001}", HIT),
    Row("2**53 and the float of it", "{'n': 2**53}", "{'n': 2.0**53}", MISS),
    Row("2**53 and one more", "{'n': 2**53}", "{'n': 2**53 + 1}", MISS),
    Row("'a' and b'a'", "{'n': 'a'}", "{'n': b'a'}", MISS),
    Row("e with acute, NFC and NFD", "{'n': '\\u00e9'}", "{'n': 'e\\u0301'}", MISS),
    Row("'A' and 'a'", "{'n': 'A'}", "{'n': 'a'}", MISS),
    Row("'a' and 'a '", "{'n': 'a'}", "{'n': 'a '}", MISS),
    Row("infinity and minus infinity", "{'n': float('inf')}", "{'n': float('-inf')}", MISS),
    Row("infinity and 'inf'", "{'n': float('inf')}", "{'n': 'inf'}", MISS),
    # None and nothing.
    Row("absent and None", "{'a': 1}", "{'a': 1, 'n': None}", MISS),
    Row("None and 'None'", "{'n': None}", "{'n': 'None'}", MISS),
    Row("None and False", "{'n': None}", "{'n': False}", MISS),
    Row("empty list and None", "{'n': []}", "{'n': None}", MISS),
    Row("empty list and empty dict", "{'n': []}", "{'n': {}}", MISS),
    Row("empty list and empty set", "{'n': []}", "{'n': set()}", MISS),
    # Order and nesting.
    Row("list and tuple", "{'n': [1, [2]]}", "{'n': (1, (2,))}", HIT),
    Row("list in another order", "{'n': [10, 30]}", "{'n': [30, 10]}", MISS),
    Row("dict in another order", "{'a': 1, 'b': {'x': 1, 'y': 2}}",
        "{'b': {'y': 2, 'x': 1}, 'a': 1}", HIT),
    Row("set in another order", "{'n': {'x', 'y', 'z'}}", "{'n': {'z', 'y', 'x'}}", HIT),
    Row("set and frozenset", "{'n': {1, 2}}", "{'n': frozenset({2, 1})}", HIT),
    Row("set and list", "{'n': {1, 2}}", "{'n': [1, 2]}", MISS),
    Row("[[1], 2] and [1, [2]]", "{'n': [[1], 2]}", "{'n': [1, [2]]}", MISS),
    Row("['ab', 'c'] and ['a', 'bc']", "{'n': ['ab', 'c']}", "{'n': ['a', 'bc']}", MISS),
    Row("a name that looks like a tag", "{'n': {1}}", "{'n': {'$set': [1]}}", MISS),
    Row("dotted name and nested name", "{'a.b': 1}", "{'a': {'b': 1}}", MISS),
    # Dates and decimals.
    Row("date and datetime at midnight", "{'n': dt.date(2020, 1, 2)}",
        "{'n': dt.datetime(2020, 1, 2)}", MISS),
    Row("date and its text", "{'n': dt.date(2020, 1, 2)}", "{'n': '2020-01-02'}", MISS),
    Row("naive and aware", "{'n': dt.datetime(2020, 1, 2)}",
        "{'n': dt.datetime(2020, 1, 2, tzinfo=dt.UTC)}", MISS),
    Row("one moment in two zones", "{'n': dt.datetime(2020, 1, 2, 12, tzinfo=dt.UTC)}",
        "{'n': dt.datetime(2020, 1, 2, 13, tzinfo=dt.timezone(dt.timedelta(hours=1)))}", MISS),
    Row("Decimal('1.0') and Decimal('1.00')", "{'n': Decimal('1.0')}",
        "{'n': Decimal('1.00')}", MISS),
    Row("Decimal('1.5') and 1.5", "{'n': Decimal('1.5')}", "{'n': 1.5}", MISS),
    # Scalars of numpy.
    Row("5 and numpy.int32(5)", "{'n': 5}", "{'n': np.int32(5)}", HIT),
    Row("numpy.int64(5) and numpy.uint8(5)", "{'n': np.int64(5)}", "{'n': np.uint8(5)}", HIT),
    Row("0.5 and numpy.float32(0.5)", "{'n': 0.5}", "{'n': np.float32(0.5)}", HIT),
    Row("0.1 and numpy.float32(0.1)", "{'n': 0.1}", "{'n': np.float32(0.1)}", MISS),
    Row("5 and numpy.float64(5)", "{'n': 5}", "{'n': np.float64(5)}", MISS),
    Row("True and numpy.bool_(True)", "{'n': True}", "{'n': np.bool_(True)}", HIT),
    Row("'x' and numpy.str_('x')", "{'n': 'x'}", "{'n': np.str_('x')}", HIT),
    # What has no place in a key.
    refused("NaN", "{'a': {'rates': [0.1, float('nan')]}}", "a.rates[1]"),
    refused("numpy's NaN", "{'rate': np.float32('nan')}", "rate"),
    refused("Decimal's NaN", "{'rate': Decimal('nan')}", "rate"),
    refused("a Path", "{'paths': {'db': Path('league.sqlite')}}", "paths.db"),
    refused("a function", "{'build': print}", "build"),
    refused("a lambda in a list", "{'steps': [1, lambda: 2]}", "steps[1]"),
    refused("a dict with int keys", "{'by_season': {2016: 1}}", "by_season"),
    refused("an array", "{'weights': np.zeros(3)}", "weights"),
    refused("an object", "{'n': object()}", "n"),
    refused("an Enum", "{'n': enum.Enum('Target', 'RANK').RANK}", "n"),
    refused("a subclass of int", "{'n': type('Count', (int,), {})(5)}", "n"),
    refused("complex", "{'n': 1j}", "n"),
    refused("a str with surrogates", "{'names': ['\\udc80']}", "names[0]"),
)  # fmt: skip

# Of every kind whose text could depend on where a process runs.
INPUTS = (
    "{'words': {'l\\u00e4ge', 'I', 'i', '\\u0130', 'a', 'b'}, 'rate': 0.1, 'tiny': 5e-324, "
    "'day': dt.date(2020, 1, 2), 'at': dt.datetime(2020, 7, 1, 12), 'b': {'y': 1, 'x': [1.5]}}"
)
PLACES = (
    Place("another process", {}),
    Place("PYTHONHASHSEED=0", {"PYTHONHASHSEED": "0"}),
    Place("PYTHONHASHSEED=12345", {"PYTHONHASHSEED": "12345"}),
    Place("LC_ALL=C", {"LC_ALL": "C"}),
    Place("LC_ALL=C, ASCII only", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    Place("LC_ALL=C.UTF-8", {"LC_ALL": "C.UTF-8"}),
    Place("LC_ALL=de_DE.UTF-8", {"LC_ALL": "de_DE.UTF-8"}, locale="de_DE.utf8"),
    Place("LC_ALL=tr_TR.UTF-8", {"LC_ALL": "tr_TR.UTF-8"}, locale="tr_TR.utf8"),
    Place("another time zone", {"TZ": "America/New_York"}),
    Place("python -O", {"PYTHONOPTIMIZE": "1"}),
    Place("another HOME", {"HOME": "/nonexistent"}),
    Place("another working directory", {}, "elsewhere"),
    Place("source by a relative path", {}, "", "league.sqlite"),
    Place("source by a path with ..", {}, "elsewhere", "../elsewhere/../league.sqlite"),
)
