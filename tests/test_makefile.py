"""`make venv`, on machines that are not right: one clear line, and nothing half done is kept.

The real Makefile and script run in a copy of the clone, with a PATH that holds only what a test
puts there. Pythons are shims before the Python that runs these tests; only `-m venv`, `-m pip` and
the import of what was installed are played, for a real install takes half a minute and a network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
TOOLS = "make sh sed awk df cksum cat rm mkdir cp tail env kill".split()

# A Python that works. Every call of pip is a line of `pip.log`, in the clone.
WORKING = f"""#!/bin/sh
case "$1 $2" in
"-m venv") [ -e "$3/bin" ] || {{ mkdir -p "$3/bin" && cp "$0" "$3/bin/python"; }} ;;
"-m pip") echo "$@" >>pip.log ;;
"-c "*torch*) ;;
*) exec "{sys.executable}" "$@" ;;
esac
"""
# A Python whose own account of itself is changed by a line of code that runs first.
CHANGED = f"""#!/bin/sh
exec "{sys.executable}" -c 'import sys; {{}}; exec(sys.argv[1])' "$2"
"""
OLD = CHANGED.format("sys.version_info = (3, 9, 2)")
WITHOUT_VENV = CHANGED.format('sys.modules["ensurepip"] = None')
BROKEN = "#!/bin/sh\necho 'shim: command not found' >&2\nexit 127\n"


class Clone:
    """A copy of the clone, and a PATH of its own."""

    def __init__(self, home, path):
        self.home, self.path = home, path
        (home / ".ci").mkdir(parents=True)
        path.mkdir()
        shutil.copy(REPO / ".ci" / "venv.sh", home / ".ci")
        for name in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy(REPO / name, home)
        for tool in TOOLS:
            (path / tool).symlink_to(shutil.which(tool))

    def has(self, **commands):
        """Put commands on the PATH, by name (`python3_11` is python3.11)."""
        for name, text in commands.items():
            command = self.path / name.replace("_", ".")
            command.unlink(missing_ok=True)
            command.write_text(text)
            command.chmod(0o755)

    def make(self, *words):
        return self.run("make", "--no-print-directory", "venv", *words)

    def run(self, *command):
        return subprocess.run(
            command,
            check=False,
            cwd=self.home,
            env={"PATH": str(self.path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def refusal(self, *words):
        """The one line that is said when .venv cannot be made (make adds its own)."""
        done = self.make(*words)
        ours = [line for line in done.stderr.splitlines() if not line.startswith("make:")]

        assert done.returncode == 2
        assert len(ours) == 1
        assert not self.stamp.exists()
        return ours[0]

    @property
    def stamp(self):
        return self.home / ".venv" / "stamp"

    def installs(self):
        """What pip was asked for since the last look."""
        log = self.home / "pip.log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines


@pytest.fixture
def clone(tmp_path):
    return Clone(tmp_path / "a clone's path", tmp_path / "bin")


def test_torch_is_installed_first_and_all_of_it_under_the_constraints(clone):
    clone.has(python3=WORKING)

    done = clone.make()

    first, second = clone.installs()
    assert done.returncode == 0, done.stderr
    assert first.endswith(" torch setuptools")
    assert second.endswith(" --no-build-isolation --editable .[dev]")
    assert all("-c constraints.txt" in line for line in (first, second))


def test_a_right_venv_is_left_alone(clone):
    clone.has(python3=WORKING)
    clone.make()
    clone.installs()

    done = clone.make()

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert clone.installs() == []


def test_an_extra_is_installed_once_and_again_when_what_it_needs_changes(clone):
    clone.has(python3=WORKING)
    clone.make()
    clone.installs()

    said = [clone.run("sh", ".ci/venv.sh", "bench").stderr for _ in range(2)]

    assert said == ["venv: installing what bench needs\n", ""]
    [line] = clone.installs()
    assert line.endswith(" --no-build-isolation --editable .[bench]")
    assert "-c constraints.txt" in line

    (clone.home / "constraints.txt").write_text("another==1\n")
    clone.run("sh", ".ci/venv.sh", "bench")

    assert [line.rpartition(" ")[2] for line in clone.installs()][-2:] == [".[dev]", ".[bench]"]


def test_pip_options_reach_every_install(clone):
    clone.has(python3=WORKING)

    clone.make("PIP_OPTIONS=--proxy here --no-cache-dir")

    assert ["--proxy here --no-cache-dir" in line for line in clone.installs()] == [True, True]


def test_a_venv_keeps_its_python_until_another_is_asked_for(clone):
    other = WORKING.replace("\n*)", '\n"-c import"*) echo other ;;\n*)')
    clone.has(python3_12=WORKING)
    clone.make()
    clone.has(python3_11=other)
    (clone.home / "constraints.txt").write_text("another==1\n")

    assert "bringing .venv up to date" in clone.make().stderr
    assert clone.make().stderr == ""
    assert "making .venv with python3.11:" in clone.make("PYTHON=python3.11").stderr


def test_a_moved_clone_is_installed_again_and_keeps_its_packages(clone, tmp_path):
    clone.has(python3=WORKING)
    clone.make()
    clone.installs()
    (clone.home / ".venv" / "package").touch()
    clone.home = clone.home.rename(tmp_path / "elsewhere")

    done = clone.make()

    assert "bringing .venv up to date" in done.stderr
    assert clone.installs()[-1].endswith(".[dev]")
    assert (clone.home / ".venv" / "package").exists()
    assert str(tmp_path / "elsewhere") in clone.stamp.read_text()


@pytest.mark.parametrize("name", ["constraints.txt", "pyproject.toml"])
def test_another_pin_or_dependency_is_installed(clone, name):
    clone.has(python3=WORKING)
    clone.make()
    clone.installs()
    with open(clone.home / name, "a") as file:
        file.write("# another\n")

    clone.make()

    assert len(clone.installs()) == 2


def test_a_venv_whose_python_is_gone_is_made_anew(clone):
    clone.has(python3=WORKING)
    clone.make()
    (clone.home / ".venv" / "package").touch()
    (clone.home / ".venv" / "bin" / "python").write_text(BROKEN)

    done = clone.make()

    assert done.returncode == 0
    assert not (clone.home / ".venv" / "package").exists()


def test_half_a_venv_is_made_anew(clone):
    clone.has(python3=WORKING)
    (clone.home / ".venv" / "bin").mkdir(parents=True)
    (clone.home / ".venv" / "half").touch()

    clone.make()

    assert not (clone.home / ".venv" / "half").exists()
    assert clone.stamp.exists()


def test_ctrl_c_in_the_install_leaves_no_stamp(clone):
    clone.has(python3=WORKING.replace("echo", "kill -INT $PPID; exit 130; echo"))

    done = clone.make()

    assert "interrupted: .venv is not finished, the next make begins anew" in done.stderr
    assert done.returncode != 0
    assert not clone.stamp.exists()


def test_a_failed_install_leaves_no_stamp(clone):
    clone.has(python3=WORKING.replace("echo", "exit 1; echo"))

    done = clone.make()

    assert "pip failed, its reason is above; the next make begins anew" in done.stderr
    assert done.returncode == 2
    assert not clone.stamp.exists()


def test_older_pythons_and_broken_shims_are_passed_over(clone):
    clone.has(python3_11=BROKEN, python3_12=WITHOUT_VENV, python3=OLD, python=WORKING)

    done = clone.make()

    assert done.returncode == 0
    assert "making .venv with python:" in done.stderr


def test_an_older_python_is_named_with_its_version(clone):
    clone.has(python3=OLD)

    assert "python3 is 3.9.2; name one with PYTHON=" in clone.refusal()


def test_a_broken_shim_is_named(clone):
    clone.has(python3_11=BROKEN, python3=OLD)

    assert "python3.11 does not run; python3 is 3.9.2;" in clone.refusal()


def test_no_python_at_all(clone):
    assert "none of python3.11 " in clone.refusal()


def test_a_python_without_the_venv_module_names_the_package(clone):
    version = "{}.{}".format(*sys.version_info)
    clone.has(python3=WITHOUT_VENV)

    assert f"python3 has no venv module (Debian, Ubuntu: apt install python{version}-venv)" in (
        clone.refusal()
    )


def test_the_python_that_is_asked_for_is_used_or_refused(clone, tmp_path):
    clone.has(python3_11=WORKING)
    asked = tmp_path / "my python"
    asked.write_text(OLD)
    asked.chmod(0o755)

    assert f"{asked} is 3.9.2;" in clone.refusal(f"PYTHON={asked}")
    asked.write_text(WORKING)
    assert f"making .venv with {asked}:" in clone.make(f"PYTHON={asked}").stderr


@pytest.mark.parametrize("filesystem", ["/dev/sda1", "map auto home"])
def test_too_little_disk_is_said_before_anything_is_installed(clone, filesystem):
    clone.has(
        python3=WORKING,
        df=f"""#!/bin/sh
echo 'Filesystem 1024-blocks Used Available Capacity Mounted on'
echo '{filesystem}   41943040 39846912 2097152  95% /a clone'
""",
    )

    said = clone.refusal()

    assert "2048 MiB are free here, 3072 are needed" in said
    assert clone.installs() == []


def test_a_df_that_says_nothing_stops_nobody(clone):
    clone.has(python3=WORKING, df="#!/bin/sh\nexit 1\n")

    assert clone.make().returncode == 0


def make(*words, **more):
    """What make says, also where `make test` runs this: an inner make would say so."""
    env = {name: value for name, value in os.environ.items() if "MAKE" not in name} | more
    command = ["make", *words]
    made = subprocess.run(command, cwd=REPO, env=env, check=True, capture_output=True, text=True)
    return made.stdout


def test_make_alone_lists_every_command():
    makefile = (REPO / "Makefile").read_text()
    (phony,) = (line for line in makefile.splitlines() if line.startswith(".PHONY:"))

    listed = make()

    assert [line.split()[1] for line in listed.splitlines()] == phony.split()[1:]


def test_the_readme_s_two_commands_use_only_relative_paths():
    """Make cannot say a path with a space, so it never says the clone's."""
    said = make("-n", "run", "test", NBA_DATA_DIR="some logs")

    assert str(REPO) not in said
    assert '--from "$NBA_DATA_DIR"' in said
