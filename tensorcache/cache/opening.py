"""How a cache is opened: which directory, which mode, which limits."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import Any

from tensorcache import disk
from tensorcache.cache.main import Cache
from tensorcache.errors import NotACache, ReadOnlyCache, TensorCacheError
from tensorcache.limits import AUTO, limits_of

MODES = ("rw", "ro", "refresh", "off")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
CHECKS = ("size", "once", "digest")


def open_cache(
    directory: str | os.PathLike[str] | None = None,
    *,
    mode: str = "rw",
    max_size: str | int | None = AUTO,
    min_free: str | int | None = AUTO,
    policy: str = "worth",
    verify: str = "once",
    trust: str | None = None,
    create: bool = True,
) -> Cache:
    """Open the cache in `directory`, or begin one there.

    Args:
        directory: else `TENSORCACHE_DIR`, else `~/.cache/tensorcache` (XDG).
        mode: `rw`; `ro`, to write nothing; `refresh`, to build and replace; `off`, to do neither.
            `TENSORCACHE_MODE` wins, except that nothing turns `ro` or `off` into `rw`.
        max_size: bytes, or text such as "200GB" or "30%" (of the disk): what is over it goes after
            each publication, but not what is pinned, open or was used within the last hour. "auto":
            a fifth of the disk, at most 50 GB. None: no limit. `TENSORCACHE_MAX_SIZE` wins.
        min_free: so much of the disk stays free, as far as the cache can help it. "auto": 5 % of
            the disk, at most 5 GB.
        policy: what goes first: "worth", what took least time to build for its bytes and recent
            uses; "lru", what was used longest ago; "oldest", what was made longest ago.
        verify: how shards are checked when an entry is opened: `size`; `once`, fully the first
            time a file is met; `digest`, always. Manifests are always checked.
        trust: "group" lets the directory's group write; `TENSORCACHE_TRUST` says it for all.
        create: begin a cache where there is none; without, what cannot be read is an error.

    Raises:
        NotACache, UnsafeCache, CacheTooNew: the directory cannot be used; the message says why.
        ValueError: an option is not one of the above.
    """
    _log_as_asked()
    mode = _mode(mode)
    said = "trust" if trust else "TENSORCACHE_TRUST"
    trust = trust or os.environ.get("TENSORCACHE_TRUST") or None
    if verify not in CHECKS:
        raise ValueError(f"verify={verify!r}: use one of {', '.join(CHECKS)}")
    if trust not in (None, "group"):
        raise ValueError(f"{said}={trust!r}: use 'group' or nothing")
    if directory is not None and not os.fspath(directory):
        raise NotACache("directory='' names none: give a path, or leave it out for the default")
    path: Any = disk.default_root() if directory is None else os.fspath(directory)
    with contextlib.suppress(FileNotFoundError):  # in a directory that was removed none can begin
        path = os.path.abspath(path)
    root = disk.Root(path, trust == "group")
    limits = limits_of(max_size, min_free, policy)
    cannot = "the cache is switched off" if mode == "off" else ""
    if cannot and not create:  # whoever asks of a cache wants an answer of it
        raise ReadOnlyCache(f"{cannot} by TENSORCACHE_MODE: unset it")
    if not cannot:
        try:
            if not create:
                disk.prepare(root, write=False)  # which begins nothing
            disk.prepare(root, write=mode != "ro")
        except TensorCacheError:
            raise
        except OSError as error:  # full, read-only: never a reason to fail a run
            if not create:
                raise
            cannot = f"no cache can begin at {path!r}: {error.strerror}"
    return Cache(root, mode=mode, verify=verify, limits=limits, cannot=cannot)


def _mode(mode: str) -> str:
    chosen = os.environ.get("TENSORCACHE_MODE") or mode
    for place, name in (("mode", mode), ("TENSORCACHE_MODE", chosen)):
        if name not in MODES:
            raise ValueError(f"{place}={name!r}: use one of {', '.join(MODES)}")
    return "off" if "off" in (mode, chosen) else "ro" if mode == "ro" else chosen


def _log_as_asked() -> None:
    """`TENSORCACHE_LOG=info`: what the library logs from that level on, on stderr."""
    level = os.environ.get("TENSORCACHE_LOG", "").upper()
    if not level:
        return
    if level not in LEVELS:
        raise ValueError(f"TENSORCACHE_LOG={level!r}: use one of {', '.join(LEVELS)}")
    log = logging.getLogger("tensorcache")
    log.setLevel(level)
    if not log.handlers:
        log.addHandler(logging.StreamHandler())
