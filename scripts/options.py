"""Options of the scripts: wrong use is one line, like all else that is wrong."""

from __future__ import annotations

import argparse
from typing import NoReturn


class Options(argparse.ArgumentParser):
    """As argparse has them, but for the usage that it prints before an error."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end with 2."""
        self.exit(2, f"error: {message}: --help says what there is\n")
