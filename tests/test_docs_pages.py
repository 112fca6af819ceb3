"""The generated pages: they are what the code says, and nothing goes unsaid."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import typer.main

from tensorcache import schema
from tensorcache.cli import app

REPO = Path(__file__).parents[1]
SCRIPT = REPO / "docs" / "generate.py"

specification = importlib.util.spec_from_file_location("generate", SCRIPT)
generate = importlib.util.module_from_spec(specification)
specification.loader.exec_module(generate)


def commands(group=None):
    for command in (group or typer.main.get_command(app)).commands.values():
        yield command
        if hasattr(command, "commands"):
            yield from commands(command)


def test_the_pages_are_current_whatever_the_terminal():
    env = {**os.environ, "PYTHONPATH": str(REPO), "COLUMNS": "40", "TERMINAL_WIDTH": "50"}
    checked = subprocess.run(
        [sys.executable, SCRIPT, "--check"], env=env, check=False, capture_output=True, text=True
    )

    assert (checked.returncode, checked.stderr) == (0, "")


def test_every_command_and_option_has_help():
    silent = [command.name for command in commands() if not command.help]
    silent += [
        f"{command.name} {parameter.name}"
        for command in commands()
        for parameter in command.params
        if not parameter.help
    ]

    assert silent == []


def test_every_visible_command_has_its_part_of_the_page():
    parts = [name for name, _ in generate.helps()]

    assert len(parts) == 1 + sum(not command.hidden for command in commands())
    assert "tensorcache db info" in parts
    assert "tensorcache gc" not in parts


def test_every_table_and_column_has_its_sentence():
    said = {name: list(sentences) for name, (_, sentences) in generate.TABLES.items()}

    assert said == {
        table.name: list(table.columns.keys()) for table in schema.metadata.sorted_tables
    }
