"""What can happen to one file of a root: each harm, and the word by which `verify` names it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from roots import flip


class Harm(NamedTuple):
    """Something that befalls a file."""

    do: Callable[[Path], None]
    word: str


def rewritten(make: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """The file, anew and with other bytes."""

    def do(path: Path) -> None:
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(make(data))

    return do


def replaced(make: Callable[[Path, bytes], None]) -> Callable[[Path], None]:
    """Something else in its place; `make` has its bytes."""

    def do(path: Path) -> None:
        data = path.read_bytes()
        path.unlink()
        make(path, data)

    return do


def _huge(path: Path, _: bytes) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def elsewhere(path: Path) -> Path:
    """Where the link of a file leads: outside its root."""
    root = next(parent for parent in path.parents if (parent / "tensorcache.json").exists())
    return root.parent / f"elsewhere-{path.name}"


def _link(path: Path, data: bytes) -> None:
    elsewhere(path).write_bytes(data)
    path.symlink_to(elsewhere(path))


def _listen(path: Path, _: bytes) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the path of a socket may have no more than 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(".s")
        os.rename(".s", path.name)
    finally:
        os.chdir(here)


def _full_directory(path: Path, data: bytes) -> None:
    path.mkdir()
    (path / path.name).write_bytes(data)


HARMS = {
    "first bit": Harm(lambda path: flip(path, 0), "do not match"),
    "a bit within": Harm(lambda path: flip(path, path.stat().st_size // 2), "do not match"),
    "last bit": Harm(lambda path: flip(path, -1), "do not match"),
    "zeroes": Harm(rewritten(lambda data: bytes(len(data))), "do not match"),
    "text": Harm(rewritten(lambda data: (b"text " * len(data))[: len(data)]), "do not match"),
    "turned round": Harm(rewritten(lambda data: data[::-1]), "do not match"),
    "cut by one": Harm(rewritten(lambda data: data[:-1]), "too short"),
    "cut in half": Harm(rewritten(lambda data: data[: len(data) // 2]), "too short"),
    "seven bytes": Harm(rewritten(lambda data: data[:7]), "too short"),
    "empty": Harm(rewritten(lambda _: b""), "too short"),
    "one byte more": Harm(rewritten(lambda data: data + b"!"), "too long"),
    "a page more": Harm(rewritten(lambda data: data + bytes(4096)), "too long"),
    "twice": Harm(rewritten(lambda data: data + data), "too long"),
    "huge": Harm(replaced(_huge), "too long"),
    "lost": Harm(os.unlink, "missing"),
    "link": Harm(replaced(_link), "foreign"),
    "link to nothing": Harm(replaced(lambda path, _: path.symlink_to("nothing")), "foreign"),
    "link to a foreign file": Harm(
        replaced(lambda path, _: path.symlink_to("/etc/passwd")), "foreign"
    ),
    "pipe": Harm(replaced(lambda path, _: os.mkfifo(path)), "foreign"),
    "socket": Harm(replaced(_listen), "foreign"),
    "directory": Harm(replaced(lambda path, _: path.mkdir()), "foreign"),
    "full directory": Harm(replaced(_full_directory), "foreign"),
}
