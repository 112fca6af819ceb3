"""scripts/sweep/space.py and what reads a trial: pure, so without a process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from model_a import metrics
from model_a.errors import BadInput
from model_a.trace import OBJECTIVES
from sweep import plan, space, trials
from sweep.space import Range
from sweep.watch import STEPS_A_FIT, Point, Seen

CONFIG = Path(__file__).parents[1] / "config"


def sweep_of(folder, **values):
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return space.read_sweep(path, {})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sampeler": "grid"}, "sampeler: no such key: did you mean sampler?"),
        ({"spaces": {"model_a.epochs": [1]}}, "spaces: no such key: did you mean space?"),
        ({"space": {}}, "space: {}: name config keys"),
        ({"space": {"model_a.epochs": 3}}, "space.model_a.epochs: 3 is no list of values"),
        ({"space": {"model_a.epochs": [1, 1]}}, "names something twice"),
        ({"space": {"a": {"low": 1, "hihg": 2}}}, "space.a: hihg: no such key: did you mean high?"),
        ({"space": {"a": {"low": 1}}}, "space.a: high: missing: write it"),
        ({"space": {"a": {"low": 2, "high": 1}}}, "low 2 is not below high 1"),
        ({"space": {"a": {"low": 0, "high": 1, "log": True}}}, "low 0 has no logarithm"),
        ({"space": {"a": {"low": 1, "high": 9, "step": 2, "log": True}}}, "none with log"),
        ({"space": {"a": {"low": 1, "high": 9, "step": 0.5}}}, "write a whole one"),
        ({"space": {"a": {"low": 0.0, "high": 1.0}}}, "a grid needs a range with a step"),
        ({"space": {"a": {"low": 1, "high": 9000}, "b": [1, 2]}}, "18000 ways to choose"),
        ({"trials": 3}, "trials: 3 of a grid"),
        ({"sampler": "random"}, "trials: sampler 'random' has no end: say how many"),
        ({"objective": "ndcg@5"}, "objective: 'ndcg@5' is not allowed: it must be 'spearman'"),
        ({"pruning": {"startup": 1}}, "pruning.startup: no such key: did you mean startup_trials?"),
        ({"config": "a.yaml"}, "config: 'a.yaml' is not allowed"),
    ],
)
def test_what_a_sweep_file_may_not_say_is_one_line_with_the_remedy(tmp_path, values, message):
    if "spaces" not in values:
        values = {"space": {"model_a.epochs": [1]}} | values

    with pytest.raises(BadInput) as refused:
        sweep_of(tmp_path, **values)

    assert message in str(refused.value)
    assert str(refused.value).startswith(f"sweep '{tmp_path / 'sweep.yaml'}': ")
    assert "\n" not in str(refused.value)


def test_a_grid_is_every_way_to_choose(tmp_path):
    sweep = sweep_of(tmp_path, space={"a": {"low": 1, "high": 6, "step": 2}, "b": [[1, 2], None]})

    assert trials.planned(sweep) == [
        {"a": number, "b": value} for number in (1, 3, 5) for value in ([1, 2], None)
    ]


def test_chance_draws_the_same_for_the_same_seed_and_goes_on_where_it_was():
    dimensions = {
        "rate": Range(low=1e-4, high=1e-1, log=True),
        "width": Range(low=4, high=64, log=True),
        "share": Range(low=0.0, high=1.0),
        "seed": Range(low=0, high=10**9),
        "half": Range(low=0.5, high=2.0, step=0.5),
        "kind": ["a", "b"],
    }

    few, many = space.draws(dimensions, 5, 1), space.draws(dimensions, 50, 1)

    assert many[:5] == few
    assert space.draws(dimensions, 5, 2) != few
    assert all(1e-4 <= one["rate"] <= 1e-1 and 0 <= one["share"] <= 1 for one in many)
    assert all(isinstance(one["width"], int) and 4 <= one["width"] <= 64 for one in many)
    assert all(isinstance(one["seed"], int) for one in many)
    assert {one["half"] for one in many} == {0.5, 1.0, 1.5, 2.0}
    assert sum(one["rate"] < 1e-2 for one in many) > 25  # two thirds of the logarithms
    assert len({json.dumps(one) for one in many}) == 50


def test_more_draws_than_there_are_ways_are_refused():
    with pytest.raises(BadInput, match="trials: 5 are more than the ways to choose: 4"):
        space.draws({"a": [1, 2], "b": [1, 2]}, 5, 0)


def test_every_pair_of_values_is_tried_before_optuna_chooses():
    dimensions = {"a": [1, 2, 3], "b": Range(low=0.1, high=0.9), "c": ["x", "y"]}

    probes = list(space.probes(dimensions))

    for first, second in (("a", "b"), ("a", "c"), ("b", "c")):
        pairs = {(one[first], one[second]) for one in probes}
        assert len(pairs) == {"ab": 6, "ac": 6, "bc": 4}[first + second]


def test_shapes_are_those_of_what_shapes_the_batches():
    dimensions = {
        "windows": [[10], [10, 30]],
        "rate": Range(low=0.1, high=0.9),
        "size": Range(low=8, high=9),
    }

    found = space.shapes(dimensions, lambda one: json.dumps([one["windows"], one["size"]]))

    assert [(one["windows"], one["size"]) for one in found] == [
        ([10], 8),
        ([10], 9),
        ([10, 30], 8),
        ([10, 30], 9),
    ]
    with pytest.raises(BadInput, match=r"space\.rate: this range shapes the batches"):
        space.shapes(dimensions, lambda one: str(one["rate"]))


def test_the_objectives_are_metrics_of_script_3():
    assert set(OBJECTIVES) <= set(metrics.METRICS)


@pytest.mark.parametrize("path", sorted(CONFIG.glob("sweep_*.yaml")), ids=lambda path: path.stem)
def test_the_sweeps_of_the_house_are_right(path, tmp_path):
    """Every trial of every config/sweep_*.yaml passes the checks that come before it runs."""
    sweep = space.read_sweep(path, {})
    base = trials.base_of(sweep, [])

    trials.check(sweep, base, tmp_path)

    assert not base["outputs"]["score_test"]  # the test seasons are scored once, in the end
    assert len(trials.planned(sweep) or range(sweep.trials)) >= 10
    shapes = space.shapes(
        sweep.dimensions,
        lambda chosen: trials.shape_of(trials.config_of(chosen, base, tmp_path)),
    )
    assert len(shapes) == {"grid": 1, "baseline": 1, "rolling": 6, "full": 2}[path.stem[6:]]


def test_a_phase_for_each_name():
    assert {f"sweep_{phase}.yaml" for phase in space.PHASES} <= {p.name for p in CONFIG.iterdir()}


def test_the_objective_of_the_folds_so_far_counts_each_list_once(tmp_path):
    path = tmp_path / "progress.jsonl"
    seen = Seen(path)
    assert seen.look() == []

    def says(fit, epoch, objective, n_lists):
        line = {"fit": fit, "epoch": epoch, "objective": objective, "n_lists": n_lists}
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    says("fold 1, seed 1", 0, 0.2, 10)
    says("fold 1, seed 1", 1, 0.4, 10)
    says("fold 1, seed 2", 0, 0.6, 10)
    assert seen.look() == [
        Point(0, pytest.approx(0.2)),
        Point(1, pytest.approx(0.4)),
        Point(STEPS_A_FIT, pytest.approx(0.5)),
    ]
    says("fold 2, seed 1", 0, 0.8, 30)
    says("final, seed 1", 0, None, None)

    assert seen.look() == [Point(2 * STEPS_A_FIT, pytest.approx((0.5 * 10 + 0.8 * 30) / 40))]
    assert seen.mean() == pytest.approx(0.725)


def test_half_a_line_is_read_when_the_rest_is_there(tmp_path):
    path = tmp_path / "progress.jsonl"
    path.write_text('{"state": "importing"}\n{"state": "get-')
    seen = Seen(path)

    seen.look()
    assert seen.facts["state"] == "importing"
    with path.open("a") as file:
        file.write('or-build"}\n')
    seen.look()

    assert seen.facts["state"] == "get-or-build"


def test_a_plan_is_a_total_and_a_line_for_each_key(tmp_path):
    sweep = sweep_of(tmp_path, space={"a": [1, 2, 3, 4]})
    said = {
        "trials": [
            {"config": "1.yaml", "key": "ab" * 32, "state": "build", "bytes": 2_000_000},
            {"config": "2.yaml", "key": "ab" * 32, "state": "same", "bytes": None},
            {"config": "3.yaml", "key": "cd" * 32, "state": "hit", "bytes": 5},
            {"config": "4.yaml", "key": "cd" * 32, "state": "hit", "bytes": 5},
        ],
        "builds": 1,
        "hits": 2,
        "bytes": 2_000_000,
        "seconds": 90.0,
    }

    assert plan.lines(said, sweep) == [
        "plan: 4 trials: 1 build, 2.0 MB, about 1.5 minutes of building; 2 found in the cache",
        "  abababababababab build, 2 trials",
        "  cdcdcdcdcdcdcdcd hit, 2 trials",
    ]
    assert "nobody knows how long" in plan.lines({**said, "seconds": None, "bytes": None}, sweep)[0]
