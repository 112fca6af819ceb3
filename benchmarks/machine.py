"""Where a run took place: what its figures are true of."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

PACKAGES = (
    "torch numpy safetensors msgpack blake3 xxhash sqlalchemy fastsafetensors tensordict datasets "
    "pyarrow h5py lmdb joblib diskcache"
).split()


def lacking(folder, *, disk_gb, memory_gb):
    """What a run would not have enough of, in one line; "" if nothing."""
    free = shutil.disk_usage(folder).free / 1e9
    if free < disk_gb:
        return f"{free:.1f} GB are free at {str(folder)!r}, {disk_gb} are needed: --scratch DIR"
    available = memory()["MemAvailable"] / 1e9
    if available < memory_gb:
        return f"{available:.1f} GB of memory are available, {memory_gb} are needed"
    return ""


def described(folder, *, quick):
    """Machine, versions, commit and command."""
    return {
        "command": "make bench-quick" if quick else "make bench",
        "quick": quick,
        "sums_before": True,  # see fresh.py
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": commit(),
        "cpu": f"{len(os.sched_getaffinity(0))} cores, {cpu()}",
        "memory_bytes": memory()["MemTotal"],
        "system": f"{platform.system()} {platform.release()}, files on {filesystem(folder)}",
        "load": os.getloadavg()[0],
        "versions": {"Python": platform.python_version()} | versions(),
    }


def versions(packages=PACKAGES):
    found = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit():
    """The commit, and whether the library differs from it."""
    run = ["git", "-C", str(Path(__file__).parent)]
    try:
        name = subprocess.check_output([*run, "rev-parse", "--short=12", "HEAD"], text=True)
        changed = subprocess.check_output([*run, "status", "--porcelain", ":/tensorcache"])
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return name.strip() + (", changed since" if changed else "")


def cpu():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def memory():
    """Bytes by the names of /proc/meminfo."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}


def filesystem(folder):
    """The type of the filesystem that holds a folder."""
    best = ("", "unknown")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if folder.resolve().is_relative_to(place) and len(place) >= len(best[0]):
            best = place, kind
    return best[1]


assert sys.platform == "linux", "memory and page caches are read as Linux has them"
