"""What is wrong in a root: every fault is named, and the search goes on.

What a death leaves behind (an orphan, a note, a row without its manifest that a note explains) is
no fault: the next writer or `vacuum` takes it in. Nor is what a newer tensorcache wrote. What
cannot be read (EIO, EACCES) is named as that, for it is no evidence of rot.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from tensorcache import disk, rows
from tensorcache.errors import CacheTooNew, LeaseTimeout, TensorCacheError
from tensorcache.index import Holding, Index, IndexCorrupt
from tensorcache.manifest import Manifest, Piece, columns_of
from tensorcache.progress import progress

LOCK_SECONDS = 2.0  # how long it waits for who publishes, before it looks without

_Known = tuple[str, str]  # the kind and the digest of a piece


class Fault(NamedTuple):
    """One thing that is wrong, as a line says it, and what was `done` about it.

    `key` and `piece` say of which entry, and of which of its pieces; `of` is "manifest", "piece",
    "section", "folder", "rows" (of one entry), "index", or "unread" (the index, by us and now).
    """

    of: str
    line: str
    key: str = ""
    piece: _Known | None = None
    done: str = ""

    def __str__(self) -> str:
        return f"{self.line}; {self.done}" if self.done else self.line


class _Found(NamedTuple):
    """What manifests say: the generation of each entry, and the entries that hold each piece."""

    generations: dict[str, str]
    holders: dict[tuple[str, Piece], list[str]]


def faults_of(root: disk.Root, index: Index, *, deep: bool, forget: bool) -> list[Fault]:
    """Every fault, entry by entry; `deep` reads every byte of every piece.

    `forget`: what was remembered of a broken piece goes, so that the next to open it looks.
    """
    keys, faults = _listed(root)
    found = _Found({}, {})
    sections: list[Fault] = []
    for key in keys:
        try:
            manifest = disk.read_manifest(root, key)
        except CacheTooNew:
            continue  # not ours to judge
        except OSError as error:
            faults.append(Fault("manifest", f"entry {key[:16]}: {_said(error)}", key))
            continue
        if manifest is not None:
            found.generations[key] = manifest.digest
            for held in manifest.pieces:
                found.holders.setdefault(held, []).append(key)
            sections += _section_faults(root, manifest)
    pieces = list(_piece_faults(root, found, deep=deep))
    broken = {(fault.key, fault.piece) for fault in pieces}  # which says it better
    sections = [fault for fault in sections if (fault.key, fault.piece) not in broken]
    # Who was removed or built anew since has other pieces by now.
    stands = {
        fault.key: _generation(root, fault.key) == found.generations[fault.key]
        for fault in (*pieces, *sections)
    }
    faults += [fault for fault in (*pieces, *sections) if stands[fault.key]]
    if forget:
        _forget(root, faults)
    faults.sort(key=lambda fault: fault.key)
    return faults + _index_faults(root, index, keys)


def _listed(root: disk.Root) -> tuple[list[str], list[Fault]]:
    """The keys of all manifests, and the folders that are links or cannot be listed."""
    keys: list[str] = []
    faults = [Fault("folder", f"{name}: it is a link: remove it") for name in disk.links_in(root)]
    try:
        folders = sorted(os.listdir(root.join("entries")))
    except FileNotFoundError:
        return keys, faults
    except OSError as error:
        return keys, [*faults, Fault("folder", f"entries: {_said(error)}")]
    for folder in folders:
        try:
            keys += disk.keys_in(root, folder)
        except OSError as error:
            faults.append(Fault("folder", f"entries/{folder}: {_said(error)}"))
    return keys, faults


def _said(error: OSError) -> str:
    """What is wrong with a file, which may be that nobody can tell."""
    if isinstance(error, TensorCacheError):
        return str(error)
    return f"it cannot be read: {error.strerror or error}"


def _generation(root: disk.Root, key: str) -> str | None:
    """The digest of the manifest; "" if it is there and cannot be read, None if it is not."""
    try:
        manifest = disk.read_manifest(root, key)
    except (TensorCacheError, OSError):
        return ""
    return None if manifest is None else manifest.digest


def _section_faults(root: disk.Root, manifest: Manifest) -> Iterator[Fault]:
    for section, structure in manifest.sections.items():
        try:
            columns_of(section, rows.structure_of(root, manifest, section))
        except OSError as error:
            piece = None if isinstance(structure, bytes) else ("document", structure)
            line = f"entry {manifest.key[:16]}: section {section!r:.80}: {_said(error)}"
            yield Fault("section", line, manifest.key, piece)


def _piece_faults(root: disk.Root, found: _Found, *, deep: bool) -> Iterator[Fault]:
    total = sum(piece.size_bytes for _, piece in found.holders)
    with contextlib.ExitStack() as stack:
        told: Callable[[int], object] = int
        if deep:
            told = stack.enter_context(progress(f"verifying {root.path}", total, "bytes"))
        for (kind, piece), keys in found.holders.items():
            why = _fault(root, kind, piece, deep=deep, told=told)
            for key in keys if why else ():
                line = f"entry {key[:16]}: {kind} {piece.digest[:16]}: {why}"
                yield Fault("piece", line, key, (kind, piece.digest))


def _fault(
    root: disk.Root, kind: str, piece: Piece, *, deep: bool, told: Callable[[int], object]
) -> str:
    heals = "the next build heals it"
    try:
        path = disk.piece_path(root, kind, piece.digest)
        status = os.stat(path, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            return f"it is foreign, no plain file; {heals}"
        if status.st_size != piece.size_bytes:
            what = "short" if status.st_size < piece.size_bytes else "long"
            return f"it is too {what}: {status.st_size} bytes, not {piece.size_bytes}; {heals}"
        if deep and disk.digest_of(path, told) != piece.digest:
            return f"its bytes do not match its name; {heals}"
    except FileNotFoundError:
        return f"it is missing; {heals}"
    except OSError as error:
        return _said(error)
    return ""


def _forget(root: disk.Root, faults: list[Fault]) -> None:
    for fault in faults:
        if fault.of == "piece" and fault.piece:
            disk.forget_piece(root, *fault.piece)
            disk.forget_entry(root, fault.key)


def _index_faults(root: disk.Root, index: Index, keys: Collection[str]) -> list[Fault]:
    if not os.path.lexists(root.join("index.sqlite")):
        return []  # made from the manifests when it is next written or asked
    faults: list[Fault] = []
    try:
        faults += [Fault("index", line) for line in index.check()]
        suspects = _apart(root, index, keys)
        if not suspects:
            return faults
        # Once more, while nobody can publish or remove between our looks at manifests and rows.
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(LeaseTimeout, OSError):  # read-only media have no lock
                stack.enter_context(disk.locked(root, LOCK_SECONDS))
            return faults + list(_apart(root, index, suspects).values())
    except (TensorCacheError, OSError) as error:
        known = {fault.line for fault in faults}
        of = "index" if isinstance(error, IndexCorrupt) else "unread"
        return [*faults, *(Fault(of, line) for line in {str(error)} - known)]


def _apart(root: disk.Root, index: Index, keys: Collection[str]) -> dict[str, Fault]:
    """The keys among `keys`, and among rows, whose rows do not say what manifests and pins say."""
    told = {key: _told(root, key) for key in keys}
    generations, pins = index.generations(), disk.read_pins(root)
    holdings = {holding.key: holding for holding in index.holdings().entries}
    sizes = index.manifest_sizes()
    behind = set(disk.notes(root))
    faults = {}
    for key in sorted((told.keys() | generations.keys()) - behind):
        manifest = told[key] if key in told else _told(root, key)
        wrong = _wrong(manifest, generations.get(key), holdings.get(key), pinned=key in pins)
        if manifest and not wrong and sizes.get(key, size := _size(root, key)) != size:
            wrong = "has rows that tell another size"
        if wrong:
            faults[key] = Fault("rows", f"index: entry {key[:16]} {wrong}", key)
    return faults


def _told(root: disk.Root, key: str) -> Manifest | str | None:
    """The manifest, its contents left out; "" if it cannot be read, None if it is not there."""
    try:
        manifest = disk.read_manifest(root, key)
    except (TensorCacheError, OSError):
        return ""
    return None if manifest is None else manifest._replace(sections={}, identity="", sources=())


def _size(root: disk.Root, key: str) -> int | None:
    try:
        return os.stat(disk.manifest_path(root, key)).st_size
    except OSError:
        return None  # it went between two looks


def _wrong(
    manifest: Manifest | str | None,
    generation: str | None,
    holding: Holding | None,
    *,
    pinned: bool,
) -> str:
    if isinstance(manifest, str):
        return ""  # its own fault is named elsewhere
    if manifest is None:
        return "has rows and no manifest" if generation else ""
    if generation != manifest.digest:
        return "has old rows" if generation else "has no rows"
    if holding is None:
        return ""  # it came between two looks
    if (holding.pinned is not None) != pinned:
        return "is pinned, and its rows do not say so" if pinned else "has rows of an old pin"
    pieces = {(kind, piece.digest) for kind, piece in manifest.pieces}
    return "" if pieces == set(holding.pieces) else "has rows that name other pieces"
