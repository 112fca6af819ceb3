"""A sweep file -> what may be chosen, and the choices of a grid or of chance.

Rules of this room: nothing runs and nothing is written. A key or value that the file may not have
is a `BadInput` of one line; whether a chosen value is right is script 3's config to say
(trials.py). A choice is a mapping of dotted config keys to values.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from model_a.config import checked, read_yaml
from model_a.errors import BadInput
from model_a.trace import OBJECTIVES
from pydantic import BaseModel, ConfigDict, Field, model_validator

PHASES = ("full", "baseline", "rolling")
CONFIG = Path(__file__).parents[2] / "config"
MOST_TRIALS = 10_000  # of a grid: more is a slip of the pen

Number = int | float


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Range(_Section):
    """Numbers from `low` to `high`, both in it; whole ones where both are, unless `log`."""

    low: Number
    high: Number
    step: Number | None = None
    log: bool = False

    @model_validator(mode="after")
    def _makes_sense(self) -> Range:
        if not all(map(math.isfinite, (self.low, self.high))) or self.low >= self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}: swap or mend them")
        if self.step is not None and (self.log or self.step <= 0):
            raise ValueError(f"step {self.step} must be above 0, and none with log: take it out")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low} has no logarithm: write one above 0")
        if self.is_whole and not isinstance(self.step, int | None):
            raise ValueError(f"step {self.step} between whole numbers: write a whole one, or 1.0")
        return self

    @property
    def is_whole(self) -> bool:
        """Whether its numbers are whole."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def values(self) -> list[Number] | None:
        """All its numbers in order; None where they are too many to name."""
        step = self.step or (1 if self.is_whole else None)
        if step is None or (self.high - self.low) / step > MOST_TRIALS:
            return None
        steps = range(int((self.high - self.low) / step + 1e-9) + 1)
        return [round(self.low + position * step, 12) for position in steps]

    def draw(self, chance: random.Random) -> Number:
        """One of its numbers, each as likely as another (of their logarithms, with `log`)."""
        if self.log:
            drawn = math.exp(chance.uniform(math.log(self.low), math.log(self.high)))
            drawn = min(max(drawn, self.low), self.high)
            return round(drawn) if self.is_whole else drawn
        values = self.values()
        if values is not None:
            return chance.choice(values)
        drawn = chance.uniform(self.low, self.high)
        return round(drawn) if self.is_whole else drawn


class Pruning(_Section):
    """From which trial on, and from which epoch of each fold, a bad trial is ended."""

    startup_trials: Annotated[int, Field(ge=0)] = 5
    warmup_epochs: Annotated[int, Field(ge=0)] = 3


class Sweep(_Section):
    """What a sweep file says, every field set."""

    config: list[str] = []
    fixed: dict[str, Any] = {}
    sampler: Literal["grid", "random", "tpe"] = "grid"
    objective: Literal[OBJECTIVES] = "spearman"  # type: ignore[valid-type]
    trials: Annotated[int, Field(ge=1, le=MOST_TRIALS)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    pruning: Pruning = Pruning()
    space: dict[str, Any]

    @property
    def dimensions(self) -> dict[str, list[Any] | Range]:
        """What may be chosen for each dotted key: one of a list, or a number of a range.

        Raises:
            BadInput: it is neither.
        """
        return {dotted: _dimension(dotted, values) for dotted, values in self.space.items()}


def read_sweep(path: str | Path, over: Mapping[str, Any]) -> Sweep:
    """The sweep in a YAML file, with what the command line says `over` it.

    Raises:
        BadInput: the file cannot be read, or is no sweep.
    """
    try:
        values = read_yaml(path, "sweep") | over
        if set(values) - set(Sweep.model_fields):  # `space` may be what was misspelt
            checked(Sweep, values)
        if not isinstance(values.get("space"), dict) or not values["space"]:
            raise BadInput(f"space: {values.get('space')!r:.80}: name config keys and their values")
        sweep = checked(Sweep, values)
        dimensions = sweep.dimensions
        if sweep.sampler == "grid":
            grid_size(dimensions)
            if sweep.trials is not None:
                raise BadInput(
                    f"trials: {sweep.trials} of a grid, which is all there is: take it out, or "
                    "choose sampler random or tpe"
                )
        elif sweep.trials is None:
            raise BadInput(f"trials: sampler {sweep.sampler!r} has no end: say how many")
    except BadInput as error:
        if str(error).startswith("sweep "):
            raise
        raise BadInput(f"sweep {str(path)!r}: {error}") from None
    return sweep


def values_of(dimension: list[Any] | Range) -> list[Any] | None:
    """All that may be chosen; None where that is too much to name."""
    return dimension if isinstance(dimension, list) else dimension.values()


def grid_size(dimensions: Mapping[str, list[Any] | Range]) -> int:
    """How many ways there are to choose.

    Raises:
        BadInput: there is no end of them, or they are too many.
    """
    for dotted, dimension in dimensions.items():
        if values_of(dimension) is None:
            raise BadInput(
                f"space.{dotted}: a grid needs a range with a step: give it one, or name values"
            )
    size = math.prod(len(values_of(dimension) or ()) for dimension in dimensions.values())
    if size > MOST_TRIALS:
        raise BadInput(f"space: {size} ways to choose: leave some out, or choose sampler random")
    return size


def grid(dimensions: Mapping[str, list[Any] | Range]) -> list[dict[str, Any]]:
    """Every way to choose, the last key changing fastest."""
    values = [values_of(dimension) or [] for dimension in dimensions.values()]
    return [dict(zip(dimensions, chosen, strict=True)) for chosen in itertools.product(*values)]


def draws(
    dimensions: Mapping[str, list[Any] | Range], count: int, seed: int
) -> list[dict[str, Any]]:
    """As many choices by chance, no two the same; the first of them whatever the `count`.

    Raises:
        BadInput: there are fewer ways to choose.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret
    drawn: list[dict[str, Any]] = []
    for _ in range(count):
        for _ in range(1000):
            chosen = {dotted: _draw(dimension, chance) for dotted, dimension in dimensions.items()}
            if chosen not in drawn:
                break
        else:
            raise BadInput(
                f"trials: {count} are more than the ways to choose: {len(drawn)} of them were "
                "found: lower it, or choose sampler grid"
            )
        drawn.append(chosen)
    return drawn


def probes(dimensions: Mapping[str, list[Any] | Range]) -> Iterator[dict[str, Any]]:
    """Choices that show every value, and every pair of values, of two keys; of ranges the ends.

    The other keys have their first value.
    """
    ends = {
        dotted: each if isinstance(each, list) else [each.low, each.high]
        for dotted, each in dimensions.items()
    }
    first = {dotted: values[0] for dotted, values in ends.items()}
    for pair in itertools.combinations(ends, min(2, len(ends))):
        for values in itertools.product(*(ends[dotted] for dotted in pair)):
            yield first | dict(zip(pair, values, strict=True))


def shapes(
    dimensions: Mapping[str, list[Any] | Range], shape_of: Callable[[dict[str, Any]], Any]
) -> list[dict[str, Any]]:
    """A choice for each of the shapes that there can be, whatever else is chosen.

    Raises:
        BadInput: a range without a step shapes, so that there is no end of them.
    """
    first = {
        dotted: each[0] if isinstance(each, list) else each.low
        for dotted, each in dimensions.items()
    }
    shaping = {}
    for dotted, dimension in dimensions.items():
        values = values_of(dimension)
        tried = values or [dimension.low, dimension.high]  # type: ignore[union-attr]
        if any(shape_of(first | {dotted: value}) != shape_of(first) for value in tried):
            if values is None:
                raise BadInput(
                    f"space.{dotted}: this range shapes the batches, and each trial may build its "
                    "own: nobody can say how many: give it a step, or name values"
                )
            shaping[dotted] = values
    found: dict[Any, dict[str, Any]] = {}
    for values in itertools.product(*shaping.values()):
        chosen = first | dict(zip(shaping, values, strict=True))
        found.setdefault(shape_of(chosen), chosen)
    return list(found.values())


def _dimension(dotted: str, values: Any) -> list[Any] | Range:
    if isinstance(values, dict):
        try:
            return checked(Range, values)
        except BadInput as error:
            raise BadInput(f"space.{dotted}: {error}") from None
    if not isinstance(values, list) or not values:
        raise BadInput(
            f"space.{dotted}: {values!r:.80} is no list of values and no range: write [a, b], or "
            "{low: a, high: b}"
        )
    if any(value in values[:position] for position, value in enumerate(values)):
        raise BadInput(f"space.{dotted}: {values!r:.80} names something twice: name it once")
    return values


def _draw(dimension: list[Any] | Range, chance: random.Random) -> Any:
    return chance.choice(dimension) if isinstance(dimension, list) else dimension.draw(chance)
