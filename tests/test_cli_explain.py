"""`tensorcache explain` and `diff`: what people read, what machines read, the exit code."""

from __future__ import annotations

import json
import re

import pytest
import torch
from processes import python
from test_diff import asked_with


def publish(cache, n, *, x=0.0, version="1"):
    def build():
        return {"rows": [{"x": torch.full((2, 3), x)} for _ in range(4)], "n": 5}

    inputs = {"n": n, "training": {"lr": 0.1}}
    return cache.get_or_build(inputs, build, version=version, namespace="my.batches").key.digest


def test_inputs_in_a_file_are_compared_with_the_nearest_entries(cache, tc, tmp_path):
    older, newer = publish(cache, 1, version="1"), publish(cache, 1, version="2")
    file = tmp_path / "inputs.json"

    def explain(inputs, *more):
        file.write_text(json.dumps(inputs))
        return tc("explain", "--inputs", str(file), "--namespace", "my.batches", *more)

    same = {"n": 1, "training": {"lr": 0.1}}
    assert explain(same) == (0, f"these inputs have {newer[:16]}, {older[:16]}\n", "")
    code, out, err = explain(same | {"training": {"lr": 0.2}})
    assert (code, err) == (0, "")
    assert [line.split() for line in out.splitlines()] == [
        ["field", newer[:16], "--inputs"],
        ["inputs.training.lr", "0.1", "0.2"],
    ]
    assert json.loads(explain(same | {"n": 2}, "--json")[1]) == {
        "namespace": "my.batches",
        "keys": [newer, older],
        "differences": [{"place": "inputs.n", "old": 1, "new": 2}],
    }


def test_inputs_may_be_yaml(cache, tc, tmp_path):
    key = publish(cache, 1)
    file = tmp_path / "inputs.yaml"
    file.write_text("n: 1\ntraining: {lr: 0.1}\n")

    found = tc("explain", "--inputs", str(file), "--namespace", "my.batches")

    assert found == (0, f"these inputs have {key[:16]}\n", "")


def test_a_namespace_without_entries_has_none_near(cache, tc, tmp_path):
    publish(cache, 1)
    file = tmp_path / "inputs.json"
    file.write_text("{}")

    found = tc("explain", "--inputs", str(file), "--namespace", "other")

    assert found == (0, "no entry of 'other' yet\n", "")


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        ("{", "inputs.json", "cannot be read"),
        ("[1]", "inputs.json", "holds [1], not names with values"),
        ("a: [", "inputs.yaml", "cannot be read"),
        ('{"a": NaN}', "inputs.json", "inputs.a: nan cannot be part of a key"),
    ],
)
def test_inputs_that_are_none_are_wrong_use(cache, tc, tmp_path, content, name, reason):
    (tmp_path / name).write_text(content)

    code, out, err = tc("explain", "--inputs", str(tmp_path / name), "--namespace", "t")

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert reason in err


@pytest.mark.parametrize(
    "words",
    [
        ["explain"],
        ["explain", "abcdef", "--inputs", "x"],
        ["explain", "--inputs", "x"],
        ["explain", "--namespace", "t"],
        ["explain", "abcdef", "--namespace", "t"],
        ["explain", "--inputs", "nowhere.json", "--namespace", "t"],
        ["diff", "abcdef", "abcdef"],
        ["diff", "abcdef"],
    ],
)
def test_wrong_use_is_one_line_and_exit_2(cache, tc, words):
    code, out, err = tc(*words)

    assert (code, out, err.count("\n")) == (2, "", 1)


def test_explain_has_a_line_for_each_part_that_differs(cache, tc, tmp_path):
    for letter, rows in (("a", 1005), ("b", 1006)):
        asked = asked_with(cache, tmp_path, letter, rows)
        cache._builds.publish(asked, [letter], 0.0, "", clone=False)

    code, out, _ = tc("explain", asked.key.digest)
    told = json.loads(tc("explain", asked.key.digest, "--json")[1])

    assert code == 0
    assert re.search(
        r"sources\.logs: games +1,005 bytes \(a{8}\) +1,006 bytes \(b{8}\)$", out, re.MULTILINE
    )
    assert told["hit"] is True
    assert told["differences"][0]["parts"] == [
        {
            "name": "games",
            "old": {"size": 1005, "digest": "a" * 64},
            "new": {"size": 1006, "digest": "b" * 64},
        }
    ]


def test_diff_says_what_made_two_entries_and_what_they_hold(cache, tc):
    old, new = publish(cache, 1), publish(cache, 2, x=1.0)

    code, out, err = tc("diff", old[:8], new[:8])
    told = json.loads(tc("diff", old, new, "--json")[1])

    assert (code, err) == (1, "")
    assert [line.split() for line in out.splitlines()] == [
        ["field", old[:16], new[:16]],
        ["inputs.n", "1", "2"],
        [],
        ["section", "field", "kind", old[:16], new[:16], "differing"],
        ["rows", "list", "4", "elements", "4", "elements", "equal"],
        ["rows", "x", "tensor", *("float32 (n, 3) " * 2).split(), "4,", "first", "0"],
        ["n", "values", "1", "value", "1", "value", "equal"],
    ]
    assert (told["old"], told["new"], told["equal"]) == (old, new, False)
    assert told["differences"] == [{"place": "inputs.n", "old": 1, "new": 2}]
    assert told["contents"][1] == {
        "section": "rows",
        "field": "x",
        "kind": "tensor",
        "old": "float32 (n, 3)",
        "new": "float32 (n, 3)",
        "differing": 4,
        "first": 0,
        "of": 4,
        "equal": False,
    }


def test_diff_of_entries_that_hold_the_same_ends_well(cache, tc):
    old, new = publish(cache, 1), publish(cache, 2)

    assert tc("diff", old, new)[0] == 0
    assert tc("diff", old, old)[0] == 0


def test_neither_imports_torch(cache, root):
    old, new = publish(cache, 1), publish(cache, 2, x=1.0)

    out = python(
        "import sys\n"
        "from tensorcache import cli\n"
        "codes = [cli.run([*words.split(), '--cache', sys.argv[1]]) for words in sys.argv[2:]]\n"
        "print(codes, 'torch' in sys.modules)",
        root,
        f"explain {old}",
        f"diff {old} {new}",
    )

    assert out.splitlines()[-1] == "[0, 1] False"
