#!/bin/sh
# Makes .venv, or finds that it is already right. `make` calls it from the root of the clone.
#
# torch comes first, for it is the largest; every install is under constraints.txt; .venv/stamp is
# written last, so that a .venv without one is half a .venv, and made anew. The stamp says what
# .venv was made for: this path (an editable install and the scripts in bin/ hold it) and these two
# files. Where only that has changed, the packages stay and pip brings them up to date.
#
# `sh .ci/venv.sh bench` installs that extra of pyproject.toml as well; its stamp is stamp-bench.
#
#   PYTHON=/path/to/python3.12   the Python to use, instead of the first that will do
#   PIP_OPTIONS='...'            further options of every `pip install`
set -eu

say() { printf 'venv: %s\n' "$*" >&2; }
stop() { say "$@"; exit 2; }

needed_kib=$((3 * 1024 * 1024))

# What a Python says of itself: `ok`, or why it will not do. It must parse on Python 2 as well.
probe='
import sys
if sys.version_info < (3, 11):
    sys.stdout.write("is %d.%d.%d" % tuple(sys.version_info[:3]))
else:
    try:
        import ensurepip, venv
        sys.stdout.write("ok")
    except ImportError:
        package = "python%d.%d-venv" % tuple(sys.version_info[:2])
        sys.stdout.write("has no venv module (Debian, Ubuntu: apt install %s)" % package)
'

# Which installation of Python is behind a command or a .venv.
base='import sys; print(sys.base_prefix, sys.version)'

# Sets `python`. A name on the PATH proves nothing: a shim may stand there for nothing at all.
choose_python() {
    if [ -n "${PYTHON-}" ]; then
        set -- "$PYTHON"
    else
        set -- python3.11 python3.12 python3.13 python3.14 python3 python
    fi
    reasons=
    for python in "$@"; do
        command -v "$python" >/dev/null 2>&1 || continue
        answer=$("$python" -c "$probe" 2>/dev/null </dev/null) || answer="does not run"
        [ "$answer" != ok ] || return 0
        reasons="$reasons $python $answer;"
    done
    stop "no Python 3.11 or newer will do:${reasons:- none of $* is here;}" \
        "name one with PYTHON=/path/to/python3.12"
}

check_space() {
    free_kib=$(df -Pk . 2>/dev/null | sed -n '2s/.* \([0-9][0-9]*\)  *[0-9-]*%.*/\1/p')
    [ "${free_kib:-$needed_kib}" -ge "$needed_kib" ] || stop \
        "$((free_kib / 1024)) MiB are free here, $((needed_kib / 1024)) are needed" \
        "(more where torch is a CUDA build): make room, or clone to a larger disk"
}

stamp() { pwd -P && cksum pyproject.toml constraints.txt; }

# Whether the Python of .venv runs, and is the one that was asked for, if one was.
fits() {
    here=$(.venv/bin/python -c "$base") &&
        { [ -z "${PYTHON-}" ] || [ "$("$PYTHON" -c "$base")" = "$here" ]; }
}

# Not compiled: half the time of the install would go into modules that nobody imports.
install() {
    # shellcheck disable=SC2086  # options are words
    .venv/bin/python -m pip install $quiet --no-compile -c constraints.txt ${PIP_OPTIONS-} "$@" ||
        stop "pip failed, its reason is above; the next make begins anew" \
            "(PIP_OPTIONS='...' passes options on)"
}

# What nearly every test imports: where PYTHONDONTWRITEBYTECODE is set, each of a thousand processes
# would compile it anew (torch: 3 s).
compile_used() {
    PYTHONDONTWRITEBYTECODE='' .venv/bin/python -c '
import alembic.command, hypothesis, matplotlib.pyplot, numpy, optuna, pandas, pyarrow.parquet
import pydantic, pytest, rich.live, safetensors.torch, sqlalchemy, torch, torch.utils.data, typer, yaml
' || stop "what was installed cannot be imported, the reason is above"
}

# What is asked for beside `dev`, unless it is there.
install_extra() {
    [ $# = 1 ] && [ "$(stamp)" != "$(cat ".venv/stamp-$1" 2>/dev/null)" ] || return 0
    say "installing what $1 needs"
    install --no-build-isolation --editable ".[$1]"
    stamp >".venv/stamp-$1"
}

quiet=
[ -t 1 ] || quiet=-qq # a terminal sees the progress of a long download, a log only errors
if [ -f .venv/stamp ] && fits 2>/dev/null; then
    [ "$(stamp)" != "$(cat .venv/stamp)" ] || { install_extra "$@"; exit 0; }
    say "bringing .venv up to date"
    python=.venv/bin/python
    rm .venv/stamp
else
    choose_python
    rm -rf .venv
    check_space
    say "making .venv with $python: a minute or more, most of it for torch"
fi
trap 'say "interrupted: .venv is not finished, the next make begins anew"; exit 130' INT TERM HUP
said=$("$python" -m venv .venv 2>&1) ||
    stop "$python -m venv failed: $(printf '%s' "$said" | tail -n 1)"
install torch setuptools
install --no-build-isolation --editable '.[dev]'
compile_used
stamp >.venv/stamp
install_extra "$@"
