"""Shadow builds: a sampled hit is built again, and compared with what is stored.

Rules of this room: the cache is asked for nothing and told nothing; whatever goes wrong is said,
and the stored entry stays what the caller gets.
"""

from __future__ import annotations

import functools
import math
import random
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple

from tensorcache.cache.build import Asked, Builds
from tensorcache.entry import Entry
from tensorcache.explain import Compared, Measure, Shadow, Side, compare

# Its own, and without a state: no seed of the caller sets it, and no forked child repeats it.
_chance = random.SystemRandom()
# Whether this thread or task builds a shadow: what its build asks a cache for has none.
_inside: ContextVar[bool] = ContextVar("tensorcache_shadow", default=False)


class Sample(NamedTuple):
    """Which hits are built again: `share` of them; floats may then differ by `tolerance`."""

    share: float
    tolerance: float | None

    def draw(self) -> bool:
        """Whether this hit is one of them."""
        return _chance.random() < self.share and not _inside.get()


def sample_of(share: float, tolerance: float | None) -> Sample:
    """What `shadow=` and `shadow_tolerance=` ask for.

    Raises:
        ValueError: they are no share, or no difference.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"shadow={share!r}: a share of hits, from 0 to 1 (each)")
    if tolerance is not None and not (0 <= tolerance < math.inf):
        raise ValueError(f"shadow_tolerance={tolerance!r}: a difference of floats, 0 or more")
    return Sample(float(share), tolerance)


def look_again(
    sample: Sample, entry: Entry, asked: Asked, build: Callable[[], Any], builds: Builds
) -> Shadow | None:
    """What a build gives now, beside a hit; None where it is not sampled. What differs is said."""
    if not sample.draw():
        return None
    began = time.perf_counter()
    token = _inside.set(True)
    differences: tuple[Compared, ...] = ()
    error = ""
    try:
        differences = tuple(_differences(entry, asked, build, builds, sample.tolerance))
    except Exception as failure:  # noqa: BLE001 - a look beside is never a reason to fail
        error = f"{type(failure).__name__}: {failure}"
    finally:
        _inside.reset(token)
    seconds = time.perf_counter() - began
    shadow = Shadow(not (differences or error), differences, seconds, error)
    if not shadow.is_same:
        name = f"{asked.key.namespace!r} {asked.key.short}" if asked.key else "no key"
        builds.warn(f"{name}: {shadow}")
    return shadow


def _differences(
    entry: Entry,
    asked: Asked,
    build: Callable[[], Any],
    builds: Builds,
    tolerance: float | None,
) -> Iterator[Compared]:
    from tensorcache.column import apart  # torch, which the build has most likely imported

    unheard = asked._replace(watch=None, why="a shadow of what is stored")
    built = builds.in_memory(unheard, build, "off", clone=False)
    measure = Measure(functools.partial(apart, tolerance=tolerance), tolerance)
    stored, now = (Side(*one._contents_()) for one in (entry, built))
    return (one for one in compare(stored, now, measure) if not one.equal)
