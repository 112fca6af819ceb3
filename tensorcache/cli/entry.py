"""An entry as `tensorcache show` knows it: gathered as JSON has it, and said for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any

from tensorcache import disk
from tensorcache.cache import Cache
from tensorcache.cli import text
from tensorcache.errors import TensorCacheError
from tensorcache.manifest import Manifest


def described(cache: Cache, manifest: Manifest) -> dict[str, Any]:
    """All that is known of an entry, as JSON has it; the manifest holds whatever an index says."""
    from tensorcache import rows  # the index: most commands need none

    root = disk.Root(cache.root)
    identity = json.loads(manifest.identity)
    sections: dict[str, list[dict[str, Any]]] = {name: [] for name in manifest.sections}
    for section, field, dtype, shape, size_bytes in rows.catalogue(root, manifest):
        one = {"field": field, "dtype": dtype, "shape": list(shape), "bytes": size_bytes}
        sections[section].append(one)
    pieces = manifest.pieces
    try:
        query = "SELECT uses, last_used_at FROM entry WHERE key = ?"
        uses, used_at = next(iter(cache.table(query, (manifest.key,)).rows), (None, None))
    except TensorCacheError as error:  # an index that cannot be read takes nothing else away
        text.remark(str(error))
        uses, used_at = None, None
    return {
        "key": manifest.key,
        "namespace": manifest.namespace,
        "version": identity["version"],
        "bytes": manifest.size_bytes,
        "created_at": text.iso(text.at(manifest.created_at)),
        "host": manifest.host,
        "build_seconds": manifest.build_seconds,
        "tools": manifest.tools,
        "uses": uses,
        "last_used_at": text.iso(text.of_index(used_at)),
        "pinned": disk.read_pins(root).get(manifest.key),
        "inputs": identity["inputs"],
        "sources": [
            {**source._asdict(), "identity": identity["sources"].get(source.name)}
            for source in manifest.sources
        ],
        "code": [
            {"module": name, **part._asdict()} for name, part in (manifest.code or {}).items()
        ],
        "audit": manifest.audit,
        "sections": sections,
        "files": [
            {
                "path": disk.piece_name(kind, piece.digest),
                "bytes": piece.size_bytes,
            }
            for kind, piece in pieces
        ],
    }


def say(entry: dict[str, Any]) -> None:
    """Print what `described` gathered."""
    uses, pinned = entry["uses"], entry["pinned"]
    tools = ", ".join(f"{name} {version}" for name, version in entry["tools"].items())
    facts = {
        "key": entry["key"],
        "namespace": entry["namespace"],
        "version": entry["version"],
        "size": text.size(entry["bytes"]),
        "created": f"{text.local(entry['created_at'])} on {entry['host']}",
        "built in": f"{text.span(entry['build_seconds'])} with {tools}",
        "used": "not known" if uses is None else _used(uses, entry["last_used_at"]),
        "pinned": "no" if pinned is None else f"yes: {pinned}" if pinned else "yes",
    }
    text.table((), list(facts.items()))
    _part("inputs", ("input", "value"), list(_flat(entry["inputs"])))
    columns = ("name", "kind", "identity", "path")
    _part("sources", columns, [[one[name] for name in columns] for one in entry["sources"]])
    code = [(one["module"], text.size(one["size"]), one["digest"][:16]) for one in entry["code"]]
    _part("code", ("module", "size", "digest"), code, right=("size",))
    _part("audit", ("field", "was"), list(_audit(entry["audit"] or {})))
    _part(
        "sections",
        ("section", "field", "dtype", "shape", "size"),
        [
            (name, one["field"], one["dtype"], one["shape"], text.size(one["bytes"]))
            for name, tensors in entry["sections"].items()
            for one in tensors or [{"field": "", "dtype": "", "shape": "no tensors", "bytes": 0}]
        ],
        right=("size",),
    )
    files = [(one["path"], text.size(one["bytes"])) for one in entry["files"]]
    _part("files", ("path", "size"), files, right=("size",))


def _used(uses: int, last: str | None) -> str:
    return text.count(uses, "time") + (f", last {text.local(last)}" if last else "")


def _audit(audit: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """What is amiss comes by name; of what was read and is in the key, how many."""
    unkeyed, unread = audit.get("unkeyed", []), audit.get("unread", [])
    yield from (
        (name, "read, and not in the key: a change of it is a stale hit") for name in unkeyed
    )
    yield from (
        (name, "in the key, and never read: a change of it is a needless miss") for name in unread
    )
    if "read" in audit:
        yield text.count(len(set(audit["read"]) - set(unkeyed)), "field"), "read, and in the key"


def _part(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    right: Sequence[str] = (),
) -> None:
    if rows:
        print(f"\n{title}")
        text.table(columns, rows, right)


def _flat(inputs: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The path and value of every plain input, a tagged one (`{"$date": …}`) without its tag."""
    from tensorcache import schema  # sqlalchemy: `show` alone needs it here

    for path, tag, _ in schema.leaves(inputs):
        names = [name[1:] if name.startswith("$$") else name for name in path]
        value = reduce(lambda inner, name: inner[name], path, inputs)
        plain = value[tag] if tag else value
        # As a view has it, so that it can be copied into a condition.
        yield ".".join(names), json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
