"""Which entries nobody will ask for again: another source, other code, an old format.

Rules of this room: what cannot be told is passed over. A source is identified again by what its
entry remembers of it, kind and path: that is enough for files, and for databases by their bytes or
their stat. Tables and queries, servers, values and relative paths are not judged.
"""

from __future__ import annotations

import os
import re

from tensorcache import disk, source
from tensorcache.errors import SourceMissing, TensorCacheError
from tensorcache.index import Index, KnownSource, built_from, known_sources, old_formats, superseded

_DATABASE = re.compile(r"(?:(?:sqlite|duckdb)-)?(bytes|stat)-\d+:")
_FILES = re.compile(r"files-\d+:")


def stale_entries(index: Index, memory: disk.Memory) -> dict[str, str]:
    """Why each entry that is stale is, by its key.

    Raises:
        TensorCacheError: the index cannot be read now.
    """
    stale = dict.fromkeys(old_formats(index), "its format is an old one")
    stale |= dict.fromkeys(superseded(index), "another version of its code is in use")
    whys: dict[KnownSource, str] = {}
    texts: dict[source.Source, str | None] = {}
    for known in known_sources(index):
        asked = _again(known)
        if asked is not None and (why := _why(known, asked, texts, memory)):
            whys[known] = why
    stale |= {key: whys[known] for key, known in built_from(index, set(whys))}
    return stale


def _again(known: KnownSource) -> source.Source | None:
    """The source as a caller describes it; None where that is not known."""
    if "\\" in known.path or "…" in known.path:
        return None  # it was made printable, and may be another's
    if level := _DATABASE.match(known.identity):
        is_file = os.path.isabs(known.path)
        return source.database(known.path, level=level[1]) if is_file else None
    if _FILES.match(known.identity):
        globs = known.path.split(", ")
        return source.files(*globs) if all(map(os.path.isabs, globs)) else None
    return None


def _why(
    known: KnownSource,
    asked: source.Source,
    texts: dict[source.Source, str | None],
    memory: disk.Memory,
) -> str:
    """Why an entry built from it is stale; "" if it is not, or nobody can tell."""
    if asked not in texts:
        try:
            found = source.identify(asked, memory, leaf_digest=lambda _: None)
        except SourceMissing:
            texts[asked] = ""
        except (TensorCacheError, OSError):
            texts[asked] = None
        else:
            texts[asked] = found.text
    text = texts[asked]
    if text is None or text == known.identity:
        return ""
    return f"its source changed: {known.path}" if text else f"its source is gone: {known.path}"
