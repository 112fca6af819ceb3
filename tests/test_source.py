"""Descriptions, files, values, and what may be remembered by stat."""

import datetime as dt
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from tensorcache.errors import SourceMissing, UnkeyableValue
from tensorcache.source import database, files, identify, value
from tensorcache.source.memory import steady

AGES_AGO = 1_000_000_000


def leaf_digest(x):
    if isinstance(x, np.ndarray):
        return f"{x.dtype} {x.shape} {x.tobytes().hex()}"
    return None


def identity_of(source, memory=None):
    return identify(source, {} if memory is None else memory, leaf_digest=leaf_digest)


def text_of(*globs):
    return identity_of(files(*globs)).text


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "logs"
    (root / "2020" / "deep").mkdir(parents=True)
    (root / "a.csv").write_text("a")
    (root / "b.csv").write_text("b")
    (root / "2020" / "c.csv").write_text("c")
    (root / "2020" / "deep" / "d.txt").write_text("d")
    return root


# --- descriptions ---


def test_descriptions_touch_nothing(tmp_path):
    assert database(tmp_path / "no.sqlite").path == str(tmp_path / "no.sqlite")
    assert database("x").level == "bytes"
    assert files("no/*", tmp_path).globs == ("no/*", str(tmp_path))
    assert value(files).value is files


@pytest.mark.parametrize(
    ("describe", "words"),
    [
        (
            lambda: database("x.sqlite", level="rows"),
            "'rows' is no level: use one of 'bytes', 'stat', 'logical'",
        ),
        (lambda: database(7), "database(path): 7 is no path: pass a str or a Path"),
        (lambda: database(""), "names no file"),
        (lambda: database("a\0b"), "names no file"),
        (files, "files(): names nothing: pass patterns"),
        (lambda: files(["a", "b"]), "files(*globs): ['a', 'b'] is no path"),
        (lambda: identity_of("league.sqlite"), "'league.sqlite' is no source: use database(path)"),
    ],
)
def test_wrong_descriptions_are_refused_with_a_remedy(describe, words):
    with pytest.raises(UnkeyableValue) as caught:
        describe()

    assert words in str(caught.value)


# --- files ---


def test_files_are_their_names_and_contents_wherever_the_tree_lies(tree, tmp_path):
    before = text_of(tree)
    identity = identity_of(files(tree))
    os.utime(tree / "a.csv")
    os.rename(tree, tmp_path / "moved")

    assert identity.kind == "files"
    assert identity.path == str(tree)
    assert before.startswith("files-1:blake3:")
    assert text_of(tmp_path / "moved") == before


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: (tree / "a.csv").write_text("A"),
        lambda tree: (tree / "a.csv").rename(tree / "z.csv"),
        lambda tree: (tree / "a.csv").unlink(),
        lambda tree: (tree / ".hidden").write_text(""),
        lambda tree: (tree / "2020" / "deep" / "e").write_text("e"),
        lambda tree: (tree / "2020").rename(tree / "2021"),
        lambda tree: ((tree / "a.csv").write_text("b"), (tree / "b.csv").write_text("a")),
    ],
)
def test_every_change_below_a_directory_counts(tree, change):
    before = text_of(tree)
    change(tree)

    assert text_of(tree) != before


def test_patterns_go_through_directories_and_match_directories_whole(tree):
    both = text_of(tree / "*.csv")

    assert text_of(tree / "**") == text_of(tree / "*") == text_of(tree)
    assert text_of(tree / "**" / "*.csv") not in (both, text_of(tree))
    assert text_of(tree / "[ab].csv") == both
    (tree / "2020" / "e.md").touch()
    assert text_of(tree / "*.csv") == both


def test_names_count_from_the_fixed_part_of_the_pattern(tree, monkeypatch):
    absolute = text_of(tree / "2020" / "*.csv"), text_of(tree / "a.csv")
    monkeypatch.chdir(tree)

    assert (text_of("2020/*.csv"), text_of("a.csv")) == absolute
    assert text_of("*/c.csv") != absolute[0]


def test_patterns_count_in_their_order(tree):
    a, b = tree / "a.csv", tree / "b.csv"

    assert len({text_of(a, b), text_of(b, a), text_of(a), text_of(tree / "*.csv")}) == 4


def test_pattern_that_matches_nothing_is_missing(tree):
    with pytest.raises(SourceMissing, match=r"no\*\.csv': matches no file: check the pattern"):
        text_of(tree, tree / "no*.csv")
    (tree / "leads nowhere").symlink_to(tree / "nothing")
    with pytest.raises(SourceMissing):
        text_of(tree / "leads nowhere")


def test_links_are_followed_but_never_round_in_circles(tree, tmp_path):
    copy = text_of(tree)
    (tmp_path / "kept").write_text("a")
    (tree / "a.csv").unlink()
    (tree / "a.csv").symlink_to(tmp_path / "kept")
    assert text_of(tree) == copy

    (tree / "2020" / "up").symlink_to(tree)
    assert text_of(tree) == copy
    (tmp_path / "kept").write_text("changed")
    assert text_of(tree) != copy


def test_pipe_among_files_is_refused_at_once(tree):
    os.mkfifo(tree / "pipe")

    with pytest.raises(UnkeyableValue, match="pipe' is a device, pipe or socket"):
        text_of(tree)


def test_names_need_not_be_text(tree):
    before = text_of(tree)
    name = os.fsdecode(b"\xff\xfe.csv")
    (tree / name).write_text("x")

    identity = identity_of(files(tree / name))

    assert identity.path.endswith(r"\xff\xfe.csv")
    assert text_of(tree) != before


def test_settled_files_are_not_read_again():
    memory = {}
    first = identity_of(files(os.__file__, subprocess.__file__), memory)
    assert len(memory) == 2
    for known in memory.values():
        known["identity"] = "content-1:blake3:" + "0" * 64

    assert identity_of(files(os.__file__, subprocess.__file__), memory).text != first.text
    assert identity_of(files(os.__file__, subprocess.__file__), {}).text == first.text


# --- values ---

PLAIN = [None, True, 0, 1, 1.0, "1", b"1", [], [1], {}, {"a": 1}, {1}, dt.date(2020, 8, 14)]
LEAVES = [np.zeros(3), np.zeros(3, np.float32), np.zeros((3, 1)), np.zeros(0), b"", b"\0" * 24]


def test_different_values_have_different_identities():
    values = [*PLAIN, *LEAVES, [np.zeros(3)], {"a": np.zeros(3)}, [np.zeros(3)] * 2, [b"1"]]
    texts = [identity_of(value(x)).text for x in values]

    assert len(set(texts)) == len(values)
    assert all(text.startswith("value-2:blake3:") for text in texts)


def test_equal_values_have_one_identity():
    assert identity_of(value({"a": 1, "b": (2,)})) == identity_of(value({"b": [2], "a": 1}))
    assert identity_of(value([np.arange(5)])) == identity_of(value((np.arange(5),)))
    assert identity_of(value(b"")).kind == "value"


def test_no_value_can_pass_for_the_digest_of_another():
    leaf = np.zeros(3)
    digest = leaf_digest(leaf).encode()

    texts = [identity_of(value(x)).text for x in (leaf, digest, b"leaf:" + digest)]

    assert len(set(texts)) == 3


def test_bytes_and_arrays_may_be_larger_than_a_key():
    assert identity_of(value(bytes(5 << 20))) != identity_of(value(bytes(5 << 20) + b"1"))


def test_values_are_refused_by_path():
    cycle = []
    cycle.append(cycle)

    for bad, words in [
        ({"a": [object()]}, "value(x).a[0]: "),
        ({1: 2}, "the dict key 1"),
        (float("nan"), "value(x): nan"),
        (cycle, "nested deeper than 32"),
        ([0] * 1_000_001, "more than 1000000 values in it: pass arrays"),
    ]:
        with pytest.raises(UnkeyableValue) as caught:
            identity_of(value(bad))
        assert words in str(caught.value)


# --- what may be remembered ---


def stat(*, size=1, mtime=AGES_AGO, ctime=AGES_AGO):
    return (1, 2, size, mtime, ctime)


def text(digit):
    return "code-1:blake3:" + str(digit) * 64


def ask(memory, looks, digests):
    """`looks` and `digests` are what comes one after the other, the last one again and again."""
    looks, digests = list(looks), list(digests)

    def following(rest):
        return lambda *_: rest.pop(0) if len(rest) > 1 else rest[0]

    return steady(memory, "/a", following(looks), following(digests), ("code-1:",))


def test_what_lay_still_for_long_is_remembered_until_its_stat_changes():
    memory = {}

    assert ask(memory, [(stat(), None)], [text(1)]) == (text(1), (stat(), None))
    assert ask(memory, [(stat(), None)], [text(2)])[0] == text(1)
    for changed in [(stat(size=2), None), (stat(), stat()), (None, None), (stat(ctime=7), None)]:
        assert ask(dict(memory), [changed], [text(2)])[0] == text(2)


@pytest.mark.parametrize("time_of", ["mtime", "ctime"])
def test_what_changed_less_than_two_seconds_ago_is_not_remembered(time_of):
    memory = {}
    young = stat(**{time_of: time.time_ns() - 1_900_000_000})
    future = stat(**{time_of: time.time_ns() + 3_600_000_000_000})

    assert ask(memory, [(young,)], [text(1)])[0] == text(1)
    assert ask(memory, [(stat(), future)], [text(1)])[0] == text(1)
    assert memory == {}


def test_what_moves_while_it_is_read_is_read_again():
    memory = {}
    looks = [(stat(size=1),), (stat(size=2),)]

    assert ask(memory, looks, [text(1), text(2)]) == (text(2), (stat(size=2),))
    assert memory["/a"]["identity"] == text(2)


def test_reading_begins_a_tick_after_the_last_change():
    """Within the tick of the kernel's clock a further change would leave the stat as it is."""
    changed = stat(mtime=time.time_ns())

    steady({}, "/a", lambda: (changed,), lambda _: text(1), ("code-1:",))

    assert time.time_ns() - changed[3] >= 10_000_000


def test_what_never_lies_still_has_no_text():
    memory = {}
    looks = [(stat(size=n),) for n in range(20)]

    assert ask(memory, looks, [text(1)])[0] is None
    assert memory == {}


def test_memory_of_another_scheme_is_no_memory():
    memory = {}
    ask(memory, [(stat(),)], [text(1)])
    for wrong in ["content-1:blake3:" + "0" * 64, text(1)[:-1], text(1) + "0", 5, None]:
        memory["/a"]["identity"] = wrong

        assert ask(dict(memory), [(stat(),)], [text(2)])[0] == text(2)


ON_A_HIT = """
import sys
import tensorcache.source
print(sorted({"torch", "sqlite3", "sqlalchemy", "numpy", "ast", "inspect", "glob", "dataclasses"}
             & set(sys.modules)))
"""


def test_importing_the_room_imports_nothing_heavy():
    """The package's own `__init__` may import more; here it is an empty one."""
    package = os.path.dirname(os.path.abspath(sys.modules["tensorcache"].__file__))
    bare = (
        "import sys, types\n"
        "package = types.ModuleType('tensorcache')\n"
        f"package.__path__ = [{package!r}]\n"
        "sys.modules['tensorcache'] = package\n"
    )

    answer = subprocess.run(
        [sys.executable, "-c", bare + ON_A_HIT], capture_output=True, text=True, check=True
    )

    assert answer.stdout == "[]\n"


def test_sources_have_names(cache):
    with pytest.raises(UnkeyableValue, match=r"sources: \[.* is no mapping: name them"):
        cache.key({}, version="1", namespace="t.named", sources=[value(1)])
