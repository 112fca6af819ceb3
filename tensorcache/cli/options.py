"""What commands share: options and keys, the cache that is named, the question before harm."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from tensorcache import disk
from tensorcache.cache import Cache, open_cache
from tensorcache.cli import text
from tensorcache.errors import EntryMissing, TensorCacheError, UnsafeCache
from tensorcache.limits import Size, seconds_of, size_of
from tensorcache.manifest import Manifest


class WrongUse(Exception):
    """What was asked cannot be meant so; the message says what to do."""


def limit(about: str) -> Any:
    """An option that takes a size, such as `20GB` or `30%`."""
    return typer.Option(parser=_size, metavar="SIZE", help=about)


def time(about: str) -> Any:
    """An option that takes a length of time, such as `30d`."""
    return typer.Option(parser=_seconds, metavar="TIME", help=about)


def _size(typed: str) -> Size:
    try:
        return size_of(typed) or Size()
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _seconds(typed: str) -> float:
    try:
        return seconds_of(typed)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


CacheDir = Annotated[
    str | None,
    typer.Option(
        "--cache",
        metavar="DIR",
        help="The cache's directory; else TENSORCACHE_DIR, else ~/.cache/tensorcache.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, in ASCII.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
KeyDigits = Annotated[
    str, typer.Argument(metavar="KEY", help="6 or more digits of a key, as many as tell it apart.")
]


def directory_of(named: str | None) -> str:
    """The directory of the cache that `--cache` names, whether or not it is there.

    Raises:
        WrongUse: it names nothing.
    """
    if named == "":  # an unset variable of a shell
        raise WrongUse("--cache '': name a directory, or leave it out")
    try:
        return os.path.abspath(disk.default_root() if named is None else named)
    except FileNotFoundError as error:
        raise WrongUse("the working directory was removed: go to another one") from error


def root_of(named: str | None) -> disk.Root:
    """The root that `--cache` names, whatever is there."""
    return disk.Root(directory_of(named), os.environ.get("TENSORCACHE_TRUST") == "group")


def version() -> str:
    """The version of this tensorcache."""
    from importlib import metadata  # 20 ms that few commands need

    try:
        return metadata.version("tensorcache")
    except metadata.PackageNotFoundError:  # a checkout that nobody installed
        return "not installed"


def opened(named: str | None, *, changes: bool = False) -> Cache:
    """The cache that `--cache` names; it is never begun here.

    What may only be read is opened for reading, unless the command `changes` something.
    """
    directory = directory_of(named)
    try:
        try:
            return open_cache(directory, create=False)
        except UnsafeCache:
            if changes:
                raise
            return open_cache(directory, mode="ro", create=False)
    except TensorCacheError:
        raise
    except ValueError as error:  # a TENSORCACHE_ setting
        raise WrongUse(str(error)) from error


def key_of(cache: Cache, digits: str) -> str:
    """The key of the one entry whose key begins with `digits`.

    Raises:
        EntryMissing: there is none, or more than one.
    """
    return disk.find(disk.Root(cache.root), digits.strip().lower())


def manifest_of(cache: Cache, digits: str) -> Manifest:
    """The manifest of the one entry whose key begins with `digits`.

    Raises:
        EntryMissing: there is none, or more than one.
        EntryCorrupt, CacheTooNew: it cannot be read.
    """
    key = key_of(cache, digits)
    manifest = disk.read_manifest(disk.Root(cache.root), key)
    if manifest is None:
        raise EntryMissing(f"entry {key[:16]} was removed just now")
    return manifest


def refuse_two(given: dict[str, bool]) -> None:
    """Refuse options of which one alone can be meant.

    Raises:
        WrongUse: two of them were given.
    """
    named = [name for name, is_given in given.items() if is_given]
    if len(named) > 1:
        raise WrongUse(f"{' and '.join(named)}: give one of them")


def check_can_ask(*, yes: bool) -> None:
    """Refuse what needs a question where nobody could answer it.

    Raises:
        WrongUse: stdin is no terminal, and `--yes` was not given.
    """
    if not yes and not sys.stdin.isatty():
        raise WrongUse("this removes entries, and there is nobody to ask: add --yes")


def agreed(question: str, *, yes: bool) -> bool:
    """Whether the person agrees; `yes` if that was said before."""
    if yes:
        return True
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    text.remark("nothing was removed")
    return False
