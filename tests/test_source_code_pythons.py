"""The normal form of real code is the same on every Python: all of this project, and asyncio."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from test_source_code import OTHERS, interpreter

from tensorcache.source import normal

REPO = Path(__file__).parents[1]
FOLDERS = [REPO / name for name in ("tensorcache", "scripts", "migrations", "benchmarks", "tests")]
FILES = [
    path
    for folder in (*FOLDERS, Path(asyncio.__file__).parent)
    for path in sorted(folder.rglob("*.py"))
]


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_real_code_has_one_normal_form_on_every_python(version):
    forms = [digests(python) for python in (interpreter(version), sys.executable)]

    assert forms[0] == forms[1]
    assert len(forms[0]) == len(FILES) > 150


def digests(python):
    """Of each file's normal form, as this Python sees it."""
    answer = subprocess.run(
        [python, "-c", OTHERS, normal.__file__, *map(str, FILES)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(answer.stdout)
