"""What retention weighs, by rows; and by manifests where rows are behind, as on a full disk."""

from __future__ import annotations

import functools
import math
import os
from collections import Counter
from collections.abc import Collection, Iterable

from tensorcache import disk
from tensorcache.index import Index, Shared, Weighed, Weights, all_weights, digests
from tensorcache.manifest import Manifest, Piece
from tensorcache.rows.anew import is_behind, mended
from tensorcache.rows.pieces import manifests_of
from tensorcache.worth import warmed, worth

_Known = tuple[str, str]  # the kind and the digest of a piece


def weights(
    root: disk.Root, index: Index, behind: Collection[str]
) -> tuple[Weights, list[tuple[str, Piece]]]:
    """Everything that retention weighs, and the pieces of nobody.

    Of the keys that are `behind` the manifests tell; where one cannot, no piece is nobody's.

    Raises:
        TensorCacheError: the index can neither be read nor made anew.
    """
    found = Weights([], {})
    if not is_behind(index):
        found = mended(root, index, lambda: all_weights(index))
    manifests = list(manifests_of(root, behind))
    known = [manifest for manifest in manifests if manifest is not None]
    if behind:
        found = _anew(root, index, found.entries, behind, known)
    pins = disk.read_pins(root)
    if pins:
        pinned = [e._replace(stays=True) if e.key in pins else e for e in found.entries]
        found = found._replace(entries=pinned)
    if len(known) < len(manifests):
        return found, []
    held = {(kind, piece.digest) for manifest in known for kind, piece in manifest.pieces}
    loose = disk.loose_pieces(root, functools.partial(digests, index))
    return found, [one for one in loose if (one[0], one[1].digest) not in held]


def _anew(
    root: disk.Root,
    index: Index,
    rows: Iterable[Weighed],
    behind: Collection[str],
    manifests: Collection[Manifest],
) -> Weights:
    """All of it added up once more: who is behind may hold what others seemed to hold alone."""
    holdings = mended(root, index, index.holdings)
    held: dict[str, set[_Known]] = {}
    used: dict[str, float] = {}
    for one in holdings.entries:
        held[one.key], used[one.key] = set(one.pieces), one.last_used_at or 0.0
    sizes = dict(holdings.pieces)
    entries = [one for one in rows if one.key not in behind]
    for manifest in manifests:
        held[manifest.key] = {(kind, piece.digest) for kind, piece in manifest.pieces}
        sizes |= {(kind, piece.digest): piece.size_bytes for kind, piece in manifest.pieces}
        entries.append(_weighed(root, manifest, used.get(manifest.key, 0.0)))
    holders = Counter(piece for one in entries for piece in held[one.key])
    numbers = {piece: n for n, (piece, count) in enumerate(holders.items()) if count > 1}
    return Weights(
        [_with_pieces(one, held[one.key], sizes, numbers) for one in entries],
        {number: Shared(sizes[piece], holders[piece]) for piece, number in numbers.items()},
    )


def _weighed(root: disk.Root, manifest: Manifest, used_at: float) -> Weighed:
    at = manifest.created_at
    try:
        size_bytes = os.lstat(disk.manifest_path(root, manifest.key)).st_size
    except OSError:
        size_bytes = 0
    value = worth(manifest.build_seconds, warmed(None, at), size_bytes)
    touched_at = max(at, used_at)
    return Weighed(
        manifest.key, manifest.namespace, at, touched_at, value, False, size_bytes, size_bytes
    )


def _with_pieces(
    one: Weighed, pieces: set[_Known], sizes: dict[_Known, int], numbers: dict[_Known, int]
) -> Weighed:
    alone_bytes = one.manifest_bytes + sum(sizes[piece] for piece in pieces if piece not in numbers)
    return one._replace(
        alone_bytes=alone_bytes,
        worth=one.worth + math.log2(max(1, one.alone_bytes)) - math.log2(max(1, alone_bytes)),
        shared=tuple(numbers[piece] for piece in pieces if piece in numbers),
    )
