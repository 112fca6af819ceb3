"""Scored lists and epochs -> three pictures of a run.

Rules of this room: matplotlib, and nothing that it keeps for the whole process (no pyplot). A
figure says of which league it is, and draws what metrics.json holds, nothing else.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from model_a.baselines import BASELINES
from model_a.metrics import Range, spearman, whole_lists

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from model_a.scoring import Fitted

Lists = Sequence[Mapping[str, Any]]
SPAN_DAYS = 20  # of a point of `by_day`
FEWEST_LISTS = 4  # a point of fewer would be noise
LAST_DAY = 180  # later are only the few of the season that halted in March 2020
# Told apart by people who see red and green alike (Okabe and Ito 2008), and by their dashes.
STYLES = {
    "model": {"color": "#D55E00", "linewidth": 2.4, "zorder": 3, "marker": "o", "markersize": 4},
    "win_rates": {"color": "#0072B2", "linestyle": "-"},
    "prior_win_rates": {"color": "#999999", "linestyle": ":"},
    "margins": {"color": "#009E73", "linestyle": "--"},
    "shrunk_win_rates": {"color": "#000000", "linestyle": "-."},
}
DARKEST = 60  # per cent: the same shade is the same share in every panel
PNG = {"dpi": 130, "metadata": {"Software": None}}  # the same bytes for the same figures


def ranks(groups: Mapping[str, tuple[Lists, str]], label: str) -> bytes:
    """How often a team of each true place was given each place; PNG.

    `groups` are lists by what to call them, and the name of their scores. Lists of fewer teams than
    the most are left out, here and in `by_day`.
    """
    figure, panels = _panels(groups, f"Predicted place against the true one, {label} league", 4.6)
    for axes, (title, (lists, ranker)) in zip(panels, groups.items(), strict=True):
        whole = whole_lists(lists)
        teams = len(whole[0]["y"])
        counts = np.zeros((teams, teams))
        for one in whole:
            np.add.at(counts, (_places(one[ranker]), _places(one["y"])), 1)
        share = 100 * counts / len(whole)
        image = axes.imshow(share, cmap="Blues", vmin=0, vmax=DARKEST)
        axes.plot([0, teams - 1], [0, teams - 1], color="#D55E00", linewidth=1, alpha=0.6)
        ticks = [place - 1 for place in (1, 5, 10, 15) if place <= teams]
        axes.set_xticks(ticks, [str(tick + 1) for tick in ticks])
        axes.set_yticks(ticks, [str(tick + 1) for tick in ticks])
        axes.set(title=f"{title}, {len(whole)} lists", xlabel="true place in the conference")
    figure.colorbar(image, ax=panels, shrink=0.8, label="% of lists", extend="max")
    panels[0].set_ylabel("predicted place")
    return _png(figure)


def losses(fits: Sequence[Fitted], loss: str, label: str) -> bytes:
    """The loss of each epoch, a panel for what was trained on the same lists; PNG."""
    named = {fitted.name: fitted for fitted in fits}
    figure, panels = _panels(named, f"Loss per epoch ({loss}), {label} league", 2.9, sharey=True)
    for axes, fitted in zip(panels, fits, strict=True):
        for number, epochs in enumerate(fitted.epochs):
            at = [epoch["epoch"] + 1 for epoch in epochs]
            kinds = [("train_loss", "trained on", "#0072B2", "-")]
            if "watch_spearman" in epochs[0]:
                kinds.append(("watch_loss", "watched", "#D55E00", "--"))
            for name, said, color, dashes in kinds:
                axes.plot(
                    at,
                    [epoch[name] for epoch in epochs],
                    color=color,
                    linestyle=dashes,
                    marker="o" if len(at) == 1 else None,
                    alpha=0.8,
                    label=said if number == 0 else None,
                )
        axes.set(title=fitted.name, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.grid(alpha=0.25)
    panels[0].set_ylabel("mean loss of a list")
    panels[-1].legend(frameon=False, title="a line a seed" if len(fits[-1].epochs) > 1 else None)
    return _png(figure)


def by_day(
    groups: Mapping[str, tuple[Lists, str]], ranges: Mapping[str, Range], label: str
) -> bytes:
    """Mean Spearman by day of the season, the model's and the baselines'; PNG."""
    title = f"Spearman by day of the season, {label} league"
    figure, panels = _panels(groups, title, 5.2, sharey=True)
    for axes, (name, (every, ranker)) in zip(panels, groups.items(), strict=True):
        lists = whole_lists(every)
        day = np.array([_day(one, ranges) for one in lists])
        for column, said, style in [
            (ranker, "model", STYLES["model"]),
            *((column, said, STYLES[column]) for column, said in BASELINES.items()),
        ]:
            values = np.array([spearman(one[column], one["y"]) for one in lists])
            axes.plot(*_points(day, values), label=said, **style)
        late = int((day >= LAST_DAY).sum())
        left_out = f", {late} later ones not drawn" if late else ""
        axes.set(
            title=f"{name}, {len(lists)} lists{left_out}",
            xlabel=f"day of the season, means of {SPAN_DAYS} days",
            xlim=(0, LAST_DAY),
        )
        axes.grid(alpha=0.25)
    panels[0].set_ylabel("mean Spearman of a list")
    handles, named = panels[0].get_legend_handles_labels()
    figure.legend(handles, named, loc="outside lower center", ncols=3, frameon=False)
    return _png(figure)


def _points(day: np.ndarray, values: np.ndarray) -> tuple[list[float], list[float]]:
    """The middle of each span of days that has lists enough, and the mean of its values."""
    days, means = [], []
    for start in range(0, LAST_DAY, SPAN_DAYS):
        here = (day >= start) & (day < start + SPAN_DAYS)
        if here.sum() >= FEWEST_LISTS:
            days.append(start + SPAN_DAYS / 2)
            means.append(float(values[here].mean()))
    return days, means


def _day(one: Mapping[str, Any], ranges: Mapping[str, Range]) -> int:
    return (dt.date.fromisoformat(one["as_of_date"]) - ranges[one["season"]][0]).days


def _places(scores: Sequence[float]) -> np.ndarray:
    """Places from 0, best first; equal scores in the order of the list."""
    return np.argsort(np.argsort(-np.asarray(scores), kind="stable"))


def _panels(
    names: Mapping[str, Any], title: str, width: float, *, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(max(width * len(names), 5), 4.6), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(1, len(names), sharey=sharey, squeeze=False)[0]
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, list(panels)


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", **PNG)
    return file.getvalue()
