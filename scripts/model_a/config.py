"""YAML files -> Config -> inputs.

Rules of this room: no defaults, for `config/defaults.yaml` holds every key once; a type is checked,
never bent; whatever is wrong is a `BadInput` of one line with the dotted path. `batch_inputs` is an
allow-list: what it does not name cannot change a key, so a field that the builder begins to read is
added there first.
"""

from __future__ import annotations

import datetime as dt
import difflib
import itertools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from model_a.errors import BadInput

DEFAULTS = Path(__file__).parents[2] / "config" / "defaults.yaml"
STATS_PER_WINDOW = 10
STATS_BESIDES = 4

_Model = TypeVar("_Model", bound=BaseModel)
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Paths(_Section):
    """Where things lie. Paths never enter a key."""

    db: str
    outputs: str
    batch_cache: Literal[False] | str | None

    @field_validator("batch_cache", mode="before")
    @classmethod
    def _off_or_a_directory(cls, value: Any) -> Any:
        if value is not None and value is not False and not isinstance(value, str):
            raise ValueError(
                f"{value!r} is no directory: write one, null (the usual), or false (off)"
            )
        return value


class Repro(_Section):
    """What makes two runs equal."""

    seed: Annotated[int, Field(ge=0)]
    threads: Count
    device: Literal["auto", "cpu", "cuda", "mps"]


class Season(_Section):
    """First and last day of a regular season, both played."""

    start: dt.date
    end: dt.date

    @model_validator(mode="after")
    def _has_days(self) -> Season:
        if self.start > self.end:
            raise ValueError(
                f"is empty: it starts on {self.start} and ends on {self.end}: "
                "give its first and last day"
            )
        return self


class Training(_Section):
    """What shapes lists and batches."""

    listmle_target: Literal["final_rank", "playoff_outcome"] | None
    rolling_windows: Annotated[list[Count], Field(min_length=1)]
    train_seasons: Annotated[list[str], Field(min_length=1)] | None
    test_seasons: Annotated[list[str], Field(min_length=1)] | None
    train_test_cutoff: dt.date | None
    train_frac: Share
    max_list_dates: Count | None
    max_lists_oof: Annotated[int, Field(ge=0)] | None
    max_final_batches: Annotated[int, Field(ge=2)] | None
    n_folds: Annotated[int, Field(ge=0)]
    roster_size: Count
    use_prior_season_baseline: bool
    prior_season_lookback_days: Count

    @field_validator("rolling_windows", "train_seasons", "test_seasons")
    @classmethod
    def _named_once(cls, values: list[Any] | None) -> list[Any] | None:
        if values is not None and len(set(values)) < len(values):
            raise ValueError(f"names something twice: {values!r}: name it once")
        return values


class ModelA(_Section):
    """The net and its training."""

    stat_dim: Count | None
    num_embeddings: Count
    embedding_dim: Count
    encoder_hidden: Annotated[list[Count], Field(min_length=1)]
    attention_heads: Count
    minutes_bias_weight: Amount
    dropout: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
    learning_rate: Positive
    n_seeds: Count
    use_standings: bool
    loss: Literal["listmle", "spearman_surrogate"]
    loss_tau: Positive
    loss_warmup_epochs: Annotated[int, Field(ge=0)]
    roster_loss_weight: Amount
    epochs: Count
    lists_per_step: Count
    weight_decay: Amount
    grad_clip_max_norm: Positive
    early_stopping_patience: Annotated[int, Field(ge=0)]
    early_stopping_min_delta: Amount
    early_stopping_val_frac: Share

    @model_validator(mode="after")
    def _heads_divide(self) -> ModelA:
        if self.encoder_hidden[-1] % self.attention_heads:
            raise ValueError(
                f"encoder_hidden ends in {self.encoder_hidden[-1]}, which attention_heads "
                f"{self.attention_heads} does not divide: change either"
            )
        return self


class Outputs(_Section):
    """What a run leaves behind beside its model and scores."""

    figures: bool
    score_test: bool


class Config(_Section):
    """One run of script 3, every field set."""

    paths: Paths
    repro: Repro
    seasons: dict[str, Season]
    training: Training
    model_a: ModelA
    outputs: Outputs

    @field_validator("seasons", mode="before")
    @classmethod
    def _null_takes_out(cls, seasons: Any) -> Any:
        if not isinstance(seasons, dict):
            return seasons
        return {name: season for name, season in seasons.items() if season is not None}

    @model_validator(mode="after")
    def _seasons_make_sense(self) -> Config:
        _refuse_overlapping_ranges(self.seasons)
        train, test = self.training.train_seasons, self.training.test_seasons
        if (train is None) != (test is None):
            raise ValueError(
                "training: train_seasons and test_seasons go together: name both, or null"
            )
        for season in (train or []) + (test or []):
            if season not in self.seasons:
                raise ValueError(f"training: {season!r} is not in seasons: add its dates there")
        both = sorted(set(train or []) & set(test or []))
        if both:
            raise ValueError(f"training: {both!r} both trains and tests: take it out of one list")
        if train is not None and self.training.n_folds > len(train):
            raise ValueError(
                f"training.n_folds: {self.training.n_folds} folds of whole seasons need as many "
                f"train_seasons, there are {len(train)}: lower it, or add seasons"
            )
        return self

    @model_validator(mode="after")
    def _stat_dim_is_right(self) -> Config:
        windows = self.training.rolling_windows
        right = STATS_PER_WINDOW * len(windows) + STATS_BESIDES
        if self.model_a.stat_dim not in (None, right):
            raise ValueError(
                f"model_a.stat_dim: {self.model_a.stat_dim} is not what rolling_windows "
                f"{windows!r} give: write {right}, or null"
            )
        return self


def load_config(files: Iterable[str | Path], settings: Iterable[str] = ()) -> Config:
    """The defaults, with `files` merged over them in turn, then `settings` (`key.path=value`).

    Raises:
        BadInput: a file or a setting cannot be read, or a key or value is not of the schema.
    """
    merged: dict[str, Any] = read_yaml(DEFAULTS)
    for file in files:
        merged = merge(merged, read_yaml(file))
    for setting in settings:
        dotted, equals, value = setting.partition("=")
        if not equals or not all(dotted.split(".")):
            raise BadInput(f"--set {setting!r}: not of the form key.path=value")
        merged = merge(merged, nested(dotted, parse_yaml(value, f"--set {setting!r}")))
    return check_config(merged)


def check_config(values: Mapping[str, Any]) -> Config:
    """`values` as a Config.

    Raises:
        BadInput: a key or value is not of the schema; one line, with the dotted path.
    """
    return checked(Config, values)


def checked(model: type[_Model], values: Any) -> _Model:
    """`values` as a `model`, every key and type as it says.

    Raises:
        BadInput: a key or value is not of the schema; one line, with the dotted path.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise BadInput(_one_line(error, model)) from None


def batch_inputs(config: Config) -> dict[str, Any]:
    """All that determines the batches, flat, resolved, and nothing else.

    The order in which seasons are named says nothing, so they are sorted; the order of windows is
    the order of the columns, so it stays.
    """
    training = config.training
    return {
        "listmle_target": training.listmle_target,
        "rolling_windows": training.rolling_windows,
        "train_seasons": _sorted(training.train_seasons),
        "test_seasons": _sorted(training.test_seasons),
        "train_test_cutoff": training.train_test_cutoff and training.train_test_cutoff.isoformat(),
        "train_frac": training.train_frac,
        "max_list_dates": training.max_list_dates,
        "max_lists_oof": training.max_lists_oof,
        "max_final_batches": training.max_final_batches,
        "n_folds": training.n_folds,
        "roster_size": training.roster_size,
        "use_prior_season_baseline": training.use_prior_season_baseline,
        "prior_season_lookback_days": training.prior_season_lookback_days,
        "stat_dim": STATS_PER_WINDOW * len(training.rolling_windows) + STATS_BESIDES,
        "num_embeddings": config.model_a.num_embeddings,
        "seasons": {
            name: {"start": season.start.isoformat(), "end": season.end.isoformat()}
            for name, season in sorted(config.seasons.items())
        },
    }


def merge(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`: mappings are merged key by key, anything else is replaced."""
    merged = dict(below)
    for name, value in above.items():
        under = merged.get(name)
        both = isinstance(under, dict) and isinstance(value, Mapping)
        merged[name] = merge(under, value) if both else value
    return merged


def nested(dotted: str, value: Any) -> dict[str, Any]:
    """`a.b.c` and a value as `{a: {b: {c: value}}}`."""
    first, dot, rest = dotted.partition(".")
    return {first: nested(rest, value) if dot else value}


def read_yaml(path: str | Path, what: str = "config") -> dict[str, Any]:
    """The mapping in a YAML file; `what` the file is, for a refusal.

    Raises:
        BadInput: no such file, not YAML, a key twice, or not a mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{what} {str(path)!r} cannot be read: {_reason(error)}") from None
    values = parse_yaml(text, f"{what} {str(path)!r}")
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise BadInput(f"{what} {str(path)!r}: holds {values!r:.80}, not keys with values")
    return values


def parse_yaml(text: str, where: str) -> Any:
    """YAML text as plain values, `1e-4` a number.

    Raises:
        BadInput: not YAML, or a key twice; `where` says of what.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  # _Loader is a SafeLoader
    except yaml.YAMLError as error:
        raise BadInput(f"{where}: not readable as YAML: {_yaml_reason(error)}") from None


class _Loader(yaml.SafeLoader):
    """A SafeLoader that knows `1e-4` for a number, and refuses a key that is there twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [self.construct_object(name, deep=True) for name, _ in node.value]
        for position, name in enumerate(names):
            if name in names[:position]:
                mark = node.value[position][0].start_mark
                raise yaml.constructor.ConstructorError(None, None, f"{name!r} stands twice", mark)
        return super().construct_mapping(node, deep)


# YAML 1.2 needs neither the dot nor the sign of the exponent that PyYAML's 1.1 insists on.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def _refuse_overlapping_ranges(seasons: Mapping[str, Season]) -> None:
    in_order = sorted(seasons.items(), key=lambda item: item[1].start)
    for (name, season), (next_name, following) in itertools.pairwise(in_order):
        if following.start <= season.end:
            raise ValueError(
                f"seasons: {name!r} ends on {season.end}, after {next_name!r} starts on "
                f"{following.start}: part their dates"
            )


def _sorted(names: list[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)


def _one_line(error: ValidationError, model: type[BaseModel]) -> str:
    """The first of pydantic's complaints, in our form, and how many more there are.

    A key that is none comes first: where it is misspelt, another is missing for that.
    """
    complaints = error.errors(include_url=False)
    first = min(complaints, key=lambda complaint: complaint["type"] != "extra_forbidden")
    path = ".".join(str(step) for step in first["loc"] if step not in _UNION_STEPS)
    if first["type"] == "extra_forbidden":
        line = f"{path}: no such key{meant(str(first['loc'][-1]), first['loc'][:-1], model)}"
    elif first["type"] == "missing":
        remedy = "config/defaults.yaml names it" if model is Config else "write it"
        line = f"{path}: missing: {remedy}"
    elif first["type"] == "value_error":
        line = f"{path}: {first['ctx']['error']}" if path else str(first["ctx"]["error"])
    elif first["type"] in ("model_type", "dict_type"):
        line = f"{path}: {first['input']!r:.80} is not allowed: it holds keys, write {path}.KEY"
    elif first["type"] == "too_short":
        line = f"{path}: {first['input']!r:.80} is empty: name one at least"
    else:
        wanted = first["msg"].removeprefix("Input should be ")
        line = f"{path}: {first['input']!r:.80} is not allowed: it must be {wanted}"
    paths = {complaint["loc"] for complaint in complaints}
    return line if len(paths) == 1 else f"{line} ({len(paths) - 1} more wrong)"


def meant(name: str, at: tuple[int | str, ...] = (), model: type[BaseModel] = Config) -> str:
    """What a key that is none of those `at` a place may have meant, or else those it takes."""
    for step in at:
        model = Season if step == "seasons" else model.model_fields[str(step)].annotation  # type: ignore[assignment]
        if model is Season:
            break
    close = difflib.get_close_matches(name, model.model_fields, n=1)
    return f": did you mean {close[0]}?" if close else f": it takes {', '.join(model.model_fields)}"


def _yaml_reason(error: yaml.YAMLError) -> str:
    """What PyYAML found, and where, without its quotes of the text."""
    mark = getattr(error, "problem_mark", None)
    at = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{getattr(error, 'problem', None) or getattr(error, 'reason', error)}{at}"


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


# What pydantic adds to a path for the arms of a union.
_UNION_STEPS = ("literal[False]", "str")
