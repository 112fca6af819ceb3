"""The command line as a process: what it loads, how it ends, what it asks on a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
START = "from tensorcache.cli import main; main()"
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT"


@pytest.fixture
def keys(cache):
    return [
        cache.get_or_build(
            {"n": n}, lambda n=n: {"n": n}, version="1", namespace="my.numbers"
        ).key.digest
        for n in (1, 2)
    ]


def spawn(root, *words, code=START, redirect="", stdin=None, stdout=None, stderr=None, **variables):
    env = {**os.environ, "PYTHONPATH": str(REPO), "TENSORCACHE_DIR": root, **variables}
    env.pop("PYTHONUNBUFFERED", None)  # which would hide what a full disk does
    command = ["sh", "-c", f'exec "$@" {redirect}', "sh", sys.executable, "-c", code, *words]
    return subprocess.Popen(command, env=env, text=True, stdin=stdin, stdout=stdout, stderr=stderr)


def test_commands_do_without_torch_pandas_and_numpy(keys, root):
    code = """
import sys
from tensorcache.cli import run
for words in (["--version"], ["dir"], ["--help"]):
    assert run(words) == 0, words
assert not {"sqlalchemy", "rich"} & set(sys.modules), "to print a word"
words = "ls, show KEY, explain KEY, vacuum --dry-run, verify --deep --repair, reindex, pin KEY"
words += ", db info, rm KEY --yes"
for line in words.replace("KEY", sys.argv[1]).split(", "):
    assert run(line.split()) == 0, line
assert run(["sql", "SELECT 1"]) == 0
print("loaded:", sorted({"torch", "pandas", "numpy", "rich"} & set(sys.modules)))
"""
    process = spawn(root, keys[0], code=code, stdout=subprocess.PIPE)

    assert process.communicate()[0].endswith("loaded: []\n")


def test_a_reader_that_has_enough_ends_a_command_in_silence(cache, root):
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = spawn(root, "sql", f"{ENDLESS} i FROM n LIMIT 90000", **piped)
    process.stdout.readline()
    process.stdout.close()

    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait()


def test_closed_streams_end_in_no_traceback_and_harm_nothing(cache, keys, root):
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    asked = spawn(root, "rm", keys[0], redirect="<&-", **piped)
    listed = spawn(root, "ls", redirect="<&- >&- 2>&-", **piped)

    assert "--yes" in asked.communicate()[1]
    assert listed.communicate() == ("", "")
    assert (asked.returncode, listed.returncode) == (2, 0)
    assert len(cache.entries()) == 2


def test_a_full_disk_behind_stdout_is_3_and_one_line(cache, root, tmp_path):
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); "
    with open(tmp_path / "out", "w") as out:
        process = spawn(root, "dir", code=full + START, stdout=out, stderr=subprocess.PIPE)

    assert process.communicate()[1] == "tensorcache: [Errno 27] File too large\n"
    assert process.returncode == 3


def test_an_interrupt_ends_a_command_with_130(cache, root):
    code = START.replace("main()", "print('up', flush=True); main()")
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = spawn(root, "sql", f"{ENDLESS} max(i) FROM n", code=code, **piped)
    process.stdout.readline()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(2)

    assert process.communicate() == ("", "")
    assert process.returncode == 130


def test_a_terminal_of_another_language_breaks_nothing(cache, root):
    env = {"PYTHONIOENCODING": "ascii", "TERM": "dumb", "LC_ALL": "C"}
    process = spawn(root, "sql", "SELECT 'é' AS a", stdout=subprocess.PIPE, **env)

    assert process.communicate()[0] == "a\n\\xe9\n"


def test_on_a_terminal_it_asks_and_shows_keys_whole(keys, cache, root):
    asks = ["vacuum", "--unused-for", "0s", "--grace", "0s"]
    shown = on_a_terminal(root, *asks, say="n\n")

    assert "[y/N]" in shown
    assert all(key[:16] in shown for key in keys)
    assert len(cache.entries()) == 2

    on_a_terminal(root, "clear", say="y\n")
    assert cache.entries().empty


def on_a_terminal(root, *words, say):
    ours, theirs = os.openpty()
    process = spawn(root, *words, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, say.encode())  # it waits there until it is asked for
    shown = b""
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # the terminal's last user has gone
            break
    os.close(ours)
    assert process.wait() == 0, shown
    return shown.decode()
