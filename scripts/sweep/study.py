"""The choices of Optuna: TPE, a trial that is worse than the median ended early.

Rules of this room: the only owner of optuna. The study is a SQLite file in the sweep's folder; what
a sweep that was stopped left running there has failed, and is asked for again by its values.
References: Bergstra et al. 2011, "Algorithms for hyper-parameter optimization" (TPE); Golovin et
al. 2017, "Google Vizier" (the median rule).
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_a.errors import BadInput

from sweep.space import Range, Sweep
from sweep.watch import STEPS_A_FIT, Point

if TYPE_CHECKING:
    import optuna


def check_installed() -> None:
    """Refuse a sampler that is not there.

    Raises:
        BadInput: optuna is not installed.
    """
    if importlib.util.find_spec("optuna") is None:
        raise BadInput(
            "sampler 'tpe' needs optuna, which is not installed: install 'tensorcache[sweep]', or "
            "choose --sampler random"
        )


class Study:
    """What Optuna knows of the trials; each has its number here, whatever Optuna counts."""

    def __init__(self, folder: Path, sweep: Sweep) -> None:
        import optuna  # a quarter of a second, which only its sampler pays

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._values = {
            dotted: {json.dumps(value, default=str): value for value in dimension}
            for dotted, dimension in sweep.dimensions.items()
            if isinstance(dimension, list)
        }
        self._distributions = {
            dotted: self._distribution(dotted, dimension)
            for dotted, dimension in sweep.dimensions.items()
        }
        self._warmup_epochs = sweep.pruning.warmup_epochs
        self._study = optuna.create_study(
            study_name="sweep",
            storage=f"sqlite:///{folder / 'study.sqlite'}",
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(sweep.pruning.startup_trials),
        )
        # A sweep that goes on must not draw again what it has drawn.
        seed = sweep.seed + len(self._study.trials)
        self._study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        self._failed = optuna.trial.TrialState.FAIL
        self._pruned = optuna.trial.TrialState.PRUNED
        for left in self._study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
            self._study.tell(left.number, state=self._failed)
        self._asked: dict[int, optuna.Trial] = {}

    def ask(self, number: int, again: dict[str, Any] | None = None) -> dict[str, Any]:
        """What to choose for the trial of that number; `again` what was chosen for it before."""
        if again is not None:
            self._study.enqueue_trial(
                {
                    dotted: json.dumps(value, default=str) if dotted in self._values else value
                    for dotted, value in again.items()
                }
            )
        trial = self._asked[number] = self._study.ask(self._distributions)
        return {
            dotted: self._values[dotted][value] if dotted in self._values else value
            for dotted, value in trial.params.items()
        }

    def is_hopeless(self, number: int, point: Point) -> bool:
        """Whether the trial, being there now, does worse than half of those that were there."""
        if point.step % STEPS_A_FIT < self._warmup_epochs:
            return False
        self._asked[number].report(point.value, point.step)
        return bool(self._asked[number].should_prune())

    def tell(self, number: int, status: str, objective: float | None) -> None:
        """How the trial ended."""
        trial = self._asked.pop(number)
        if status == "ok":
            self._study.tell(trial, objective)
        else:
            self._study.tell(trial, state=self._pruned if status == "pruned" else self._failed)

    def _distribution(self, dotted: str, dimension: list[Any] | Range) -> Any:
        from optuna import distributions  # see __init__

        if isinstance(dimension, list):  # of any type, so by their text
            return distributions.CategoricalDistribution(list(self._values[dotted]))
        low, high, log = dimension.low, dimension.high, dimension.log
        if dimension.step:
            high = (dimension.values() or [high])[-1]  # the last that a step leads to
        if dimension.is_whole:
            step = int(dimension.step or 1)
            return distributions.IntDistribution(int(low), int(high), log=log, step=step)
        return distributions.FloatDistribution(low, high, log=log, step=dimension.step)
