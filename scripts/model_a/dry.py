"""What runs would find in the cache, told before any: nothing is built, begun or left behind.

Rules of this room: torch is never imported, and of the league database only its identity is asked.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorcache
from model_a.cached import DEFAULT_CACHE, NAMESPACE, check_db, dependencies, open_cache
from model_a.config import Config, batch_inputs, load_config
from model_a.errors import BadInput


def explain(config: Config) -> None:
    """Say whether a run would find its batches, and if not, why; nothing is built or begun.

    Raises:
        BadInput: the config or the league cannot be used.
    """
    inputs = batch_inputs(config)
    check_db(config.paths.db)
    directory = config.paths.batch_cache or DEFAULT_CACHE
    if config.training.n_folds < 2:
        print(f"training.n_folds is {config.training.n_folds}: final model only, no cache")
    elif config.paths.batch_cache is False or os.environ.get("TENSORCACHE_MODE") == "off":
        print("cache: off: it would build")
    elif not is_begun(config):
        print(f"cache: no cache at {directory!r} yet: it would build")
    else:
        with open_cache(config, create=False) as cache:
            print(f"cache: {would_be(cache, config, inputs)}")


def would_be(cache: tensorcache.Cache, config: Config, inputs: dict[str, Any]) -> str:
    """What a run would find in the cache, in one line."""
    try:
        key = cache.key(inputs, **dependencies(config))
    except tensorcache.UnkeyableValue as error:  # somebody writes into the league just now
        return f"it would build, and publish nothing: {error}"
    if cache.mode == "refresh":
        return f"it would build: {NAMESPACE} {key.short}: TENSORCACHE_MODE is 'refresh'"
    if cache.plan([key]).hits:
        return f"it would be a hit: {NAMESPACE} {key.short}"
    if key in cache:
        broken = "what is there is broken, as tensorcache verify says"
        return f"it would be a miss: {NAMESPACE} {key.short}: {broken}"
    return f"it would be a miss: {NAMESPACE} {key.short}: {cache.explain(key)}"


def say_plan(
    paths: Sequence[str], files: Sequence[str], settings: Sequence[str], *, as_json: bool
) -> None:
    """Print what one run for each of `paths`, a config over `files`, would find and take.

    Raises:
        BadInput: a config or the league cannot be used.
    """
    configs = []
    for path in paths:
        try:
            configs.append(load_config([*files, path], settings))
            check_db(configs[-1].paths.db)
        except BadInput as error:
            raise BadInput(f"{path}: {error}" if len(paths) > 1 else str(error)) from None
    planned = plan(list(zip(paths, configs, strict=True)))
    if as_json:
        print(json.dumps(planned))
        return
    for trial in planned["trials"]:
        print(f"{trial['state']:5}  {(trial['key'] or 'no key')[:16]:16}  {trial['config']}")
    same = len(paths) - planned["builds"] - planned["hits"]
    print(
        f"plan: {planned['builds']} to build, {planned['hits']} hits, {same} the same as a build "
        f"before; {_ahead(planned)}"
    )


def plan(runs: Sequence[tuple[str, Config]]) -> dict[str, Any]:
    """The state of each run (`hit`, `build` or `same`), and what is ahead; None: not known.

    `bytes` of a hit are those that are there, of a build what it usually leaves.
    """
    trials: list[dict[str, Any]] = [
        {"config": path, "key": None, "state": "build", "bytes": None} for path, _ in runs
    ]
    ahead: list[tuple[int | None, float | None]] = []
    by_cache: dict[str | bool, list[int]] = {}
    for at, (_, config) in enumerate(runs):
        if config.training.n_folds < 2:  # the final model only: built each time, in no cache
            ahead.append((None, None))
        else:
            place = config.paths.batch_cache
            place = place is not False and os.path.abspath(place or DEFAULT_CACHE)
            by_cache.setdefault(place, []).append(at)
    for places in by_cache.values():
        with _planning(runs[places[0]][1]) as cache:
            keys = {at: key for at in places if (key := _key(cache, runs[at][1]))}
            found = cache.plan(keys.values())
        of_one = found.ahead_bytes and found.ahead_bytes // len(found.builds)
        for at, key, state in zip(keys, found.keys, found.states, strict=True):
            sizes = {"hit": found.hits.get(key), "build": of_one, "same": None}
            trials[at] |= {"key": key, "state": state, "bytes": sizes[state]}
        ahead.append((found.ahead_bytes, found.ahead_seconds))
        ahead += [(None, None)] * (len(places) - len(keys))
    sizes, seconds = zip(*ahead, strict=True)
    states = [trial["state"] for trial in trials]
    return {
        "trials": trials,
        "builds": states.count("build"),
        "hits": states.count("hit"),
        "bytes": None if None in sizes else sum(sizes),
        "seconds": None if None in seconds else sum(seconds),
    }


@contextlib.contextmanager
def _planning(config: Config) -> Iterator[tensorcache.Cache]:
    """The cache of a run; where it is yet to begin, an empty one elsewhere, for a moment."""
    off = config.paths.batch_cache is False or os.environ.get("TENSORCACHE_MODE") == "off"
    ro = os.environ.get("TENSORCACHE_MODE") == "ro"
    if off or ro or is_begun(config):
        with open_cache(config, create=off) as cache:
            yield cache
        return
    with (
        tempfile.TemporaryDirectory() as directory,
        open_cache(config, instead=os.path.join(directory, "cache")) as cache,
    ):
        yield cache


def is_begun(config: Config) -> bool:
    """Whether there is something where the cache of a run lies."""
    directory = config.paths.batch_cache or DEFAULT_CACHE
    return os.path.isdir(directory) and bool(os.listdir(directory))


def _key(cache: tensorcache.Cache, config: Config) -> tensorcache.Key | None:
    """The key of a run's batches; None where somebody writes into the league just now."""
    try:
        return cache.key(batch_inputs(config), **dependencies(config))
    except tensorcache.UnkeyableValue:
        return None


def _ahead(planned: Mapping[str, Any]) -> str:
    if planned["seconds"] is None or planned["bytes"] is None:
        return "how much is ahead is not known"
    return (
        f"about {planned['bytes'] / 1e6:,.1f} MB and {planned['seconds']:,.1f} s of building ahead"
    )
