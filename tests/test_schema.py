"""Views: every input a column, whatever its name; and the tables as SQLite sees them."""

import datetime as dt
import decimal
import json
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensorcache import schema
from tensorcache.key import canonical

FIXED = list(schema.FIXED_COLUMNS)


def show(*all_inputs, namespace="model_a.batches"):
    """The input columns of the view over entries with these inputs, and its rows."""
    connection = sqlite3.connect(":memory:")
    for statement in schema.empty_tables():
        connection.execute(statement)
    found = set()
    for place, inputs in enumerate(all_inputs):
        encoded = canonical(inputs, "inputs")
        found.update(schema.leaves(encoded))
        connection.execute(
            "INSERT INTO entry VALUES "
            "(?, ?, '', '', ?, '', 1, 0, 0, '', NULL, 0, NULL, '', '', 0, 0, '', 0, 0)",
            (str(place), namespace, schema.inputs_text(encoded)),
        )
    connection.execute(schema.view(namespace, found))
    cursor = connection.execute(f"SELECT * FROM {schema.quoted(namespace)} ORDER BY key")
    names = [column[0] for column in cursor.description]
    rows = [row[len(FIXED) :] for row in cursor]
    connection.close()
    assert names[: len(FIXED)] == FIXED
    return names[len(FIXED) :], rows


def test_each_input_is_a_column_after_the_fixed_ones():
    names, rows = show({"n_folds": 5, "rolling_windows": [10, 30], "on": True, "target": None})

    assert names == ["n_folds", "on", "rolling_windows", "target"]
    assert rows == [(5, 1, "[10,30]", None)]


def test_nested_inputs_are_joined_by_two_underscores():
    names, rows = show({"training": {"lr": 0.5, "windows": {"short": 10}}, "empty": {}})

    assert names == ["empty", "training__lr", "training__windows__short"]
    assert rows == [("{}", 0.5, 10)]


def test_an_input_that_an_entry_lacks_is_null():
    names, rows = show({"a": 1}, {"b": "x"})

    assert names == ["a", "b"]
    assert rows == [(1, None), (None, "x")]


@pytest.mark.parametrize(
    "name",
    ['say "no"', "it's", "a.b", "a[0]", "back\\slash", "$dollar", "$$", "é", "", "\n", "\x00", "`"],
)
def test_a_name_that_is_no_identifier_still_has_its_column(name):
    names, rows = show({name: 7, "in": {name: 8}})

    shown = dict(zip(names, rows[0], strict=True))
    assert sorted(shown.values()) == [7, 8]
    assert next(n for n, value in shown.items() if value == 7).startswith("input_")
    assert next(n for n, value in shown.items() if value == 8).startswith(("input_in__", "in__"))


def test_a_name_that_meets_a_fixed_column_gets_input_before_it():
    names, rows = show({"key": 1, "Bytes": 2, "input_key": 3, "select": 4})

    assert dict(zip(names, rows[0], strict=True)) == {
        "input_key_2": 1,
        "input_Bytes": 2,
        "input_key": 3,
        "select": 4,
    }


def test_names_that_differ_in_case_only_have_a_column_each():
    names, rows = show({"lr": 1, "LR": 2, "a": {"b": 3}, "a__b": 4})

    assert dict(zip(names, rows[0], strict=True)) == {"LR": 2, "lr_2": 1, "a__b": 4, "a__b_2": 3}


def test_a_tagged_value_is_shown_plain():
    names, rows = show(
        {"day": dt.date(2024, 4, 14), "price": decimal.Decimal("1.50"), "seasons": {"b", "a"}},
        {"day": None, "price": 2, "seasons": {"$date": "mine"}},
    )

    assert names == ["day", "price", "seasons", "input_seasons___date"]
    assert rows == [
        ("2024-04-14", "1.50", '["a","b"]', None),
        (None, 2, None, "mine"),
    ]


def test_at_most_200_inputs_have_a_column_and_top_level_ones_come_first():
    deep = {f"d{i:03}": 0 for i in range(99)}

    names, _ = show({"deep": deep} | {f"n{i:03}": 0 for i in range(150)})

    assert len(names) == schema.MAX_INPUT_COLUMNS
    assert sum(name.startswith("n") for name in names) == 150


def test_column_names_stay_within_63_bytes_and_apart():
    names, rows = show({"x" * 70 + "a": 1, "x" * 70 + "b": 2})

    assert [len(name) for name in names] == [63, 61]
    assert sorted(rows[0]) == [1, 2]


def test_the_text_of_a_view_does_not_depend_on_the_order_of_what_was_found():
    leaves = [schema.Leaf(("b",)), schema.Leaf(("a", "c")), schema.Leaf(("a__c",), "$date")]

    assert schema.view("x", leaves) == schema.view("x", reversed(leaves))


@given(
    st.sets(
        st.builds(
            schema.Leaf,
            st.lists(st.text("ab'\"\\$.(é \n,)"), min_size=1, max_size=3).map(
                lambda names: tuple("$" + n if n.startswith("$") else n for n in names)
            ),
            st.sampled_from(["", "$date", "$set"]),
            st.sampled_from(["", "CHAR", "BOOLEAN", "BIGINT", "HUGEINT", "DOUBLE", "VARCHAR"]),
        ),
        max_size=20,
    )
)
def test_a_view_tells_what_it_shows(leaves):
    view = schema.view("x", leaves)

    shown = schema.leaves_of(view)

    assert {leaf[:2] for leaf in shown} == {leaf[:2] for leaf in leaves}
    assert schema.view("x", shown) == schema.view("x", shown | leaves) == view


def test_a_namespace_cannot_end_its_own_quotes():
    assert schema.view('a" b', []).startswith('CREATE VIEW "a"" b" AS')


def test_inputs_keep_their_values_in_the_text():
    inputs = {'q"': '\\"', "b": ["\\", '"', '\\\\"'], "e": "é\u2028"}

    assert json.loads(schema.inputs_text(inputs)) == inputs


def test_no_name_but_a_table_s_could_be_a_namespace():
    """A view shares its names with indexes, too."""
    indexes = [index.name for table in schema.metadata.tables.values() for index in table.indexes]

    assert indexes
    assert all(name.startswith("_") for name in indexes)
