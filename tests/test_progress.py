"""Long work tells how far it has come: a bar at a terminal, lines of the log elsewhere."""

import errno
import io
import logging
import os
import pty
import subprocess
import sys

import pytest

from tensorcache import progress

WORK = """
import logging, sys, time
from tensorcache import progress
logging.basicConfig(level="INFO", format="%(message)s")
progress.PATIENCE_SECONDS = float(sys.argv[1])
with progress.progress("reading a [league]", 2000, sys.argv[2]) as advance:
    for _ in range(20):
        advance(100)
        time.sleep(0.02)
print("rich" in sys.modules)
"""


def at_a_terminal(*arguments):
    """What the work draws, and what it prints."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", WORK, *arguments],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    drawn = b""
    while True:
        try:
            data = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        drawn += data
    os.close(ours)
    printed = process.communicate()[0].decode()
    assert process.returncode == 0
    return drawn.decode(), printed


@pytest.mark.parametrize(("unit", "shown"), [("bytes", "2.0/2.0 kB"), ("rows", "2,000 rows")])
def test_a_bar_is_drawn_at_a_terminal(unit, shown):
    drawn, printed = at_a_terminal("0.05", unit)

    assert "reading a [league]" in drawn
    assert "━" in drawn
    assert shown in drawn
    assert printed == "True\n"


def test_nothing_is_drawn_of_short_work():
    assert at_a_terminal("30", "bytes") == ("", "False\n")


def test_elsewhere_it_is_few_lines_of_the_log():
    ran = subprocess.run(
        [sys.executable, "-c", WORK, "0.05", "rows"], capture_output=True, text=True, check=True
    )

    (line,) = ran.stderr.splitlines()
    assert line.startswith("reading a [league]: ")
    assert line.endswith(" of 2,000 rows")
    assert ran.stdout == "False\n"


class GoneTerminal(io.StringIO):
    """A window that was closed meanwhile: to write there fails."""

    def isatty(self):
        return True

    def write(self, _):
        raise OSError(errno.EIO, "Input/output error")


class Logger:
    """What programs put in the place of stderr."""

    def write(self, _): ...
    def flush(self): ...


def test_a_process_without_a_console_works_on(monkeypatch, caplog):
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)
    closed = open(os.devnull, "w")  # noqa: SIM115
    closed.close()
    for stream in (None, closed, Logger(), GoneTerminal()):
        monkeypatch.setattr(sys, "stderr", stream)
        with (
            caplog.at_level(logging.INFO, "tensorcache"),
            progress.progress("reading", None, "rows") as advance,
        ):
            advance(1234)

    assert caplog.messages == ["reading: 1,234 rows"] * 4
