"""The audit: what a build reads of a configuration, beside what its key is made from."""

from __future__ import annotations

import argparse
import copy
import dataclasses
import functools
import json
import logging
import pickle
import random
import threading
import types

import numpy as np
import pytest
from processes import python
from pydantic import BaseModel, ConfigDict, ValidationError

from tensorcache import UnkeyedRead, audited, keying

GIVEN = {"version": "1", "namespace": "t.audit"}


class Net(BaseModel):
    model_config = ConfigDict(frozen=True)
    lr: float = 0.5
    widths: list[int] = [64, 32]

    @property
    def steps(self):
        return int(1 / self.lr)

    @functools.cached_property
    def first(self):
        return self.widths[0]

    def scaled(self, by):
        return self.lr * by


class Model(BaseModel):
    net: Net = Net()
    nets: dict[str, Net] = {"a": Net()}
    name: str = "x"


@dataclasses.dataclass(frozen=True)
class Data:
    net: Net = dataclasses.field(default_factory=Net)
    split: dict[str, int] = dataclasses.field(default_factory=lambda: {"train": 8})
    frac: float = 0.75


@dataclasses.dataclass(slots=True)
class Slots:
    a: int = 1
    b: int = 2


class Plain:
    epochs = 5

    def __init__(self):
        self.net = Net()
        self.seed = 42


def heard(config, read):
    """What `read` gives, and the fields that it reads, branches that lie above them left out."""
    view = audited(config)
    with keying(view) as audit:
        result = read(view)
        paths = set(audit.keyed)
    return result, sorted(p for p in paths if not any(q.startswith(p + ".") for q in paths))


CONFIG = {"net": {"lr": 0.5, "widths": [64, 32]}, "seed": 42, 3: "three", "a.b": None}
NETS = ["frac", "net.lr", "net.widths"]
NET = {"lr": 0.5, "widths": [64, 32]}
READS = [
    (CONFIG, lambda c: c["net"]["lr"], 0.5, ["net.lr"]),
    (CONFIG, lambda c: c["net"]["widths"], [64, 32], ["net.widths"]),
    (CONFIG, lambda c: c[3] + str(c["a.b"]), "threeNone", ["['a.b']", "[3]"]),
    (CONFIG, lambda c: c.get("seed"), 42, ["seed"]),
    (CONFIG, lambda c: c.get("absent", 7), 7, ["absent"]),
    (CONFIG, lambda c: "absent" in c, False, ["absent"]),
    (CONFIG, lambda c: list(c["net"]), ["lr", "widths"], ["net.*"]),
    (CONFIG, lambda c: len(c["net"].keys()), 2, ["net.*"]),
    (CONFIG, lambda c: dict(c["net"].items()), NET, ["net.*", "net.lr", "net.widths"]),
    (CONFIG, lambda c: list(c["net"].values()), [0.5, [64, 32]], ["net.*", "net.lr", "net.widths"]),
    (CONFIG, lambda c: {**c["net"]}, NET, ["net.*", "net.lr", "net.widths"]),
    (CONFIG, lambda c: c["net"] == NET, True, ["net.*", "net.lr", "net.widths"]),
    (CONFIG, lambda c: repr(c["net"]), repr(NET), ["net.*", "net.lr", "net.widths"]),
    (CONFIG, lambda c: c["net"] | {"x": 1}, {**NET, "x": 1}, ["net.*", "net.lr", "net.widths"]),
    (CONFIG, lambda c: {"x": 1} | c["net"], {"x": 1, **NET}, ["net.*", "net.lr", "net.widths"]),
    (CONFIG, lambda c: c["net"] | c["net"], NET, ["net.*", "net.lr", "net.widths"]),
    (CONFIG, lambda c: list(reversed(c["net"])), ["widths", "lr"], ["net.*"]),
    (CONFIG, lambda c: c["net"].copy(), NET, ["net.*", "net.lr", "net.widths"]),
    (Model(), lambda c: c.net.lr, 0.5, ["net.lr"]),
    (Model(), lambda c: c.net.steps, 2, ["net.lr"]),
    (Model(), lambda c: c.net.first, 64, ["net.widths"]),
    (Model(), lambda c: c.net.scaled(2), 1.0, ["net.lr"]),
    (Model(), lambda c: c.net.model_dump(), NET, ["net.lr", "net.widths"]),
    (Model(), lambda c: dict(c.net), NET, ["net.lr", "net.widths"]),
    (Model(), lambda c: {k: v.lr for k, v in c.nets.items()}, {"a": 0.5}, ["nets.*", "nets.a.lr"]),
    (Model(), lambda c: getattr(c, "absent", 7), 7, ["absent"]),
    (Model(), lambda c: isinstance(c, Model), True, []),
    (Model(), lambda c: copy.deepcopy(c.net), Net(), ["net.lr", "net.widths"]),
    (Model(), lambda c: pickle.loads(pickle.dumps(c.net)), Net(), ["net.lr", "net.widths"]),
    (Data(), lambda c: c.split["train"], 8, ["split.train"]),
    (Data(), lambda c: len(dataclasses.asdict(c)), 3, [*NETS, "split.*", "split.train"]),
    (Data(), lambda c: dataclasses.replace(c, net=None, split={}), Data(None, {}), ["frac"]),
    (Slots(), lambda c: c.a, 1, ["a"]),
    (Slots(), str, "Slots(a=1, b=2)", ["a", "b"]),
    (Plain(), lambda c: c.seed + c.epochs, 47, ["epochs", "seed"]),
    (Plain(), lambda c: c.net.lr, 0.5, ["net.lr"]),
    (argparse.Namespace(lr=0.5, n=1), lambda c: vars(c)["lr"], 0.5, ["lr", "n"]),
    (argparse.Namespace(lr=0.5, n=1), lambda c: c.lr, 0.5, ["lr"]),
    (types.SimpleNamespace(x=types.SimpleNamespace(y=1)), lambda c: c.x.y, 1, ["x.y"]),
]  # fmt: skip


@pytest.mark.parametrize(("config", "read", "result", "paths"), READS)
def test_what_is_read_is_heard_and_no_more(config, read, result, paths):
    assert heard(config, read) == (result, paths)


@pytest.mark.parametrize("value", [1, True, 0.5, "x", None, b"x", [1, {"a": 2}], (1,), {1}, len])
def test_a_value_comes_back_as_itself(value):
    assert audited({"a": {"b": value}})["a"]["b"] is value
    assert audited(types.SimpleNamespace(a=value)).a is value


def test_what_is_written_through_a_view_is_written_to_the_configuration():
    config, names = Plain(), {"a": 1, "b": {"c": 2}, "gone": 3}
    view, named = audited(config), audited(names)

    view.seed, view.other = 7, named["b"]
    del view.net
    named["a"] = 7
    del named["gone"]

    assert vars(config) == {"seed": 7, "other": {"c": 2}}
    assert type(config.other) is dict
    assert names == {"a": 7, "b": {"c": 2}}
    with pytest.raises(AttributeError, match="seed"):
        del view.seed, view.seed
    with pytest.raises(ValidationError, match="frozen"):
        audited(Net()).lr = 0.1


def test_a_method_may_keep_what_it_computed():
    class Lazy(Plain):
        def __init__(self):
            super().__init__()
            self._total, self._seen = None, {}

        @property
        def total(self):
            if self._total is None:
                self._total = self.seed * 2
            self._seen["total"] = self._total
            return self._total

    config = Lazy()

    assert audited(config).total == audited(config).total == 84
    assert (config._total, config._seen) == (84, {"total": 84})


@pytest.mark.parametrize(
    "value",
    [logging.getLogger("t"), random.Random(1), threading.Event(), np.random.default_rng(1)],
)
def test_an_object_of_somebody_elses_is_one_field(value):
    config = Plain()
    config.net = value

    assert audited(config).net is value


def test_what_has_no_fields_or_is_no_view_is_refused(cache):
    with pytest.raises(TypeError, match="it has no fields: pass a mapping or an object"):
        audited([1, 2])
    with pytest.raises(TypeError, match="is no view"), keying({"a": 1}):
        pass
    with pytest.raises(TypeError, match="is no view"):
        cache.get_or_build({}, dict, **GIVEN, audit={"a": 1})
    with pytest.raises(TypeError, match="strict_keys=True without audit="):
        cache.get_or_build({}, dict, **GIVEN, strict_keys=True)


# --- one build ---


def test_a_field_read_and_not_in_the_inputs_is_one_warning(cache, caplog):
    config = audited({"net": {"lr": 0.5, "epochs": 3}})

    entry = cache.get_or_build(
        {"net": {"lr": 0.5}},
        lambda: config["net"]["lr"] * config["net"]["epochs"],
        **GIVEN,
        audit=config,
    )

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "the build read what is not in the key: net.epochs: a change" in record.message
    assert entry.published
    audit = {"read": ["net.epochs", "net.lr"], "unkeyed": ["net.epochs"], "unread": []}
    assert entry.audit == cache[entry.key].audit == audit


def test_with_strict_keys_it_is_an_error_and_nothing_is_published(cache):
    config = audited(Data())

    def ask(build, **options):
        with keying(config) as audit:
            inputs = {"train_frac": config.frac}
        return cache.get_or_build(inputs, build, **GIVEN, audit=audit, **options)

    with pytest.raises(UnkeyedRead, match=r"not in the key: split\.train: ") as caught:
        ask(lambda: config.split["train"], strict_keys=True)
    assert isinstance(caught.value, LookupError)
    assert len(cache.entries()) == 0
    assert ask(lambda: config.frac, strict_keys=True).published
    ask(lambda: config.split["train"], refresh=True)
    with pytest.raises(UnkeyedRead, match="or build anew with refresh=True"):
        ask(dict, strict_keys=True)  # a hit on what was built so is no better


def test_what_is_read_to_make_the_inputs_is_in_the_key_whatever_its_name(cache, caplog):
    config = audited(Model())
    with keying(config) as audit:
        inputs = {"inverse": 1 / config.net.lr, "names": sorted(config.nets)}

    entry = cache.get_or_build(
        inputs, lambda: [config.net.lr, list(config.nets)], **GIVEN, audit=audit, strict_keys=True
    )

    assert entry.audit == {"read": ["net.lr", "nets.*"], "unkeyed": [], "unread": []}
    assert caplog.records == []


def test_a_part_given_whole_is_in_the_key(cache):
    config = audited({"net": {"lr": 0.5, "deep": {"n": 1}}, "seed": 1})
    with keying(config) as audit:
        inputs = {"model": config["net"]}

    def ask(build, inputs=inputs):
        return cache.get_or_build(inputs, build, **GIVEN, audit=audit, strict_keys=True)

    entry = ask(lambda: config["net"]["deep"]["n"])
    assert entry.audit["unkeyed"] == []
    assert entry.audit["unread"] == ["net.lr"]
    assert cache.key({"model": {"lr": 0.5, "deep": {"n": 1}}}, **GIVEN) == entry.key
    with pytest.raises(UnkeyedRead, match="key: seed: "):
        cache.get_or_build(
            inputs, lambda: config["seed"], **GIVEN, audit=audit, strict_keys=True, refresh=True
        )


def test_names_of_a_mapping_count_apart_from_its_values(cache):
    config = audited({"weights": {"a": 1, "b": 2}})
    with keying(config) as audit:
        inputs = {"names": sorted(config["weights"])}

    with pytest.raises(UnkeyedRead, match=r"key: weights\.a: "):
        cache.get_or_build(
            inputs, lambda: config["weights"]["a"], **GIVEN, audit=audit, strict_keys=True
        )


def test_one_stage_is_not_keyed_by_what_another_was_keyed_by(cache):
    config = audited({"lists": {"n": 1}, "windows": [10]})
    with keying(config):
        _ = {"n": config["lists"]["n"]}
    with keying(config) as audit:
        inputs = {"windows": config["windows"]}

    with pytest.raises(UnkeyedRead, match=r"key: lists\.n: "):
        cache.get_or_build(
            inputs, lambda: config["lists"]["n"], **GIVEN, audit=audit, strict_keys=True
        )


def test_an_input_that_is_never_read_is_a_note(cache, caplog):
    caplog.set_level(logging.INFO, "tensorcache")
    inputs = audited({"lr": 0.5, "net": {"n": 1, "unused": 2}, "never": None})

    entry = cache.get_or_build(inputs, lambda: inputs["lr"] + inputs["net"]["n"], **GIVEN)

    assert entry.audit == {
        "read": ["inputs.lr", "inputs.net.n"],
        "unread": ["inputs.net.unused", "inputs.never"],
    }
    note = "the build never read inputs.net.unused, inputs.never: a change of it is a needless miss"
    assert [note in r.message for r in caplog.records].count(True) == 1
    assert entry.key == cache.key({"lr": 0.5, "net": {"n": 1, "unused": 2}, "never": None}, **GIVEN)


def test_reads_of_all_threads_of_a_build_count_and_of_before_and_after_none(cache):
    config = audited({"a": 1, "b": 2, "c": 3})
    assert config["a"] == 1

    def build():
        reader = threading.Thread(target=lambda: config["b"])
        reader.start()
        reader.join()
        return 1

    entry = cache.get_or_build({}, build, **GIVEN, audit=config)
    assert config["c"] == 3

    assert entry.audit["read"] == entry.audit["unkeyed"] == ["b"]


def test_an_audit_is_kept_short_and_off_the_key(cache, caplog):
    config = audited({f"f{n:03}": n for n in range(500)})

    entry = cache.get_or_build({}, lambda: sum(config.values()), **GIVEN, audit=config)

    assert len(entry.audit["unkeyed"]) == 200
    assert (
        "key: *, f000, f001, f002, f003, f004, f005, f006, f007, f008 and 491 more: " in caplog.text
    )
    assert entry.key == cache.key({}, **GIVEN)


def test_what_is_not_published_was_audited_too(cache, caplog):
    config = audited({"a": 1})

    with cache.disabled():
        entry = cache.get_or_build({}, lambda: config["a"], **GIVEN, audit=config)

    assert (entry.published, entry.audit["unkeyed"]) == (False, ["a"])
    assert "not in the key: a: " in caplog.text


HIT = """
import sys, tensorcache
cache = tensorcache.open(sys.argv[1])
cache.get_or_build({"a": 1}, lambda: 1, version="1", namespace="t.hit")
before = set(sys.modules)
entry = cache.get_or_build({"a": 1}, lambda: 1, version="1", namespace="t.hit")
assert entry.hit and "tensorcache.audit" not in sys.modules
config = tensorcache.audited({"a": 1})
with tensorcache.keying(config) as audit:
    inputs = {"a": config["a"]}
entry = cache.get_or_build(inputs, lambda: 1, version="1", namespace="t.hit", audit=audit)
assert entry.hit
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""


def test_an_audited_hit_imports_nothing_but_the_audit(cache, root):
    assert python(HIT, root) == "tensorcache\n"


def test_show_tells_what_is_amiss(cache, root, caplog):
    config = audited({"lr": 0.5, "epochs": 3, "never": 1})
    inputs = {"lr": 0.5, "never": 1}
    entry = cache.get_or_build(
        inputs, lambda: config["lr"] * config["epochs"], **GIVEN, audit=config
    )
    run = "from tensorcache.cli import main; main()"

    shown = python(run, "show", entry.key.short, "--cache", root)
    told = json.loads(python(run, "show", entry.key.short, "--cache", root, "--json"))

    assert told["audit"] == entry.audit
    assert "epochs   read, and not in the key: a change of it is a stale hit\n" in shown
    assert "never    in the key, and never read: a change of it is a needless miss\n" in shown
    assert "1 field  read, and in the key\n" in shown
