"""Edits of code, each a hit or a miss: real files, and a process of its own for every ask.

The table is the promise. A needless miss is one where the result could not have differed; those
that are left are marked so, and listed in the tour.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import pytest
from processes import python

import tensorcache

BUILD = '''"""Builds numbers."""
from work.scale import scaled  # a helper

RATE = 2


def build(count=3):
    """A payload."""
    total = [scaled(i) * RATE for i in range(count)]
    return {"total": total}
'''
SCALE = """from typing import TYPE_CHECKING
from work.deep.factor import FACTOR

if TYPE_CHECKING:
    from work.kinds import A

def scaled(x):
    from work.late import B
    return x * FACTOR * B
"""
FILES = {
    "work/__init__.py": "",
    "work/build.py": BUILD,
    "work/scale.py": SCALE,
    "work/deep/factor.py": "FACTOR = 5\n",  # a namespace package, two imports away
    "work/kinds.py": "A = 1\n",
    "work/late.py": "B = 1\n",
    "work/train.py": "def epochs():\n    return 10\n",
    "site-packages/lib_x/__init__.py": "VALUE = 1\n",
    "site-packages/lib_x-1.0.dist-info/METADATA": "Name: lib-x\nVersion: 1.0\n",
}
BUILT = """
import sys
root, project, *versions = sys.argv[1:]
sys.path[:0] = [project, project + "/site-packages"]
import tensorcache
from work.build import build
with tensorcache.open(root) as cache:
    for version in versions:
        entry = cache.get_or_build({}, build, version=eval(version), namespace="t.code")
        print(entry.hit, entry.published, *entry["total"])
"""
ASK = """
import sys
root, project, version = sys.argv[1:]
sys.path[:0] = [project, project + "/site-packages"]
import tensorcache
with tensorcache.open(root) as cache:
    key = cache.key({}, version=eval(version), namespace="t.code")
    print("hit" if key in cache else "miss")
assert not [name for name in sys.modules if name.startswith(("work", "lib_x", "torch"))]
"""
NAMED = "tensorcache.code_version('work.build')"
DEPENDING = "tensorcache.code_version('work.build', depends_on=['lib-x'])"


class Edit(NamedTuple):
    """What is done to a file, by what version the build goes, and what must come of it."""

    path: str
    old: str
    new: str
    expected: str
    version: str = NAMED


SCENARIOS = {
    "saved as it was": Edit("work/build.py", "RATE", "RATE", "hit"),
    "comment": Edit("work/build.py", "# a helper", "# helps", "hit"),
    "docstring": Edit("work/build.py", "A payload.", "The payload.", "hit"),
    "docstring of the module": Edit("work/build.py", '"""Builds numbers."""\n', "", "hit"),
    "formatting": Edit("work/build.py", "count=3", "\n    count = 3,\n", "hit"),
    "line numbers": Edit("work/build.py", "RATE = 2", "\n\n\nRATE = 2", "hit"),
    "renamed local: needless": Edit("work/build.py", "total = [", "sums = total = [", "miss"),
    "annotation: needless": Edit("work/build.py", "count=3", "count: int = 3", "miss"),
    "changed constant": Edit("work/build.py", "RATE = 2", "RATE = 3", "miss"),
    "changed default": Edit("work/build.py", "count=3", "count=4", "miss"),
    "type of a constant": Edit("work/build.py", "RATE = 2", "RATE = 2.0", "miss"),
    "helper in another module": Edit("work/scale.py", "x * FACTOR", "x + FACTOR", "miss"),
    "comment of a helper": Edit("work/scale.py", "* FACTOR * B", "* FACTOR * B  # so", "hit"),
    "helper of a helper": Edit("work/deep/factor.py", "5", "6", "miss"),
    "package on the way": Edit("work/__init__.py", "", "import math\n", "miss"),
    "module not imported": Edit("work/train.py", "10", "20", "hit"),
    "function not called: needless": Edit(
        "work/scale.py", "\ndef s", "def t(): pass\ndef s", "miss"
    ),
    "new module": Edit("work/new.py", "", "x = 1\n", "hit"),
    "module that shadows": Edit("work/deep/__init__.py", "", "", "miss"),
    "package that shadows": Edit("work/scale/__init__.py", "", "def scaled(x): return 7\n", "miss"),
    "module imported for typing only": Edit("work/kinds.py", "A = 1", "A = 2", "hit"),
    "module imported in a function": Edit("work/late.py", "B = 1", "B = 2", "miss"),
    "library, not named": Edit("site-packages/lib_x/__init__.py", "1", "2", "hit"),
    "library version, not named": Edit(
        "site-packages/lib_x-1.0.dist-info/METADATA", "1.0", "2.0", "hit"
    ),
    "library version, named": Edit(
        "site-packages/lib_x-1.0.dist-info/METADATA", "1.0", "2.0", "miss", DEPENDING
    ),
    "library, its version the same": Edit(
        "site-packages/lib_x/__init__.py", "1", "2", "hit", DEPENDING
    ),
    "whole package named": Edit(
        "work/train.py", "10", "20", "miss", "tensorcache.code_version('work')"
    ),
    "by hand": Edit("work/build.py", "RATE = 2", "RATE = 3", "hit", "'1'"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A cache that has what the project builds, under every version that is asked for."""
    root, project = tmp_path_factory.mktemp("cache"), tmp_path_factory.mktemp("built")
    write(project)
    versions = sorted({change.version for change in SCENARIOS.values()})
    assert python(BUILT, root, project, *versions) == "False True 0 10 20\n" * len(versions)
    yield root
    with tensorcache.open(root) as cache:
        assert cache.verify(deep=True) == []


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    """A copy for each scenario, all old enough that what is learnt of them is remembered."""
    folders = {name: tmp_path_factory.mktemp("project") for name in SCENARIOS}
    for folder in folders.values():
        write(folder)
    time.sleep(2.1)
    return folders


def write(folder):
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize("name", SCENARIOS)
def test_an_edit_is_a_hit_or_a_miss(root, projects, name):
    folder, change = projects[name], SCENARIOS[name]
    assert python(ASK, root, folder, change.version) == "hit\n"  # another copy is the same code
    path = folder / change.path
    before = path.read_text() if path.exists() else ""
    assert change.old in before
    path.parent.mkdir(exist_ok=True)
    path.write_text(before.replace(change.old, change.new, 1) if change.old else change.new)

    assert python(ASK, root, folder, change.version) == f"{change.expected}\n"
