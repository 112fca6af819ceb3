"""The wheel: the package, its migrations and nothing else, at work where no checkout is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

REPO = Path(__file__).parents[1]

BUILD_AN_ENTRY = """
import sys
import tensorcache
import torch

assert "site-packages" in tensorcache.__file__, tensorcache.__file__
with tensorcache.open(sys.argv[1]) as cache:
    entry = cache.get_or_build(
        {"n": 3}, lambda: {"x": torch.arange(3)}, version="1", namespace="wheel.test"
    )
    assert entry.published, entry.why
    print(entry.key.digest)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from a copy, so that no leftover of an earlier build can slip in."""
    copy = tmp_path_factory.mktemp("copy")
    for name in ("tensorcache", "migrations"):
        shutil.copytree(REPO / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPO / name, copy)
    # What lies about in a checkout must stay out of the wheel.
    (copy / "migrations" / "versions" / "notes.txt").write_text("stray")
    (copy / "tensorcache" / "scratch.sqlite").write_text("stray")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", cwd=copy)
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def bare(wheel, tmp_path_factory):
    """An environment that has the wheel, and sees the dependencies of this one after itself."""
    home = tmp_path_factory.mktemp("bare") / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index"]
    run(*pip, "--no-deps", wheel, cwd=home)
    (site,) = home.glob("lib/python*/site-packages")
    # Downloads nothing. Its own site-packages come first, and a path that a .pth file adds has its
    # own .pth files ignored, so the editable install of the checkout is out of sight.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return home / "bin"


def run(*command, cwd):
    env = {name: text for name, text in os.environ.items() if not name.startswith("TENSORCACHE_")}
    env.pop("PYTHONPATH", None)
    done = subprocess.run(
        list(map(str, command)), check=False, cwd=cwd, env=env, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_the_package_and_its_migrations_and_nothing_else(wheel):
    sources = {
        *(path.relative_to(REPO).as_posix() for path in (REPO / "tensorcache").rglob("*.py")),
        *(
            f"tensorcache/{path.relative_to(REPO).as_posix()}"
            for path in (REPO / "migrations").rglob("*.py")
        ),
        "tensorcache/py.typed",
        "tensorcache/migrations/head.sql",
        "tensorcache/migrations/script.py.mako",
    }
    metadata = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    info = wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info/"

    names = set(zipfile.ZipFile(wheel).namelist()) - {info + "top_level.txt"}

    assert names == sources | {info + name for name in metadata}
    assert "tensorcache/migrations/env.py" in names
    assert any(name.startswith("tensorcache/migrations/versions/0001") for name in names)


def test_an_installed_wheel_opens_a_new_root_and_answers(bare, tmp_path):
    root = tmp_path / "cache"
    key = run(bare / "python", "-c", BUILD_AN_ENTRY, root, cwd=tmp_path).strip()

    def tensorcache(*words):
        return run(bare / "tensorcache", *words, "--cache", root, cwd=tmp_path)

    (listed,) = json.loads(tensorcache("ls", "--json"))
    (row,) = json.loads(tensorcache("sql", 'SELECT key, n FROM "wheel.test"', "--json"))

    assert listed["key"] == key
    assert row == {"key": key, "n": 3}
    assert key[:16] in tensorcache("ls")
    assert key in tensorcache("show", key[:8])
    assert "revision" in tensorcache("db", "info")
    tensorcache("vacuum", "--dry-run")
    tensorcache("verify")
