"""Cache, the object that holds a root: what people call."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from tensorcache import disk, source
from tensorcache.cache.ask import ask, checked, to_be_checked
from tensorcache.cache.build import Asked, Builds, NewerEntry
from tensorcache.cache.questions import Questions
from tensorcache.cache.switch import Switch
from tensorcache.cache.upkeep import Upkeep
from tensorcache.cache.warning import one_call
from tensorcache.entry import Entry
from tensorcache.errors import EntryMissing, UnkeyableValue
from tensorcache.key import Key
from tensorcache.limits import Limits

if TYPE_CHECKING:
    import pandas as pd

    from tensorcache.cache.memoize import Memoized, Sources
    from tensorcache.explain import Alike, Diff, Explanation
    from tensorcache.index import Table
    from tensorcache.plan import SweepPlan
    from tensorcache.stats import Stats
    from tensorcache.vacuum import VacuumPlan

P = ParamSpec("P")
R = TypeVar("R")


class Cache:
    """A root, open. Safe to use from several threads and after a fork; see `tensorcache.open`."""

    def __init__(
        self, root: disk.Root, *, mode: str, verify: str, limits: Limits, cannot: str
    ) -> None:
        self.root = root.path
        self._root = root
        self._switch = Switch(root, mode=mode, verify=verify, limits=limits, cannot=cannot)
        self._questions = Questions(root, self._switch)
        self._upkeep = Upkeep(root, self._switch, self._questions, limits)

    @property
    def mode(self) -> str:
        """`rw`, `ro`, `refresh` or `off`, which it also is inside `disabled()`."""
        return self._switch.mode

    @property
    def _builds(self) -> Builds:
        return self._switch.builds

    def __repr__(self) -> str:
        return f"Cache({self.root!r}, mode={self.mode!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is held between calls; entries that are open stay readable."""

    def get_or_build(
        self,
        inputs: Mapping[str, Any],
        build: Callable[[], Any],
        *,
        version: str | source.CodeVersion,
        namespace: str,
        sources: Mapping[str, source.Source] | None = None,
        refresh: bool = False,
        wait: float | None = None,
        clone: bool = False,
        audit: Any = None,
        strict_keys: bool = False,
        shadow: float = 0.0,
        shadow_tolerance: float | None = None,
    ) -> Entry:
        """The result of `build()`, from the cache if it is there.

        Args:
            inputs: plain values that, with sources and version, fully determine the result.
            build: makes the payload; called on a miss only, by one process at a time.
            version: which code builds: `code_version(build)`, or text that you change by hand.
            namespace: the kind of thing, as in "model_a.batches"; also the name of its SQL view.
            sources: what the build reads from outside, by name: `database(path)`, `files(…)`.
            refresh: build and replace what is there.
            wait: seconds for another process that builds the same; None, as long as it lives.
            clone: what is fetched is copied, each time: it shares memory with nothing.
            audit: `audited(config)`, or what `keying` gave: what `build` reads of it in any thread
                and is not in the key is one warning.
            strict_keys: it is an error, of a hit too; nothing is published.
            shadow: the share of hits (1.0: each) that are built again and compared with what is
                stored; what differs is one warning, and `Entry.shadow`. Nothing else is changed.
            shadow_tolerance: by how much floats may differ then; None, in no bit.

        Raises:
            UnkeyableValue: an input, the version or the namespace cannot be part of a key.
            UnstorableValue: the payload holds what cannot be stored exactly.
            SourceMissing: a source is not there.
            LeaseTimeout: another process still builds after `wait` seconds.
            LeaseRecursion: `build` asked for the key that it builds.
            UnkeyedRead: with `strict_keys` alone.
        """
        started = time.perf_counter()
        asked = self._ask(inputs, version, sources or {}, namespace)
        asked = to_be_checked(asked, inputs, audit, shadow, shadow_tolerance, strict=strict_keys)
        refresh = refresh or self.mode == "refresh"
        with one_call():
            try:
                entry = None
                if asked.key and not refresh:
                    entry = self._builds.hit(asked.key, started, clone=clone)
                if entry is None and asked.key and self._switch.writes:
                    entry = self._builds.wait_or_build(
                        asked, build, self._questions.why, refresh=refresh, wait=wait, clone=clone
                    )
            except NewerEntry as error:  # never replaced by us, and no reason to fail
                asked = asked._replace(why=f"not published: {error}")
            if entry is None:
                entry = self._not_written(asked, build, clone=clone)
        return checked(entry, asked, build, self._builds)

    def _not_written(self, asked: Asked, build: Callable[[], Any], *, clone: bool) -> Entry:
        why = asked.why
        if not why and self.mode == "ro" and asked.key:
            why = "not published: the cache is open with mode='ro'; "
            why += self._questions.why(asked.key)
        return self._builds.in_memory(asked._replace(why=why), build, self.mode, clone=clone)

    def key(
        self,
        inputs: Mapping[str, Any],
        *,
        version: str | source.CodeVersion,
        namespace: str,
        sources: Mapping[str, source.Source] | None = None,
    ) -> Key:
        """The key that `get_or_build` would use now.

        Raises:
            UnkeyableValue: also where a source cannot be identified now.
            SourceMissing: a source is not there.
        """
        asked = self._ask(inputs, version, sources or {}, namespace)
        if asked.key is None:
            raise UnkeyableValue(asked.why)
        return asked.key

    def _ask(
        self,
        inputs: Mapping[str, Any],
        version: str | source.CodeVersion,
        sources: Mapping[str, source.Source],
        namespace: str,
    ) -> Asked:
        asked = ask(inputs, version, sources, namespace, self._builds.memory)
        self._questions.remember(asked)
        return asked

    def disabled(self) -> AbstractContextManager[None]:
        """`with cache.disabled():` this cache neither reads nor writes, as with mode="off".

        `get_or_build` builds, and gives an entry in memory. It counts for this thread or asyncio
        task alone: a thread begun inside is on (before Python 3.14), what others do is theirs. It
        may be nested, and ends with the block, however that ends.
        """
        return self._switch.disabled()

    def memoize(
        self,
        *,
        version: str | source.CodeVersion,
        sources: Sources | None = None,
        ignore: tuple[str, ...] = (),
        namespace: str | None = None,
    ) -> Callable[[Callable[P, R]], Memoized[P, R]]:
        """Keep the results of a plain function: `@cache.memoize(version="1")`.

        The inputs are its arguments by name, defaults among them. It gives what the function did,
        on a miss too; `.entry(…)` gives the Entry; `.key(…)` and `.cached(…)` run nothing.

        Args:
            version: which code builds: `code_version(module)`, or text that you change by hand.
            sources: by name, or a function that takes the same arguments and gives them.
            ignore: arguments that change no result.
            namespace: else module and name of the function, if it is neither local nor of a script
                or notebook. Values that it closes over are not in the key.

        Raises:
            TypeError: the function is async, a generator or a method, or needs a namespace.
            UnkeyableValue: `namespace`, or what it is called with, cannot be part of a key.
        """
        from tensorcache.cache.memoize import Memoized  # inspect, which get_or_build never needs

        given: Any = {"version": version, "sources": sources, "ignore": ignore}
        return lambda function: Memoized(self, function, namespace=namespace, **given)

    def get(self, key: Key | str, default: Any = None) -> Any:
        """The Entry of a key or of a unique prefix of its digits (6 or more), else `default`."""
        try:
            return self[key]
        except EntryMissing:
            return default

    def __getitem__(self, key: Key | str) -> Entry:
        started = time.perf_counter()
        entry = self._builds.hit(self._questions.named(key), started, clone=False)
        if entry is None:
            but = self._builds.cannot
            raise EntryMissing(f"no entry {str(key)[:16]} in {self.root!r}{but and ': '}{but}")
        return entry

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, Key | str):
            return False
        try:
            found = self._questions.named(key)
        except EntryMissing:
            return False
        return self.mode != "off" and os.path.exists(disk.manifest_path(self._root, str(found)))

    def put(self, key: Key, payload: Any) -> Entry:
        """Publish a payload under a key from `cache.key(…)`; what was there is replaced.

        Raises:
            UnstorableValue: it holds what cannot be stored exactly.
            ReadOnlyCache, CacheFull: it cannot be published; nothing changed.
        """
        if not isinstance(key, Key):
            raise TypeError(f"put({key!r:.40}, …): a prefix names no new entry: pass cache.key(…)")
        if hashlib.sha256(key.text.encode()).hexdigest() != key.digest:
            raise UnkeyableValue(f"put({key.short!r}, …): its text is another's: use cache.key(…)")
        with self._switch.writing():
            return self._builds.put(key, payload)

    def remove(self, *keys: Key | str) -> None:
        """Remove entries, pinned or not; what others have open stays readable to them.

        Raises:
            EntryMissing: one of the keys has none; then nothing is removed.
        """
        self._upkeep.remove(keys)

    def pin(self, key: Key | str, note: str = "") -> None:
        """Keep an entry from being vacuumed; `note` says why, for people.

        Raises:
            EntryMissing: there is none.
        """
        self._upkeep.set_pin(key, note)

    def unpin(self, key: Key | str) -> None:
        """Let an entry be vacuumed again."""
        self._upkeep.set_pin(key, None)

    def upgrade(self) -> None:
        """Make the index or bring it up to date, and take in what is due.

        Raises:
            CacheTooNew: a newer tensorcache made it.
            ReadOnlyCache, LeaseTimeout: the cache cannot be changed now.
        """
        with self._switch.writing():
            self._questions.bring_up()

    def entries(
        self, where: str = "", params: Any = (), namespace: str | None = None
    ) -> pd.DataFrame:
        """The entries of which the SQL text `where` holds, newest first, with their uses.

        Of one `namespace`, they have its inputs as columns too, which `where` may use.

        Raises:
            BadQuery: `where` is no condition over the columns that there are.
        """
        return self._questions.entries(where, params, namespace)

    def listed(self, where: str = "", **how: Any) -> Table:
        """What `entries` gives, without pandas; `how`: params, namespace, columns, sort, limit."""
        return self._questions.listed(where, **how)

    def sql(self, query: str, params: Any = ()) -> pd.DataFrame:
        """What one SELECT over the index gives; each namespace is a view (`docs/schema.md`).

        Raises:
            BadQuery: it is wrong, writes, or takes longer than 5 seconds.
        """
        return self._questions.sql(query, params)

    def table(self, query: str, params: Any = ()) -> Table:
        """What `sql` gives, as plain rows and without pandas."""
        return self._questions.table(query, params)

    def stats(self, *, since: float | str | None = None, by: str | None = None) -> Stats:
        """Hits, misses, builds, waits and the time that they saved, and what is held now.

        Of the last `since` seconds (or "7d"), else two years; `by` "namespace", "day" or "hour".
        """
        return self._questions.stats(since, by)

    def explain(self, key: Key | str) -> Explanation:
        """The nearest of the newest 1,000 entries of the key's namespace, and how it differs.

        Of an entry that is there: of those before it, which is why it was a miss.
        Which parts of sources and code differ is known of entries, and of the keys that this
        cache made last (`cache.key(…)`).

        Raises:
            EntryMissing: only digits were given, and no entry has them.
        """
        return self._questions.explain(key)

    def explain_inputs(self, inputs: Mapping[str, Any], *, namespace: str) -> Alike:
        """The entries whose inputs are nearest, whatever their sources and version.

        Raises:
            UnkeyableValue: an input or the namespace cannot be part of a key.
        """
        return self._questions.explain_inputs(inputs, namespace)

    def plan(self, keys: Iterable[Key | str]) -> SweepPlan:
        """What would be hits and what builds, were these asked for in turn; all 64 digits do too.

        Nothing is built or written; what is ahead is told by the newest entries of a namespace.

        Raises:
            UnkeyableValue: one of them is no key.
        """
        return self._questions.plan(keys)

    def diff(self, old: Key | str, new: Key | str) -> Diff:
        """In what two entries differ: inputs, sources, version, and all that they hold.

        Raises:
            EntryMissing, EntryCorrupt, CacheTooNew: one is not there, or cannot be read.
        """
        return self._questions.diff(old, new)

    def verify(self, *, deep: bool = False, repair: bool = False) -> list[str]:
        """What is wrong, a line each: manifests, sizes, rows; none if all is well.

        What a fault leaves of its entry is a miss until it is built again.

        Args:
            deep: read every byte too.
            repair: what is broken moves to quarantine, rows or the whole index are written anew; a
                line says what was done.

        Raises:
            ReadOnlyCache: with `repair` alone.
        """
        return self._upkeep.verify(deep=deep, repair=repair)

    def reindex(self) -> int:
        """Make the index anew from manifests and pins; how many entries it has.

        Uses and events are taken over as far as they can be read; the old file goes to quarantine.

        Raises:
            CacheTooNew: a newer tensorcache made the index, which stays as it is.
            ReadOnlyCache, LeaseTimeout, CacheFull: it cannot be made now; nothing changed.
        """
        return self._upkeep.reindex()

    def vacuum(
        self,
        *,
        max_bytes: int | None = None,
        older_than_seconds: float | None = None,
        unused_for_seconds: float | None = None,
        stale: bool = False,
        keep_last: int | None = None,
        namespace: str | None = None,
        where: str = "",
        params: Any = (),
        policy: str = "",
        grace_seconds: float = 3600.0,
        dry_run: bool = False,
        listed: VacuumPlan | None = None,
    ) -> VacuumPlan:
        """Remove what is asked for, and always what no entry refers to; what went, and why.

        Entries that are pinned, open in a process, or used within the grace stay, and so does what
        is not in `listed`, the plan of a dry run. Where nothing is asked for, it keeps the limits
        of the cache. `docs/retention.md` has all.

        Raises:
            ReadOnlyCache, LeaseTimeout: the cache cannot be changed now.
            BadQuery: `where` is no condition that `entries` takes.
        """
        return self._upkeep.vacuum(**{key: it for key, it in locals().items() if key != "self"})
