"""Why a key has no entry: the nearest one, and the fields that differ."""

import datetime as dt
import json

import pytest

from tensorcache.explain import (
    ABSENT,
    Alike,
    Change,
    Difference,
    explain,
    explain_inputs,
    with_parts,
)
from tensorcache.index import Candidate
from tensorcache.key import make_key
from tensorcache.manifest import Part

BASE = {"n_folds": 5, "rolling_windows": [10, 30], "training": {"lr": 0.1, "target": None}}


def key(inputs=None, version="hand:3", db="sqlite-bytes-1:blake3:" + "ab" * 32):
    sources = {} if db is None else {"db": db}
    return make_key(inputs or BASE, version=version, sources=sources, namespace="model_a.batches")


def candidate(at=0.0, **of_key):
    found = key(**of_key)
    return Candidate(found.digest, found.text, at)


def differing(new, old):
    return explain(key(inputs=new), [candidate(inputs=old)]).differences


def test_an_input_that_differs_is_named_with_both_values():
    old = candidate(inputs=BASE | {"n_folds": 4})

    explanation = explain(key(), [old])

    assert explanation.nearest == old.key
    assert explanation.differences == (Difference("inputs.n_folds", 4, 5),)
    assert str(explanation) == f"nearest entry {old.key[:16]} differs in inputs.n_folds: 4 -> 5"


def test_nested_inputs_are_compared_field_by_field_and_lists_as_a_whole():
    new = BASE | {"rolling_windows": [15, 30], "training": {"lr": 0.2, "target": None}}

    assert differing(new, BASE) == (
        Difference("inputs.rolling_windows", [10, 30], [15, 30]),
        Difference("inputs.training.lr", 0.1, 0.2),
    )


def test_a_field_that_one_side_lacks_is_absent_which_null_is_not():
    new = {"a": None, "deep": {"b": 1}}

    differences = differing(new, {"c": 2})

    assert differences == (
        Difference("inputs.a", ABSENT, None),
        Difference("inputs.c", 2, ABSENT),
        Difference("inputs.deep.b", ABSENT, 1),
    )
    assert [str(difference) for difference in differences] == [
        "inputs.a: absent -> None",
        "inputs.c: 2 -> absent",
        "inputs.deep.b: absent -> 1",
    ]
    assert str(Difference("inputs.a", "absent", ABSENT)) == "inputs.a: 'absent' -> absent"


@pytest.mark.parametrize(("old", "new"), [(1, True), (1, 1.0), (0, False), ("1", 1), ([1], [True])])
def test_what_python_calls_equal_differs_where_the_key_does(old, new):
    assert [d.place for d in differing({"x": new}, {"x": old})] == ["inputs.x"]


def test_a_dict_beside_a_value_is_one_field_and_an_empty_dict_is_a_value():
    assert differing({"x": {"a": 1}}, {"x": 5}) == (Difference("inputs.x", 5, {"a": 1}),)
    assert differing({"x": {}}, {"y": 1})[0] == Difference("inputs.x", ABSENT, {})
    assert differing({"x": {}}, {"x": {"a": 1}}) == (Difference("inputs.x.a", 1, ABSENT),)


def test_a_value_that_json_has_no_type_for_is_one_field_and_shown_plain():
    (difference,) = differing({"day": dt.date(2024, 4, 14)}, {"day": dt.date(2024, 4, 13)})

    assert str(difference) == "inputs.day: 2024-04-13 -> 2024-04-14"


def test_a_name_with_a_dollar_is_shown_as_the_caller_wrote_it():
    assert differing({"$a": {"$b": 1}}, {"$a": {"$b": 2}})[0].place == "inputs.$a.$b"


def test_sources_and_version_are_told_without_their_digests():
    old = candidate(db="sqlite-bytes-1:blake3:" + "cd" * 32, version="code-1:" + "12" * 32)

    explanation = explain(key(version="code-1:" + "34" * 32), [old])

    assert str(explanation).endswith(
        "differs in sources.db: changed; version: 'code-1:12121212' -> 'code-1:34343434'"
    )
    assert explanation.differences[0].new == "sqlite-bytes-1:blake3:" + "ab" * 32


def test_a_source_that_is_new_says_so():
    text = str(explain(key(), [candidate(db=None)]))

    assert text.endswith("sources.db: absent -> 'sqlite-bytes-1:blake3:abababab'")


def test_a_long_value_is_cut():
    text = str(explain(key({"x": list(range(1000))}), [candidate(inputs={"x": 1})]))

    assert len(text) < 140
    assert text.endswith("…")


def test_nearest_has_the_fewest_differing_inputs_then_the_rest_then_is_the_newest():
    other_code = candidate(at=1.0, version="hand:4")
    other_code_and_db = candidate(at=9.0, version="hand:4", db="x")
    newer_code = candidate(at=2.0, version="hand:5")
    one_input = candidate(at=10.0, inputs=BASE | {"n_folds": 4})
    two_inputs = candidate(at=11.0, inputs=BASE | {"n_folds": 4, "more": 1})

    def nearest(*candidates):
        return explain(key(), candidates).nearest

    assert nearest(two_inputs, one_input) == one_input.key
    assert nearest(one_input, other_code_and_db) == other_code_and_db.key
    assert nearest(other_code_and_db, other_code) == other_code.key
    assert nearest(other_code, newer_code) == newer_code.key
    assert nearest(newer_code, other_code) == newer_code.key


def test_many_fields_of_one_nested_input_weigh_more_than_one_plain_field():
    nested = candidate(inputs=BASE | {"training": {"lr": 9, "target": 9}})
    plain = candidate(inputs=BASE | {"n_folds": 9})

    assert explain(key(), [nested, plain]).nearest == plain.key


def test_the_key_itself_is_no_answer_and_without_others_there_is_none():
    explanation = explain(key(), [candidate()])

    assert explanation.nearest is None
    assert explanation.differences == ()
    assert str(explanation) == "no other entry of 'model_a.batches' yet"


@pytest.mark.parametrize("rot", ['{"inputs":', "[]", "3", "[" * 9999])
def test_a_rotten_row_is_passed_over(rot):
    sound = Candidate(hexed("1"), key().text, 1.0)

    assert explain(key({"n": 2}), [Candidate(hexed("0"), rot, 0.0), sound]).nearest == hexed("1")


def hexed(letter):
    return letter * 64


def told(old, new, *, place="sources.db", scheme="sqlite-logical-1"):
    """The line on a source of which these parts were known, {name: (size, letter of digest)}."""
    sides = [{place: {n: Part(s, hexed(d)) for n, (s, d) in side.items()}} for side in (old, new)]
    found = Difference(place, f"{scheme}:blake3:{hexed('a')}", f"{scheme}:blake3:{hexed('b')}")
    (detailed,) = with_parts([found], *sides)
    return str(detailed)


def test_tables_that_differ_are_named_with_their_rows():
    old = {"games": (14_124, "a"), "logs": (299_939, "a"), "teams": (30, "a"), "gone": (1, "a")}
    new = {"games": (14_125, "b"), "logs": (299_939, "b"), "teams": (30, "a"), "news": (2, "a")}

    assert told(old, new) == (
        "sources.db: games 14,124 -> 14,125 rows, gone removed, "
        "logs changed (299,939 rows), news added"
    )


def test_files_that_differ_are_named_with_their_bytes():
    old = {"b.parquet": (1_200_000, "a"), "c\n.parquet": (5, "a")}
    new = {"lists/a.parquet": (7, "a"), "b.parquet": (1_200_001, "b"), "c\n.parquet": (5, "b")}

    assert told(old, new, place="sources.logs", scheme="files-1") == (
        "sources.logs: b.parquet 1,200,000 -> 1,200,001 bytes, "
        r"'c\n.parquet' changed (5 bytes), lists/a.parquet added"
    )


def test_modules_that_differ_are_named_and_packages_with_their_versions():
    modules = {"a.lists": Part(9, hexed("a")), "a.rosters": Part(9, hexed("a"))}
    old = {"version": modules | {"package torch": Part(0, "2.12.0")}}
    new = {"version": {"a.lists": Part(9, hexed("b")), "package torch": Part(0, "2.13.0")}}
    found = Difference("version", "code-2:blake3:" + hexed("a"), "code-2:blake3:" + hexed("b"))

    (difference,) = with_parts([found], old, new)
    (added,) = with_parts([found], {"version": {}}, {"version": {"package torch": Part(0, "2.13")}})

    assert str(difference) == (
        "version: module a.lists changed, module a.rosters removed, package torch 2.12.0 -> 2.13.0"
    )
    assert str(added) == "version: package torch 2.13 added"
    assert difference.parts[0] == Change("a.lists", Part(9, hexed("a")), Part(9, hexed("b")))


def test_many_parts_and_many_fields_are_one_line():
    names = {f"table_{n}": (1, "a") for n in range(1000)}
    line = told(names, {})
    assert line == ("sources.db: table_0 removed, table_1 removed, table_10 removed and 997 more")

    fields = {f"x{n}": n for n in range(100)}
    line = str(explain(key(fields), [candidate(inputs={})]))
    assert line.count(";") == 6
    assert line.endswith(" and 97 more")


def test_no_more_is_said_than_is_known():
    same = {"games": (5, "a")}
    found = Difference("sources.db", "sqlite-logical-1:a", "sqlite-logical-1:b")

    assert told(same, same) == "sources.db: changed"
    assert told(same, same, scheme="sqlite-bytes-1") == (
        "sources.db: changed, but no row of any table (VACUUM moves pages so)"
    )
    assert told(same, {"games": (5, "b")}, scheme="sqlite-bytes-1") == (
        "sources.db: games changed (5 rows), or only moved, as by VACUUM"
    )
    for sides in ({}, {"sources.db": {}}), ({"sources.db": None}, {"sources.db": {}}):
        assert list(map(str, with_parts([found], *sides))) == ["sources.db: changed"]


def test_identities_of_two_schemes_are_not_compared_part_by_part():
    parts = {"sources.db": {"games": Part(5, hexed("a"))}}, {"sources.db": {}}
    found = Difference("sources.db", "sqlite-bytes-1:blake3:a", "sqlite-logical-1:blake3:b")

    (difference,) = with_parts([found], *parts)

    assert str(difference) == "sources.db: sqlite-bytes-1 -> sqlite-logical-1"


def test_inputs_alone_find_all_entries_that_have_them_newest_first():
    older = candidate(at=1.0, db="x")
    newer = candidate(at=2.0, version="hand:4")
    far = candidate(at=3.0, inputs=BASE | {"n_folds": 4, "more": 1})
    text = json.loads(key().text)["inputs"]

    equal = explain_inputs(text, "model_a.batches", [older, far, newer])
    near = explain_inputs(text | {"n_folds": 6}, "model_a.batches", [older, far, newer])

    assert equal == Alike("model_a.batches", (newer.key, older.key), ())
    assert near.keys == (newer.key, older.key)
    assert near.differences == (Difference("inputs.n_folds", 5, 6),)
    assert str(near).endswith("; they differ in inputs.n_folds: 5 -> 6")
    assert explain_inputs(text, "t", []) == Alike("t", (), ())


def test_inputs_that_python_calls_equal_are_not_the_same_inputs():
    one, true = candidate(at=1.0, inputs={"x": 1}), candidate(at=2.0, inputs={"x": True})

    assert explain_inputs({"x": 5}, "t", [one, true]).keys == (true.key,)
