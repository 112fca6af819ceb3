"""Strict keys: what vouches for an entry, when it is built and when it is found."""

from __future__ import annotations

import os

import pytest
from test_audit import GIVEN, Data, Plain

from tensorcache import UnkeyedRead, audited, keying


@pytest.mark.parametrize(
    ("config", "inputs", "unkeyed"),
    [
        ({"epochs": 20}, {"epochs": 20}, ""),
        ({"epochs": 20}, {"epochs": 1}, "epochs"),
        ({"epochs": 1}, {"epochs": True}, "epochs"),
        ({"epochs": {"a": 1}}, {"epochs": {"a": 1}}, ""),
        ({"epochs": {"a": 1}}, {"epochs": {"a": 1, "b": 2}}, r"epochs\.\*"),
        ({"epochs": (1, {"a": 2})}, {"epochs": [1, {"a": 2}]}, ""),
        ({"epochs": {}}, {"epochs": {}}, ""),
        ({"epochs": Data()}, {"epochs": {"frac": 0.75}}, r"epochs\.net"),
        (Plain(), {"epochs": 5}, ""),
    ],
)
def test_an_input_of_the_same_name_counts_if_it_has_the_same_value(cache, config, inputs, unkeyed):
    config = audited(config)

    def ask():
        def build():
            whole = config.epochs if isinstance(config, Plain) else config["epochs"]
            return str(whole)

        return cache.get_or_build(inputs, build, **GIVEN, audit=config, strict_keys=True)

    if unkeyed:
        with pytest.raises(UnkeyedRead, match=f"not in the key: {unkeyed}"):
            ask()
    else:
        assert ask().published
        assert ask().hit


def test_a_strict_hit_is_refused_once_the_configuration_says_otherwise(cache):
    def ask(config, **options):
        view = audited(config)
        build = lambda: view["epochs"]  # noqa: E731
        return cache.get_or_build({"epochs": 20}, build, **GIVEN, audit=view, **options)

    assert ask({"epochs": 20}, strict_keys=True).published
    assert ask({"epochs": 20}, strict_keys=True).hit
    with pytest.raises(UnkeyedRead, match="what is not in its key: epochs: make it part"):
        ask({"epochs": 99}, strict_keys=True)


def test_a_strict_hit_is_refused_where_the_inputs_are_made_of_other_fields_now(cache):
    config = audited({"a": 5, "b": 5})

    def ask(name):
        with keying(config) as audit:
            inputs = {"n": config[name]}
        return cache.get_or_build(
            inputs, lambda: config[name], **GIVEN, audit=audit, strict_keys=True
        )

    assert ask("a").published
    assert ask("a").hit
    with pytest.raises(UnkeyedRead, match="what is not in its key: a: "):
        ask("b")


def test_a_strict_hit_on_what_was_built_without_an_audit_is_refused(cache):
    config = audited({"epochs": 20})

    def ask(inputs, **options):
        return cache.get_or_build(inputs, lambda: 1, **GIVEN, **options)

    for inputs in ({"n": 1}, audited({"n": 2})):
        ask(inputs)
        with pytest.raises(UnkeyedRead, match=r"built without audit=.*: build anew with refresh"):
            ask(inputs, audit=config, strict_keys=True)
        assert ask(inputs, audit=config, strict_keys=True, refresh=True).published
        assert ask(inputs, audit=config, strict_keys=True).hit


def test_a_name_that_cannot_be_printed_loses_no_build(cache, root):
    name = os.fsdecode(b"b\xff.txt")
    config = audited({"files": {name: 1, "Größe\n": 2}, "ä": 3})

    entry = cache.get_or_build(
        {}, lambda: [*config["files"].values(), config["ä"]], **GIVEN, audit=config
    )

    assert entry.published
    shown = ["files.*", r"files.['Gr\xf6\xdfe\n']", r"files.['b\udcff.txt']", "ä"]
    assert entry.audit["unkeyed"] == shown
