"""The version of code: what counts, where it is found, and that nothing is imported for it."""

import functools
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap

import pytest

from tensorcache import source
from tensorcache.errors import SourceMissing, UnkeyableValue
from tensorcache.source import code_version, normal

HERE = os.path.abspath(__file__)
# Children find the package where this process found it, installed or not.
FOUND = {**os.environ, "PYTHONPATH": os.path.abspath(f"{os.path.dirname(normal.__file__)}/../..")}

BUILDER = '''
"""What this module is."""
import math  # of course

WINDOWS = (10, 30)
RATE = 0.1
NAME = 'l\\u00e4ge'


class Builder:
    """A builder."""

    def build(self, window: int = 10, *, scale=1e-3, **rest) -> float:
        """Build."""
        total = [x * scale for x in range(window) if x]
        return f"{sum(total):>{window}.2f}" if rest else math.fsum(total)
'''


def form(source):
    return normal.normal_form(source.encode())


# --- the normal form ---


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # of course", ""),
        ('"""What this module is."""', ""),
        ('"""Build."""', '"""Build something else."""'),
        ("(10, 30)", "(\n    10,\n    30,\n)"),
        ("'l\\u00e4ge'", 'u"l\\xe4ge"'),
        ("RATE = 0.1", "RATE = .10"),
        ("1e-3", "0.001"),
        ("\n\n\n", "\n"),
        ("window: int = 10", "window : int=0xA"),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(old, new):
    assert old in BUILDER

    assert form(BUILDER.replace(old, new)) == form(BUILDER)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(10, 30)", "(10, 31)"),
        ("(10, 30)", "[10, 30]"),
        ("(10, 30)", "(10, True)"),
        ("RATE = 0.1", "RATE = 1"),
        ("RATE = 0.1", "RATE = None"),
        ("window: int = 10", "window: int = 11"),
        ("window: int = 10", "window: int"),
        ("int = 10, *, scale", "int = 10, scale"),
        ("**rest", "rest=()"),
        ("x * scale", "x ** scale"),
        ("if x]", "if not x]"),
        (":>{window}.2f", ":>{window}.3f"),
        ("total", "totals"),
        ("self", "this"),
        ("class Builder:", "class Builder(dict):"),
        ("    def build", "    @property\n    def build"),
        ("    def build", "    async def build"),
        ("import math ", "import math as math "),
        ("'l\\u00e4ge'", "b'lage'"),
    ],
)
def test_whatever_else_changes_counts(old, new):
    assert old in BUILDER

    assert form(BUILDER.replace(old, new)) != form(BUILDER)


def test_normal_form_is_frozen():
    """Scheme code-2: whoever changes this line needs a new scheme."""
    assert form('"""doc"""\ndef f(a, b=None): return [a, -1.5, *b]  # x') == (
        "(Module body [ (FunctionDef name str 'f' args (arguments args [ (arg arg str 'a' ) "
        "(arg arg str 'b' ) ] defaults [ (Constant value NoneType None ) ] ) body [ "
        "(Return value (List elts [ (Name id str 'a' ) (UnaryOp op (USub ) operand "
        "(Constant value float 1.5 ) ) (Starred value (Name id str 'b' ) ) ] ) ) ] ) ] )"
    )
    assert hashlib.sha256(form(BUILDER).encode()).hexdigest().startswith("f8b5a0d26512657b")


def test_deep_and_long_code_has_a_normal_form():
    assert form("x = " + " + ".join(["1"] * 900))
    assert form("x = 0x" + "f" * 10_000)


OTHERS = """
import hashlib, importlib.util, json, sys
spec = importlib.util.spec_from_file_location("normal", sys.argv[1])
normal = importlib.util.module_from_spec(spec)
spec.loader.exec_module(normal)
forms = []
for path in sys.argv[2:]:
    with open(path, "rb") as file:
        tree = normal.parse(file.read())
    said = normal.form_of(tree) + repr((normal.imports_of(tree), normal.exports_of(tree)))
    forms.append(hashlib.sha256(said.encode()).hexdigest())
print(json.dumps(forms))
"""


def interpreter(version):
    name = f"python{version}"
    pyenv = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    found = [shutil.which(name), *glob.glob(f"{pyenv}/versions/{version}.*/bin/{name}")]
    for path in filter(None, found):
        if subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return path
    return pytest.skip(f"no {name} here")


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_normal_form_is_the_same_on_every_python(version, tmp_path):
    (tmp_path / "builder.py").write_text(BUILDER)
    (tmp_path / "strings.py").write_text(
        textwrap.dedent(r"""
        a = f"{x!r:{w}.{p}}" f"{y=}" "z" f""
        b = rf"\d{x:a{{b}}c}" + '\d' + f"{{{x}}}"
        c = 'unprintable in some Unicode tables: \u0897 \U0001e4d0'
        match a:
            case {"k": [1, *_], **r} | None: pass
            case P(x=1) as q if q: pass
        try: pass
        except* (A, B): pass
        with (open(a) as f, open(b)): g: int = lambda *a, k=None, **z: (yield)
        """)
    )
    (tmp_path / "written.py").write_text('c = "ࢗ \U0001e4d0"')
    modules = [*glob.glob(f"{os.path.dirname(normal.__file__)}/*.py"), HERE, json.__file__]
    paths = [*map(str, sorted(tmp_path.glob("*.py"))), *modules]

    answer = subprocess.run(
        [interpreter(version), "-c", OTHERS, normal.__file__, *paths],
        capture_output=True,
        text=True,
        check=True,
    )

    ours = subprocess.run(
        [sys.executable, "-c", OTHERS, normal.__file__, *paths],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(answer.stdout) == json.loads(ours.stdout)
    assert len(set(json.loads(ours.stdout))) == len(paths)


# --- versions ---


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A package that nobody may import, on sys.path."""
    package = tmp_path / "league_x"
    (package / "parts" / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    (package / "lists.py").write_text("A = 1")
    (package / "parts" / "roster.py").write_text("B = 1")
    (package / "parts" / "inner" / "deep.py").write_text("C = 1")
    monkeypatch.syspath_prepend(tmp_path)
    return package


def version_of(*things, memory=None):
    return source.version_of(code_version(*things), {} if memory is None else memory).text


def test_version_by_hand_says_so():
    assert source.version_of("3", {}).text == "hand:3"


@pytest.mark.parametrize("bad", [3, None, "", "  ", b"3", source.version_of])
def test_what_is_no_version_is_refused_with_a_remedy(bad):
    with pytest.raises(UnkeyableValue, match=r"^version: .*: pass (a str|version=|code_version)"):
        source.version_of(bad, {})


def test_named_modules_are_found_and_not_imported(project):
    before = set(sys.modules)

    lists = version_of("league_x.lists")
    assert re.fullmatch("code-2:blake3:[0-9a-f]{64}", lists)
    assert version_of("league_x.parts.inner.deep") != lists
    assert not {name for name in set(sys.modules) - before if name.startswith("league_x")}
    (project / "lists.py").write_text("A = 1  # the same")
    assert version_of("league_x.lists") == lists
    (project / "lists.py").write_text("A = 2")
    assert version_of("league_x.lists") != lists


@pytest.mark.parametrize(
    "path", ["__init__.py", "lists.py", "parts/roster.py", "parts/inner/deep.py", "new.py"]
)
def test_package_is_every_module_below_it(project, path):
    before = version_of("league_x")
    (project / ".ipynb_checkpoints").mkdir()
    (project / ".ipynb_checkpoints" / "lists.py").write_text("not python")
    (project / "notes.txt").write_text("not python")
    assert version_of("league_x") == before

    (project / path).write_text("Z = 1")

    assert version_of("league_x") != before


def test_order_and_repetition_do_not_count_but_names_do(project):
    both = version_of("league_x.lists", "league_x.parts.roster")

    assert version_of("league_x.parts.roster", "league_x.lists", "league_x.lists") == both
    (project / "lists.py").rename(project / "lists_b.py")
    assert version_of("league_x.lists_b", "league_x.parts.roster") != both


def decorated(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)

    return wrapper


class Builds:
    def __call__(self):
        return None

    @classmethod
    def made(cls):
        return cls()


def test_functions_and_classes_stand_for_their_module():
    module = version_of(sys.modules[__name__])

    for thing in [
        version_of,
        lambda: None,
        Builds,
        Builds(),
        Builds.__call__,
        Builds().__call__,
        Builds.made,
        functools.partial(version_of, 1),
        decorated(version_of),
        functools.lru_cache(version_of),
        functools.partial(decorated(functools.partial(version_of))),
        __name__,
    ]:
        assert version_of(thing) == module
    assert version_of(functools.lru_cache(json.dumps)) == version_of(json.loads)
    assert version_of(decorated(json.dumps)) == version_of(json.dumps, decorated)


def test_description_touches_no_file(project):
    described = code_version("league_x.not_written_yet")
    (project / "not_written_yet.py").write_text("D = 1")

    assert source.version_of(described, {}).text


@pytest.mark.parametrize("thing", [len, "sys", dict, sys, eval("lambda: 1"), "zlib", "x" * 0])
def test_what_has_no_source_is_refused_with_a_remedy(thing):
    with pytest.raises(UnkeyableValue) as caught:
        version_of(thing)

    remedies = "pass a version by hand, version='1'", "write it as in an import"
    assert str(caught.value).startswith("version: ")
    assert str(caught.value).endswith(remedies[0]) or remedies[1] in str(caught.value)


def test_wrong_things_and_names_are_refused():
    for things, words in [
        ((), "code_version() of nothing"),
        ((7,), "version: 7 is no code: pass functions, classes, modules"),
        (("scripts/train.py",), "is no module's name: write it as in an import"),
    ]:
        with pytest.raises(UnkeyableValue, match=re.escape(words)):
            code_version(*things)
    with pytest.raises(SourceMissing, match=r"no module 'json\.nothing' is on sys\.path"):
        version_of("json.nothing")
    with pytest.raises(SourceMissing, match=r"no module 'no_x\.lists' .* called 'no_x'"):
        version_of("no_x.lists")


def test_code_that_does_not_parse_is_refused_in_one_line_where_it_was_named(project):
    (project / "lists.py").write_text("A = 1\ndef f(:\n")

    with pytest.raises(UnkeyableValue) as caught:
        version_of("league_x", "league_x.lists")

    assert str(caught.value).startswith(f"version: {project / 'lists.py'}:2: not Python that")
    assert "\n" not in str(caught.value)


def test_code_that_does_not_parse_counts_byte_by_byte_where_it_is_one_of_a_package(project):
    versions = [version_of("league_x")]
    for text in ("A = (\n", "A = (  # new\n", "A = '\0'", "# coding: ascii\nA = 'ä'", "A = 1"):
        (project / "lists.py").write_text(text)
        versions.append(version_of("league_x"))

    assert len(set(versions)) == 5
    assert versions[0] == versions[-1]


SCRIPT = """
import sys
from multiprocessing import get_context
from tensorcache.source import code_version, version_of

def build():
    return version_of(code_version(build), {}).text

if __name__ == "__main__":
    with get_context("spawn").Pool(1) as pool:
        print(build(), pool.apply(build))
"""


def test_script_has_one_version_wherever_it_lies_and_in_spawned_children(tmp_path):
    answers = []
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text(SCRIPT)
        answer = subprocess.run(
            [sys.executable, name],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env=FOUND,
        )
        answers += answer.stdout.split()

    assert len(answers) == 4
    assert len(set(answers)) == 1


def test_code_typed_at_a_prompt_is_refused():
    answer = subprocess.run(
        [
            sys.executable,
            "-c",
            "from tensorcache.source import code_version\ncode_version(lambda: 1)",
        ],
        capture_output=True,
        text=True,
        check=False,
        env=FOUND,
    )

    assert "has no source file: pass a version by hand, version='1'" in answer.stderr
