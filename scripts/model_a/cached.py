"""The cache as script 3 uses it: which one it is, and what the batches in it depend on."""

from __future__ import annotations

import os
from typing import Any

import tensorcache
from model_a.config import Config
from model_a.errors import BadInput

NAMESPACE = "model_a.batches"
DEFAULT_CACHE = "data/processed/batch_cache"
# The module that builds; what it imports from here counts too. Config, folds, model, training and
# metrics are none of that: to edit those is no reason to build again.
BUILDER = ["model_a.batches"]


def dependencies(config: Config) -> dict[str, Any]:
    """What the batches depend on besides their inputs, and what they are."""
    return {
        "version": tensorcache.code_version(*BUILDER),
        "sources": {"db": tensorcache.database(config.paths.db)},
        "namespace": NAMESPACE,
    }


def check_db(path: str) -> None:
    """Refuse what cannot be the league database, before anything is made of it.

    Raises:
        BadInput: no file, one that cannot be read, or none of SQLite.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        kind = "a directory" if os.path.isdir(path) else "no plain file"
        raise BadInput(f"paths.db: {path!r} is {kind}: name the file of scripts/2_build_db.py")
    try:
        with open(path, "rb") as file:
            start = file.read(16)
    except FileNotFoundError:
        raise BadInput(f"paths.db: {path!r} is not there: run scripts/2_build_db.py") from None
    except OSError as error:
        raise BadInput(
            f"paths.db: {path!r} cannot be read: {error.strerror}: correct that, or name another"
        ) from None
    if start != b"SQLite format 3\0":
        raise BadInput(
            f"paths.db: {path!r} is not a SQLite database: build one with scripts/2_build_db.py"
        )


def open_cache(
    config: Config, *, create: bool = True, instead: str | None = None
) -> tensorcache.Cache:
    """The cache that `paths.batch_cache` means, or one `instead`, begun if it is to be.

    Raises:
        BadInput: the environment asks of the cache what there is not.
    """
    if config.paths.batch_cache is False:
        return tensorcache.open(DEFAULT_CACHE, mode="off")
    try:
        directory = instead or config.paths.batch_cache or DEFAULT_CACHE
        return tensorcache.open(directory, create=create)
    except tensorcache.TensorCacheError:
        raise  # some are ValueErrors too
    except ValueError as error:
        raise BadInput(str(error)) from None
