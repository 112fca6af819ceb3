"""The pages run: the tour as one doctest, the README's example as it stands."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import tensorcache

REPO = Path(__file__).parents[1]


def test_the_tour_runs(tmp_path):
    names = {"directory": str(tmp_path / "cache"), "database": str(tmp_path / "league.sqlite")}
    tour = (REPO / "docs" / "tour.md").read_text()
    test = doctest.DocTestParser().get_doctest(tour, names, "tour.md", None, 0)
    said = []
    runner = doctest.DocTestRunner(optionflags=doctest.IGNORE_EXCEPTION_DETAIL, verbose=False)

    result = runner.run(test, out=said.append)

    assert result.attempted > 30
    assert not result.failed, "".join(said)
    assert tensorcache.open(names["directory"]).verify(deep=True) == []


def test_the_example_of_the_readme_runs(tmp_path):
    example = re.search(
        r"<!-- tested -->\n```python\n(.*?)```", (REPO / "README.md").read_text(), re.DOTALL
    )

    ran = subprocess.run(
        [sys.executable, "-c", example[1]],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("True 100 torch.Size([1, 15, 24])\n")
    assert "[10,30]" in ran.stdout
    with tensorcache.open(tmp_path / "data" / "cache", create=False) as cache:
        assert cache.verify(deep=True) == []


def test_links_between_pages_lead_somewhere():
    broken = [
        f"{page.relative_to(REPO)}: {target}"
        for page in (REPO / "README.md", REPO / "CONTRIBUTING.md", *(REPO / "docs").rglob("*.md"))
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
        if not (page.parent / target).exists()
    ]

    assert broken == []
