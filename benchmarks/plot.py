"""docs/performance.svg: how open and full grow with the number of batches."""

from __future__ import annotations

from statistics import median

import matplotlib as mpl
import matplotlib.pyplot as plt
from peers import OURS, RAM, TORCH
from ratios import ours_in, rows_of

COUNTS = ("100", "3000", "20000", "100000")
COLOURS = {
    OURS.name: "#0b6e4f",
    TORCH.name: "#c8553d",
    "safetensors load_file": "#3d5a80",
    "lmdb": "#8d6a9f",
}


def draw(results, path):
    """Two panels, both axes logarithmic; peers without a colour are grey."""
    mpl.rcParams |= {"svg.hashsalt": "tensorcache", "font.size": 9, "svg.fonttype": "none"}
    figure, panels = plt.subplots(1, 2, figsize=(9, 4.2), sharey=True, layout="constrained")
    for panel, step in zip(panels, ("open", "full"), strict=True):
        lines = {peer: line for peer in names(results) if (line := of_peer(results, peer, step))}
        for peer, line in lines.items():
            known = peer in COLOURS
            panel.plot(
                *zip(*line, strict=True),
                marker="o",
                markersize=3 if known else 0,
                linewidth=2.2 if peer == OURS.name else 1.4 if known else 0.7,
                color=COLOURS.get(peer, "#bbbbbb"),
                zorder=2 if known else 1,
                label=peer if known else None,
            )
        panel.set(xscale="log", yscale="log", xlabel="batches", title=step)
        panel.grid(visible=True, color="#eeeeee")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("milliseconds, fresh process")
    panels[1].plot([], [], color="#bbbbbb", linewidth=0.7, label="the other peers")
    panels[1].legend(frameon=False, loc="lower right")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def names(results):
    others = {row["peer"] for row in rows_of(results, what="load")}
    return [OURS.name, *sorted(others - {RAM.name})]


def of_peer(results, peer, step):
    """(batches, milliseconds) for each count that was measured."""
    line = []
    for count in COUNTS:
        if peer == OURS.name:
            seconds = ours_in(results, count, step)
        else:
            rows = rows_of(results, payload=count, peer=peer, what="load")
            seconds = [s for row in rows if "error" not in row for s in row["peer_seconds"][step]]
        if seconds:
            line.append((int(count), 1000 * median(seconds)))
    return line
