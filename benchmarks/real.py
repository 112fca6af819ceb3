"""The payload of script 3: a league, real where NBA_DATA_DIR is set and simulated elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys

import figures
from rounds import ENVIRONMENT

ROUNDS = 7


class League:
    """A database made by the scripts of this project, and what script 3 asks of it."""

    def __init__(self, folder):
        self.root = folder / "cache"
        self.database = folder / "league.sqlite"
        logs = os.environ.get("NBA_DATA_DIR")
        source = ["--from", logs] if logs else ["--simulate"]
        script("1_get_data.py", *source, "--to", folder / "raw")
        config = figures.SCRIPTS.parent / "config" / "defaults.yaml"
        made = ("--raw", folder / "raw", "--db", self.database, "--config", config)
        script("2_build_db.py", *made)
        sys.path.insert(0, str(figures.SCRIPTS))
        from model_a.config import batch_inputs, load_config  # found beside script 3

        self.inputs = batch_inputs(load_config([], [f"paths.db={self.database}"]))

    def payload(self):
        from model_a.batches import build_payload  # found beside script 3

        return build_payload(str(self.database), self.inputs)

    def hits(self, payload):
        """Script 3's own call, in fresh processes; and `tensorcache ls` on what it left."""
        from model_a.cached import BUILDER, NAMESPACE  # found beside script 3

        asked = str(self.database), self.inputs, NAMESPACE, BUILDER
        figures.publish(self.root, *asked, payload)
        return {
            "label": payload["split_info"]["label"],
            "database_bytes": self.database.stat().st_size,
            "hits": figures.hits(self.root, *asked, ROUNDS),
            "ls": figures.listing(self.root, ROUNDS),
        }


def script(name, *words):
    command = [sys.executable, figures.SCRIPTS / name, *map(str, words)]
    subprocess.run(command, check=True, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
