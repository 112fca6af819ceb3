"""No two values share a key, and equal values always do: random trees, and hypothesis's.

`make keys` takes a million trees; this takes 20,000.
"""

from __future__ import annotations

import json
import random
import subprocess

import pytest
import soak_keys
from hypothesis import given, settings
from hypothesis import strategies as st
from scenarios.frozen import frozen
from soak_keys import another_spelling, key_of, nearly, random_tree, soak
from test_key import REPO, VALUES, WORDS, python_of

INPUTS = st.dictionaries(WORDS, VALUES, max_size=3)
OTHER_PYTHON = """
import datetime, json, sys, types
from decimal import Decimal
package = types.ModuleType("tensorcache")
package.__path__ = [sys.argv[1]]                     # without its __init__: this room alone
sys.modules["tensorcache"] = package
from tensorcache.key import make_key
names = {"datetime": datetime, "Decimal": Decimal, "inf": float("inf")}
for line in sys.stdin:
    tree = eval(json.loads(line), names)
    print(make_key(tree, version="1", sources={}, namespace="t").digest[:32])
"""


@pytest.mark.slow
def test_twenty_thousand_random_trees_share_a_key_only_with_their_equals():
    result = soak(20_000, seed=7)

    assert result.collisions == result.partings == 0
    assert result.trees < result.values < 2 * result.trees  # many meet again, many are new


def test_a_key_that_took_true_for_1_would_be_caught(monkeypatch):
    blind = key_of

    def without_types(inputs):
        return blind(json.loads(json.dumps(inputs, default=str).replace("true", "1")))

    monkeypatch.setattr(soak_keys, "key_of", without_types)

    assert soak(2_000, seed=7).collisions > 0


@pytest.mark.slow
@settings(max_examples=2_000, deadline=None)
@given(INPUTS, INPUTS, st.randoms(use_true_random=False))
def test_two_trees_share_a_key_if_and_only_if_they_are_the_same_value(one, other, rng):
    inputs = {"in": one}
    for near in ({"in": other}, nearly(inputs, rng)):
        assert (key_of(inputs) == key_of(near)) == (frozen(inputs) == frozen(near))


@settings(max_examples=500, deadline=None)
@given(INPUTS, st.randoms(use_true_random=False))
def test_another_spelling_of_a_value_has_its_key(inputs, rng):
    assert key_of(inputs) == key_of(another_spelling(inputs, rng))


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_random_trees_have_the_same_keys_on_every_python(version):
    python = python_of(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    rng = random.Random(11)
    trees = [random_tree(rng) for _ in range(2_000)]

    done = subprocess.run(
        [python, "-S", "-c", OTHER_PYTHON, REPO / "tensorcache"],
        input="".join(json.dumps(repr(tree)) + "\n" for tree in trees),
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == [key_of(tree).hex() for tree in trees]
