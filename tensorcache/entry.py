"""Entry: a published result, or one that could not be published; sections open when touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tensorcache import disk, shard
from tensorcache.errors import EntryCorrupt, EntryMissing
from tensorcache.key import Key, NoKeyNow
from tensorcache.manifest import Manifest
from tensorcache.tree import collector_spared

if TYPE_CHECKING:  # torch is imported by the first section that is opened
    from tensorcache.column import OpenSection
    from tensorcache.explain import Shadow


class Entry(Mapping[str, Any]):
    """A result, as a mapping of its sections.

    `hit`: it was there. `published`: others can find it. `why`: why it was a miss, whom it waited
    for, or why it is not published; "" for a plain hit. `key` is None only where a source could
    not be identified, or moved while it was read: it is the result of no key. `build_seconds` is
    what building it took, here or elsewhere.

    Published entries are picklable as (root, key, generation), and what they have open stays
    readable and is not evicted while they live. As an input of another build an entry is its key.
    `shadow` is what building a sampled hit again found; None where it was not sampled.
    """

    shadow: Shadow | None = None

    def __init__(
        self,
        manifest: Manifest,
        memory: Callable[[str], memoryview],
        *,
        key: Key | None,
        hit: bool,
        why: str = "",
        held: disk.Held | None = None,
        clone: bool = False,
    ) -> None:
        self.key = key
        self.hit = hit
        self.why = why
        self._manifest = manifest
        self._pieces = Pieces(memory)
        self._held = held
        self._clone = clone
        self._open: dict[str, OpenSection] = {}

    @property
    def published(self) -> bool:
        """Whether other processes can find it."""
        return self._held is not None

    @property
    def build_seconds(self) -> float:
        """How long its build took, in seconds."""
        return self._manifest.build_seconds

    @property
    def audit(self) -> Mapping[str, list[str]] | None:
        """What its build read of an audited configuration; None where there was no audit.

        `read`, `unkeyed` (read, and not in the key), `unread` (in the key, and never read): dotted
        paths in order, 200 of each at most.
        """
        return self._manifest.audit

    def __getitem__(self, name: str) -> Any:
        """A section: `Batches` or `Rows` where a list was stored, else the value, made anew."""
        return self._section(name).value(
            lambda ordinal: lambda: (_reopen_rows, (self, name, ordinal))
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._manifest.sections)

    def __len__(self) -> int:
        return len(self._manifest.sections)

    def __contains__(self, name: object) -> bool:
        return name in self._manifest.sections

    def get(self, name: str, default: Any = None) -> Any:
        """A section, or `default` where there is none of that name."""
        # Mapping's own would also answer so when the entry is gone: EntryMissing is a KeyError.
        if name not in self:
            return default
        return self[name]

    def __repr__(self) -> str:
        key = self.key.short if self.key else "no key"
        state = "hit" if self.hit else "built" if self.published else "not published"
        return f"Entry({key}, {state}: {', '.join(self)})"

    def load(self, device: Any = None) -> Any:
        """The whole payload in exactly the types that were stored.

        With a device each column is copied there once, and the tensors are views of it.
        """
        copies: dict[Any, Any] = {}  # sections share columns, on a device too
        sections = {name: self._section(name).load(device, copies) for name in self}
        return sections if self._manifest.is_dict else sections[""]

    def _section(self, name: str) -> OpenSection:
        section = self._open.get(name)
        if section is None:
            from tensorcache.column import OpenSection  # torch: a hit that opens nothing needs none

            structure = self._manifest.sections[name]
            if isinstance(structure, str):
                structure = bytes(self._pieces.document(structure))
            with collector_spared():  # hundreds of small objects, all of which stay
                section = OpenSection(structure, self._pieces, clone=self._clone)
            self._open[name] = section
        return section

    def _contents_(self) -> tuple[dict[str, bytes | memoryview], Pieces]:
        """The packed structures of its sections, and its pieces: what entries are compared by."""
        structures = {
            name: structure if isinstance(structure, bytes) else self._pieces.document(structure)
            for name, structure in self._manifest.sections.items()
        }
        return structures, self._pieces

    def _key_(self) -> Key:
        if self.key is None:
            raise NoKeyNow(f"not published: an entry among the inputs is of no key: {self.why}")
        return self.key

    def __reduce__(self) -> tuple[Any, ...]:
        if self._held is None:
            raise TypeError(f"this entry is in memory only and cannot be pickled: {self.why}")
        root = self._held.root
        handle = root.path, root.group, self._manifest.key, self._manifest.digest, self._clone
        return _reopen, handle


class Pieces:
    """The shards and documents of an entry, mapped when first asked for."""

    def __init__(self, memory: Callable[[str], memoryview]) -> None:
        self._memory = memory
        self._shards: dict[str, dict[str, shard.Mapped]] = {}

    def tensor(self, digest: str, name: str) -> shard.Mapped:
        """A tensor of a shard."""
        tensors = self._shards.get(digest)
        if tensors is None:
            tensors = self._shards[digest] = shard.read(self._memory(digest), digest)
        try:
            return tensors[name]
        except KeyError:
            raise EntryCorrupt(f"shard {digest[:16]}: it has no tensor {name!r:.80}") from None

    def document(self, digest: str) -> memoryview:
        """A document."""
        return self._memory(digest)


def of_held(
    held: disk.Held, *, hit: bool, why: str = "", key: Key | None = None, clone: bool = False
) -> Entry:
    """The entry whose files are held open."""
    manifest = held.manifest
    sizes = {piece.digest: piece.size_bytes for _, piece in manifest.pieces}

    def memory(digest: str) -> memoryview:
        from tensorcache.column import map_file  # imported with the section that asks

        return held.using(digest, lambda file: map_file(file, sizes[digest]))

    key = key or Key(manifest.key, manifest.namespace, manifest.identity)
    return Entry(manifest, memory, key=key, hit=hit, why=why, held=held, clone=clone)


def _reopen(path: str, group: bool, key: str, generation: str, clone: bool) -> Entry:
    root = disk.Root(path, group)
    held = disk.hold(root, key, disk.Memory(root, write=False), "once")
    if held is None or held.manifest.digest != generation:
        raise EntryMissing(
            f"entry {key[:16]} of {path!r} was removed or built anew since: get it by its key"
        )
    return of_held(held, hit=True, clone=clone)


def _reopen_rows(entry: Entry, name: str, ordinal: int, span: tuple[int, int, int]) -> Any:
    rows = entry._section(name).rows(ordinal, lambda: (_reopen_rows, (entry, name, ordinal)))  # noqa: SLF001 - its own handle
    return rows.spanning(range(*span))
