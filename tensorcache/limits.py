"""Limits: how much a cache may hold, how much of the disk stays free, and what goes first.

Rules of this room: words become numbers. Nothing is read but how large the disk is, and that when a
limit is kept, never when a cache is opened: a hit pays for none of it.
"""

from __future__ import annotations

import math
import os
import re
from typing import NamedTuple

AUTO = "auto"
POLICIES = ("worth", "lru", "oldest")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgt]?)(i?)b?|(%))", re.IGNORECASE)
_DURATION = re.compile(r"(\d{1,12}(?:\.\d+)?)([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class Size(NamedTuple):
    """So many bytes, or such a share of the disk; of both, whichever is less."""

    size_bytes: float = math.inf
    share: float = math.inf

    def of(self, disk_bytes: int) -> float:
        """In bytes, infinite where nothing limits; a filesystem that tells no size has no share."""
        return min(self.size_bytes, self.share * disk_bytes if disk_bytes else math.inf)


class Bounds(NamedTuple):
    """The limits in bytes, on the disk as it is now: None where there is none."""

    max_bytes: int | None
    min_free_bytes: int | None
    free_bytes: int

    def over(self, held_bytes: int) -> int:
        """How many of `held_bytes` are to go; none where even all of them would not free enough."""
        above = 0 if self.max_bytes is None else held_bytes - self.max_bytes
        lacking = (self.min_free_bytes or 0) - self.free_bytes
        return max(0, above, lacking if lacking <= held_bytes else 0)


class Limits(NamedTuple):
    """What a cache was opened with; None is no limit."""

    max_size: Size | None
    min_free: Size | None
    policy: str

    def bounds(self, path: str) -> Bounds:
        """In bytes, on the disk where `path` lies.

        Raises:
            OSError: nothing can be told of it.
        """
        found = os.statvfs(path)
        disk_bytes = found.f_blocks * found.f_frsize
        return Bounds(
            _whole(self.max_size, disk_bytes),
            _whole(self.min_free, disk_bytes),
            found.f_bavail * found.f_frsize,
        )


DEFAULT_MAX_SIZE = Size(50e9, 0.2)
DEFAULT_MIN_FREE = Size(5e9, 0.05)


def limits_of(
    max_size: str | int | None, min_free: str | int | None = AUTO, policy: str = "worth"
) -> Limits:
    """What a caller asks for; `TENSORCACHE_MAX_SIZE` wins.

    Raises:
        ValueError: a size or the policy is none.
    """
    said = os.environ.get("TENSORCACHE_MAX_SIZE")
    return Limits(
        size_of(said or max_size, "TENSORCACHE_MAX_SIZE" if said else "max_size"),
        size_of(min_free, "min_free", DEFAULT_MIN_FREE),
        policy_of(policy),
    )


def policy_of(policy: str) -> str:
    """The same.

    Raises:
        ValueError: it is none.
    """
    if policy not in POLICIES:
        raise ValueError(f"policy={policy!r}: use one of {', '.join(POLICIES)}")
    return policy


def size_of(
    said: str | int | None, place: str = "size", auto: Size = DEFAULT_MAX_SIZE
) -> Size | None:
    """The size that "20GB", "512 MiB", "30%" or a number of bytes is; None where "none" is.

    `place` is for the message, `auto` what "auto" means.

    Raises:
        ValueError: it is no size.
    """
    text = str(said).strip()
    if text.lower() in ("none", "off"):
        return None
    if text.lower() == AUTO:
        return auto
    match = _SIZE.fullmatch(text)
    if not match or not float(match[1]) or (match[4] and float(match[1]) > 100):
        raise ValueError(
            f"{place}={said!r}: write bytes, or '500MB', '1.5TiB', '30%' (of the disk), 'none'"
        )
    if match[4]:
        return Size(share=float(match[1]) / 100)
    power = " kmgt".index((match[2] or " ").lower())
    return Size(int(float(match[1]) * (1024 if match[3] else 1000) ** power))


def seconds_of(said: str) -> float:
    """The seconds that "45s", "90m", "12h", "30d" or "2w" is.

    Raises:
        ValueError: it is no length of time.
    """
    match = _DURATION.fullmatch(said.strip())
    if not match:
        raise ValueError(f"duration {said!r}: write '45s', '90m', '12h', '30d' or '2w'")
    return float(match[1]) * _SECONDS[match[2]]


def _whole(size: Size | None, disk_bytes: int) -> int | None:
    most = math.inf if size is None else size.of(disk_bytes)
    return None if math.isinf(most) else int(most)


def size_text(size_bytes: int) -> str:
    """`12.3 MB`, for people."""
    for unit, length in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= length:
            return f"{size_bytes / length:.1f} {unit}"
    return f"{size_bytes} bytes"
