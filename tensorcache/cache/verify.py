"""What is wrong in a root: every fault is named, and the search goes on.

What a death leaves behind (an orphan, a note, a row without its manifest that a note explains) is
no fault: the next writer or `vacuum` takes it in.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

from tensorcache import disk, rows
from tensorcache.errors import CacheTooNew, EntryCorrupt, LeaseTimeout, TensorCacheError
from tensorcache.index import Index
from tensorcache.manifest import Manifest, columns_of

LOCK_SECONDS = 2.0  # how long it waits for who publishes, before it looks without


def verify(root: disk.Root, index: Index, *, deep: bool) -> list[str]:
    """A line for each fault; `deep` reads every byte of every piece."""
    faults = []
    judged: dict[tuple[str, str], str] = {}
    for key in disk.keys_of(root):
        try:
            manifest = disk.read_manifest(root, key)
        except CacheTooNew:
            continue  # not ours to judge
        except (EntryCorrupt, OSError) as error:
            faults.append(f"entry {key[:16]}: {error}")
            continue
        found = [] if manifest is None else list(_faults(root, manifest, judged, deep))
        if found and manifest and _generation(root, key) == manifest.digest:  # not replaced since
            faults += [f"entry {key[:16]}: {fault}" for fault in found]
    return [*faults, *_index_faults(root, index)]


def _generation(root: disk.Root, key: str) -> str | None:
    """The digest of the manifest; "" if it is there and cannot be read, None if it is not."""
    try:
        manifest = disk.read_manifest(root, key)
    except (TensorCacheError, OSError):
        return ""
    return None if manifest is None else manifest.digest


def _faults(
    root: disk.Root, manifest: Manifest, judged: dict[tuple[str, str], str], deep: bool
) -> Iterator[str]:
    for kind, piece in manifest.pieces:
        known = kind, piece.digest
        if known not in judged:
            judged[known] = _fault(disk.piece_path(root, *known), *piece, deep)
        if judged[known]:
            # What was remembered of it is wrong: the next to open it looks, and builds it anew.
            disk.forget_piece(root, *known)
            disk.forget_entry(root, manifest.key)
            yield f"{kind} {piece.digest[:16]}: {judged[known]}; the next build heals it"
    for section in manifest.sections:
        try:
            columns_of(section, rows.structure_of(root, manifest, section))
        except (EntryCorrupt, OSError) as error:
            yield f"section {section!r}: {error}"


def _fault(path: str, digest: str, size_bytes: int, deep: bool) -> str:
    try:
        found_bytes = os.stat(path, follow_symlinks=False).st_size
        if found_bytes != size_bytes:
            return f"it has {found_bytes} bytes, not {size_bytes}"
        if deep and disk.digest_of(path) != digest:
            return "its bytes do not match its name"
    except FileNotFoundError:
        return "it is missing"
    except (EntryCorrupt, OSError) as error:
        return str(error)
    return ""


def _index_faults(root: disk.Root, index: Index) -> list[str]:
    if not os.path.lexists(root.join("index.sqlite")):
        return []  # made from the manifests when it is next written or asked
    faults = index.check()
    try:
        suspects = _apart(root, index, disk.keys_of(root))
        if not suspects:
            return faults
        # Once more, while nobody can publish or remove between our looks at manifests and rows.
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(LeaseTimeout, OSError):  # read-only media have no lock
                stack.enter_context(disk.locked(root, LOCK_SECONDS))
            return faults + list(_apart(root, index, suspects).values())
    except TensorCacheError as error:
        return [*faults, str(error)]


def _apart(root: disk.Root, index: Index, keys: Iterable[str]) -> dict[str, str]:
    """The keys among `keys`, and among rows, whose rows do not say what their manifests say."""
    there = {key: _generation(root, key) for key in keys}
    rows_of = index.generations()
    behind = set(disk.notes(root))
    faults = {}
    for key in sorted((there.keys() | rows_of.keys()) - behind):
        wanted = there[key] if key in there else _generation(root, key)
        if wanted is None and key in rows_of:
            faults[key] = f"index: entry {key[:16]} has rows and no manifest"
        elif wanted and rows_of.get(key) != wanted:
            faults[key] = f"index: entry {key[:16]} has {'old' if key in rows_of else 'no'} rows"
    return faults
