"""Questions to a cache: SQL over its entries, why a key is a miss, in what two entries differ.

Every question first takes in what was noted since the last writer. None of it is needed by a hit.
"""

from __future__ import annotations

import collections
import contextlib
import glob
import json
import logging
import mmap
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from tensorcache import disk
from tensorcache.cache.build import Asked
from tensorcache.cache.switch import Switch
from tensorcache.entry import Pieces
from tensorcache.errors import (
    BadQuery,
    EntryCorrupt,
    EntryMissing,
    LeaseTimeout,
    ReadOnlyCache,
    TensorCacheError,
    UnkeyableValue,
)
from tensorcache.key import Key, NoKeyNow, canonical, check_namespace
from tensorcache.limits import seconds_of
from tensorcache.manifest import Manifest

if TYPE_CHECKING:
    import pandas as pd

    from tensorcache.explain import Alike, Diff, Explanation, PartsOf, Side
    from tensorcache.index import Index, Table
    from tensorcache.plan import SweepPlan
    from tensorcache.stats import Stats

QUESTION_SECONDS = 2.0  # how long a question waits for a lock before it does without
HASTE_SECONDS = 0.5  # how long a miss waits for its reason
NO_SECONDS = 0.01  # for an index that was locked just now
ALL_ROWS = 1_000_000_000  # of an answer that is of keys alone, and read by no people
REMEMBERED = 16  # keys that were asked for last, of which the parts of sources are known
_log = logging.getLogger("tensorcache")
T = TypeVar("T")


class Questions:
    """What is asked of the entries of a root; nothing is built or removed."""

    def __init__(self, root: disk.Root, switch: Switch) -> None:
        self._root = root
        self._switch = switch
        self._asked: collections.deque[tuple[str, PartsOf]] = collections.deque(maxlen=REMEMBERED)

    @property
    def index(self) -> Index:
        """The index, to be written under the root lock by whoever cannot do without."""
        return self._index()

    @property
    def brief_index(self) -> Index:
        """The index for whoever can do without: another who has it locked is not waited out."""
        return self._index(patience_seconds=QUESTION_SECONDS)

    def _index(self, **patience: float) -> Index:
        from tensorcache.index import Index  # sqlalchemy: 0.2 s that a hit never spends

        path = self._root.join("index.sqlite")
        return Index(path, read_only=not self._switch.writes, **patience)

    def listed(
        self, where: str, params: Any = (), namespace: str | None = None, **how: Any
    ) -> Table:
        """The entries of which `where` holds, as plain rows; `how` is a `Listing`."""
        from tensorcache.index import Listing  # sqlalchemy, as above

        listing = Listing(**how)
        return self._answered(lambda index: index.entries(where, params, namespace, listing))

    def entries(self, where: str, params: Any, namespace: str | None) -> pd.DataFrame:
        """The entries of which `where` holds."""
        return _frame(self.listed(where, params, namespace))

    def keys_where(self, where: str, params: Any, namespace: str | None) -> frozenset[str]:
        """The keys of all entries of which `where` holds, as `entries` has them.

        Raises:
            BadQuery: it is no condition; or it says what is doubtful.
        """
        found = self.listed(where, params, namespace, columns=("key",), max_rows=ALL_ROWS)
        if found.warnings:
            raise BadQuery("; ".join(found.warnings))
        return frozenset(row[0] for row in found.rows)

    def table(self, query: str, params: Any) -> Table:
        """What one SELECT gives, as plain rows and without pandas."""
        return self._answered(lambda index: index.query(query, params))

    def sql(self, query: str, params: Any) -> pd.DataFrame:
        """What one SELECT gives."""
        return _frame(self.table(query, params))

    def stats(self, since: float | str | None, by: str | None) -> Stats:
        """What was asked in the last `since` seconds, and what is held."""
        from tensorcache import stats  # whoever asks for them, and nobody else
        from tensorcache.index import stats as asked  # sqlalchemy: 0.2 s that a hit never spends

        if by is not None and by not in stats.GROUPS:
            raise ValueError(f"by={by!r}: use one of {', '.join(stats.GROUPS)}, or None")
        if isinstance(since, str):
            since = seconds_of(since)
        if since is not None and not since >= 0:
            raise ValueError(f"since={since!r}: give seconds before now, or '7d'")
        journals = glob.glob("*", root_dir=self._root.join("journal"))
        if journals and not self._switch.writes:
            self._switch.builds.warn(
                "the newest uses are not counted: the cache is open for reading only"
            )
        now = time.time()
        start = None if since is None else now - since
        return self._answered(lambda index: asked(index, start, by, now))

    def explain(self, key: Key | str) -> Explanation:
        """The nearest entry to a key, and how it differs."""
        if isinstance(key, str):
            manifest = self._manifest_of(key)
            key = Key(manifest.key, manifest.namespace, manifest.identity)
        asked = key
        return self._answered(lambda index: self._explained(asked, index))

    def explain_inputs(self, inputs: Mapping[str, Any], namespace: str) -> Alike:
        """The entries whose inputs are nearest, whatever their sources and version."""
        from tensorcache.explain import explain_inputs  # a question needs it, a hit does not

        check_namespace(namespace)
        try:
            plain = canonical(dict(inputs), "inputs")
        except NoKeyNow as error:
            raise UnkeyableValue(str(error)) from None
        candidates = self._answered(lambda index: index.candidates(namespace))
        return explain_inputs(plain, namespace, candidates)

    def diff(self, old: Key | str, new: Key | str) -> Diff:
        """In what two entries differ."""
        from tensorcache.explain import Diff, compare, differences, with_parts  # as above

        held = [self._held(key) for key in (old, new)]
        before, after = (one.manifest for one in held)
        found = differences(
            json.loads(before.identity),
            json.loads(after.identity),
            ("namespace", "inputs", "sources", "version"),
        )
        found = with_parts(found, _parts_of(before), _parts_of(after))
        return Diff(before.key, after.key, found, tuple(compare(_side(held[0]), _side(held[1]))))

    def plan(self, keys: Iterable[Key | str]) -> SweepPlan:
        """What keys would ask of the cache, one after the other."""
        from tensorcache.plan import look  # a question needs it, a hit does not

        return look(self._root, keys, keeps=self._switch.mode in ("rw", "ro"))

    def _explained(self, key: Key, index: Index) -> Explanation:
        """What `explain` answers, from the index as it is."""
        from tensorcache.explain import explain, with_parts  # a miss or a question needs it

        there = self._manifest(key.digest)
        before = there.created_at if there else None  # it was a miss by what there was then
        found = explain(key, index.candidates(key.namespace, before))
        found = found._replace(hit=there is not None)
        nearest = self._manifest(found.nearest) if found.nearest else None
        if nearest is None:
            return found
        asked = _parts_of(there) if there else dict(self._asked).get(key.digest, {})
        detailed = with_parts(found.differences, _parts_of(nearest), asked)
        return found._replace(differences=detailed)

    def why(self, key: Key) -> str:
        """Why there is no entry of a key, in one line; "" where that cannot be told."""
        index = self._index(patience_seconds=HASTE_SECONDS)
        # In silence: what is wrong here fails the publication too, which says so.
        try:
            self.bring_up(index, HASTE_SECONDS)
        except LeaseTimeout:  # of the root or the index: it has been waited for
            index = self._index(patience_seconds=NO_SECONDS)
        except (OSError, TensorCacheError) as error:
            _log.debug("the reason of %s is told from what was known: %s", key.short, error)
        try:
            return str(self._explained(key, index))
        except Exception as error:  # noqa: BLE001 - a reason is never a reason to fail
            _log.debug("no reason for the miss of %s: %r", key.short, error)
            return ""

    def remember(self, asked: Asked) -> None:
        """What a key was made of, for whoever asks why it is a miss."""
        if asked.key is not None:
            self._asked.append((asked.key.digest, asked.parts))

    def _manifest(self, key: str) -> Manifest | None:
        """The manifest of a key, if there is one that can be read."""
        with contextlib.suppress(OSError, TensorCacheError):
            return disk.read_manifest(self._root, key)
        return None

    def _manifest_of(self, key: str) -> Manifest:
        found = disk.find(self._root, key)
        manifest = disk.read_manifest(self._root, found)
        if manifest is None:
            raise EntryMissing(f"entry {found[:16]} was removed just now")
        return manifest

    def _held(self, key: Key | str) -> disk.Held:
        held = disk.hold(self._root, str(self.named(key)), self._switch.builds.memory, "once")
        if held is None:
            raise EntryMissing(f"no entry {str(key)[:16]} in {self._root.path!r}")
        return held

    def named(self, key: Key | str) -> Key | str:
        """The key that digits stand for, if they are no key.

        Raises:
            EntryMissing: no entry has them, or several.
        """
        return key if isinstance(key, Key) else disk.find(self._root, key)

    def _answered(self, ask: Callable[[Index], T]) -> T:
        """What the index says, with all that is due; one that is broken is made anew, if it may."""
        index, missed = self.brief_index, ""
        try:
            self.bring_up(index)
        except (OSError, TensorCacheError) as error:
            missed = f"the newest uses are not counted: {error}"
        try:
            self._refuse_none(index, missed)
            found = ask(index)
        except EntryCorrupt:
            if not self._switch.writes:
                raise
            from tensorcache import rows  # the index: a hit needs none

            with disk.locked(self._root, QUESTION_SECONDS):
                found = rows.mended(self._root, index, lambda: ask(index))
        if missed:  # where there is no answer either, that is what is said
            self._switch.builds.warn(missed)
        return found

    def _refuse_none(self, index: Index, missed: str) -> None:
        """An index that is yet to be made knows no entry, and must not say that there is none."""
        if index.revision() is None and disk.keys_of(self._root):
            why = missed.rpartition(": ")[2] or "the cache is open for reading only"
            raise ReadOnlyCache(
                f"index {self._root.join('index.sqlite')!r} is not there and cannot be made now "
                f"({why}): ask once where the cache can be written"
            )

    def bring_up(
        self, index: Index | None = None, patience_seconds: float = QUESTION_SECONDS
    ) -> None:
        """Make the index or bring it up to date, and take in what is due, where that may be."""
        from tensorcache import rows  # the index: a hit needs none

        if self._switch.writes:
            with disk.locked(self._root, patience_seconds):
                rows.bring_up(self._root, index or self.index)


def _parts_of(manifest: Manifest) -> PartsOf:
    known = {f"sources.{source.name}": source.parts for source in manifest.sources}
    return {**known, "version": manifest.code}


def _side(held: disk.Held) -> Side:
    """An entry as `compare` takes it; mapped without torch, which nothing here needs."""
    from tensorcache.explain import Side  # a question needs it, a hit does not

    def map_file(descriptor: int) -> memoryview:
        return memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))

    pieces = Pieces(lambda digest: held.using(digest, map_file))
    sections = {
        name: structure if isinstance(structure, bytes) else pieces.document(structure)
        for name, structure in held.manifest.sections.items()
    }
    return Side(sections, pieces)


def _frame(table: Table) -> pd.DataFrame:
    """A table as pandas has it; warnings of the query are logged."""
    from tensorcache.cache.frame import frame  # only a question needs it

    for warning in table.warnings:
        _log.warning("%s", warning)
    return frame(table)
