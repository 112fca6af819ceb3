"""What differs between keys and between entries, as JSON has it and as people read it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from tensorcache.cli import text
from tensorcache.cli.options import WrongUse
from tensorcache.explain import ABSENT, Change, Compared, Difference
from tensorcache.manifest import Part

_DIGITS = 8  # of a digest beside a size


def read_inputs(path: str) -> dict[str, Any]:
    """The mapping in a file: JSON, or YAML where its name ends so.

    Raises:
        WrongUse: it cannot be read, or holds something else.
    """
    try:
        with open(path, encoding="utf-8") as file:
            inputs = _yaml(file.read()) if path.endswith((".yaml", ".yml")) else json.load(file)
    except (OSError, ValueError) as error:
        raise WrongUse(f"--inputs {path!r} cannot be read: {error}") from error
    if not isinstance(inputs, dict):
        raise WrongUse(f"--inputs {path!r} holds {inputs!r:.40}, not names with values")
    return inputs


def _yaml(content: str) -> Any:
    try:
        import yaml  # only where it is installed, and only for files that need it
    except ModuleNotFoundError:
        raise ValueError("PyYAML is not installed: install it, or write JSON") from None
    try:
        return yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def described(differences: Sequence[Difference]) -> list[dict[str, Any]]:
    """Differences as JSON has them: without what a side lacks, or what is not known."""
    return [
        {
            "place": one.place,
            **{name: side for name in ("old", "new") if (side := getattr(one, name)) is not ABSENT},
            **({} if one.parts is None else {"parts": list(map(_described, one.parts))}),
        }
        for one in differences
    ]


def _described(change: Change) -> dict[str, Any]:
    sides = {"old": change.old, "new": change.new}
    return {"name": change.name, **{name: part and part._asdict() for name, part in sides.items()}}


def say(differences: Sequence[Difference], old: str, new: str) -> None:
    """Print a table of differences, a line for each part of a source or version."""
    text.table(("field", old, new), [row for one in differences for row in _rows(one)])


def _rows(one: Difference) -> Iterator[tuple[str, str, str]]:
    if one.parts:
        for change in one.parts:
            before, after = (_part(part, one.unit) for part in (change.old, change.new))
            yield f"{one.place}: {change.name}", before, after
        return
    before, after = (side if side is ABSENT else json.dumps(side) for side in (one.old, one.new))
    yield one.place, before, after


def _part(part: Part | None, unit: str) -> str:
    if part is None:
        return ABSENT
    return f"{part.size:,} {unit} ({part.digest[:_DIGITS]})" if unit else part.digest[:_DIGITS]


def say_contents(contents: Sequence[Compared], old: str, new: str) -> None:
    """Print a table of what two entries hold, equal or not."""
    rows = [
        (one.section, one.field, one.kind, one.old or "absent", one.new or "absent", _verdict(one))
        for one in contents
    ]
    text.table(("section", "field", "kind", old, new, "differing"), rows)


def _verdict(one: Compared) -> str:
    if one.equal:
        return "equal"
    return "differs" if one.first is None else f"{one.differing:,}, first {one.first:,}"
