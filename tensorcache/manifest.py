"""Manifest and its parts: NamedTuples, to bytes and back.

Rules of this room: pure, no files. A manifest is one entry; its appearance under its name is the
commit. On disk: a msgpack map, then the 32 raw bytes of the map's blake3. `format`, `key`,
`shards`, `documents` and the trailing digest keep their form in every format, so that any version
can name, measure and spare what a newer one wrote; unknown fields are ignored.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from blake3 import blake3

from tensorcache.errors import CacheTooNew, EntryCorrupt, UnstorableValue
from tensorcache.key import Key, check_namespace
from tensorcache.tree import pack, unpack

MANIFEST_FORMAT = 1
MAX_MANIFEST_BYTES = 64 << 20
AHEAD_SECONDS = 86_400.0  # what clocks of good will may differ by
_DIGEST_BYTES = 32


class Piece(NamedTuple):
    """A shard or a document: the blake3 of its bytes (64 hex digits), and how many they are."""

    digest: str
    size_bytes: int


class Part(NamedTuple):
    """What one part of a source or of the code was: what a miss is explained by.

    `size` is what people count it in: rows of a table, bytes of a file or module.
    """

    size: int
    digest: str


Parts = Mapping[str, Part]


class Provenance(NamedTuple):
    """Where an input outside came from: provenance, never part of the key.

    `stat` is (device, inode, size in bytes, mtime_ns, ctime_ns), or None where there is no file.
    `parts` are its tables or files by name, or None where they are not known.
    """

    name: str
    kind: str
    path: str | None
    stat: tuple[int, ...] | None
    parts: Parts | None = None


class Manifest(NamedTuple):
    """One entry. `sections` maps names to packed structures, or to the digest of a document.

    `code` are the modules that the version covers, or None where it was given by hand. `digest` is
    the blake3 of the manifest's body: the generation of the entry.
    """

    key: str
    identity: str
    is_dict: bool
    sections: dict[str, bytes | str]
    shards: tuple[Piece, ...]
    documents: tuple[Piece, ...]
    sources: tuple[Provenance, ...]
    created_at: float
    build_seconds: float
    host: str
    tools: dict[str, str]
    audit: dict[str, Any] | None = None
    code: Parts | None = None
    format: int = MANIFEST_FORMAT
    digest: str = ""

    @property
    def namespace(self) -> str:
        """The kind of thing cached."""
        return str(json.loads(self.identity)["namespace"])

    @property
    def pieces(self) -> list[tuple[str, Piece]]:
        """What the entry refers to, by kind: shards, then documents."""
        shards = [("shard", piece) for piece in self.shards]
        return shards + [("document", piece) for piece in self.documents]

    @property
    def size_bytes(self) -> int:
        """The bytes of all pieces, shared ones counted in full."""
        return sum(piece.size_bytes for _, piece in self.pieces)

    @property
    def mtime_ns(self) -> int:
        """The mtime that its file gets: `created_at` to the microsecond, as rows have it, in ns.

        So one look at a file tells its generation from another.
        """
        fraction, seconds = math.modf(self.created_at)
        return (int(seconds) * 1_000_000 + round(fraction * 1e6)) * 1_000


class ColumnRow(NamedTuple):
    """A line of the catalogue of tensors: a column of a section, `field` as people write it."""

    section: str
    field: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int


def columns_of(section: str, structure: bytes | memoryview) -> list[ColumnRow]:
    """The columns that a section refers to, from its packed structure; no shard is read.

    Raises:
        EntryCorrupt: it is no structure.
    """
    fields = unpack(structure)
    try:
        references = [("", reference) for reference in fields["columns"]]
        for laid in fields["lists"]:
            for field in laid["fields"]:
                name = "/".join(map(str, field["steps"]))
                references += [(name, reference) for reference in field["columns"]]
        return [
            ColumnRow(section, name or tensor.partition("#")[0], dtype, tuple(shape), size_bytes)
            for name, (_, tensor, _, dtype, _, _, shape, size_bytes, *_) in references
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise EntryCorrupt(f"section {section!r}: its structure: {error!r:.200}") from error


def to_bytes(manifest: Manifest) -> bytes:
    """The manifest as it lies on disk.

    Raises:
        UnstorableValue: it is too large to be read again.
    """
    body = pack(
        {
            "format": manifest.format,
            "key": manifest.key,
            "identity": manifest.identity,
            "is_dict": manifest.is_dict,
            "sections": manifest.sections,
            "shards": [list(piece) for piece in manifest.shards],
            "documents": [list(piece) for piece in manifest.documents],
            "sources": [_plain(source) for source in manifest.sources],
            "created_at": manifest.created_at,
            "build_seconds": manifest.build_seconds,
            "host": manifest.host,
            "tools": manifest.tools,
            "audit": manifest.audit,
        }
        | ({} if manifest.code is None else {"code": manifest.code})  # as it was before there was
    )
    if len(body) + _DIGEST_BYTES > MAX_MANIFEST_BYTES:
        raise UnstorableValue(
            f"payload: its {len(manifest.sections)} sections make a manifest of {len(body)} bytes, "
            f"over the limit of {MAX_MANIFEST_BYTES}: nest them under one name"
        )
    return body + blake3(body).digest()


def from_bytes(data: bytes, wanted: Key | str) -> Manifest:
    """The manifest of the key `wanted` from the bytes of its file.

    Raises:
        EntryCorrupt: the digest, the form or the key is wrong.
        CacheTooNew: a newer tensorcache wrote it; it must neither be replaced nor moved away.
    """
    key = str(wanted)
    body, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if len(data) <= _DIGEST_BYTES or blake3(body).digest() != digest:
        raise EntryCorrupt(f"manifest {key[:16]}: its bytes do not match their digest")
    try:
        fields = unpack(body)
        if fields["format"] > MANIFEST_FORMAT:
            raise CacheTooNew(
                f"entry {key[:16]} has format {fields['format']}, this tensorcache reads "
                f"{MANIFEST_FORMAT}: upgrade tensorcache"
            )
        _check_identity(fields["key"], fields["identity"], wanted)
        return Manifest(
            key=key,
            identity=fields["identity"],
            is_dict=fields["is_dict"],
            sections=fields["sections"],
            shards=tuple(Piece(*piece) for piece in fields["shards"]),
            documents=tuple(Piece(*piece) for piece in fields["documents"]),
            sources=tuple(_provenance(*source) for source in fields["sources"]),
            created_at=fields["created_at"],
            build_seconds=fields["build_seconds"],
            host=fields["host"],
            tools=fields["tools"],
            audit=fields["audit"],
            code=_parts(fields.get("code")),
            format=fields["format"],
            digest=digest.hex(),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EntryCorrupt(f"manifest {key[:16]}: {error!r:.200}") from error


def _plain(source: Provenance) -> list[Any]:
    return list(source if source.parts else source[:4])


def _provenance(
    name: str, kind: str, path: str | None, stat: Any, parts: Any = None, *_: Any
) -> Provenance:
    return Provenance(name, kind, path, None if stat is None else tuple(stat), _parts(parts))


def _parts(parts: Any) -> Parts | None:
    return None if parts is None else {name: Part(*part) for name, part in parts.items()}


def _check_identity(key: str, identity: str, wanted: Key | str) -> None:
    """What the index and every view are made from must be what a key is made from."""
    if key != str(wanted):
        raise ValueError(f"it is of the key {key!r:.80}")
    if isinstance(wanted, Key) and identity == wanted.text:
        return  # the very text that was asked for
    if hashlib.sha256(identity.encode()).hexdigest() != key:
        raise ValueError("its identity text is not the key's")
    text = json.loads(identity)
    check_namespace(text["namespace"])
    if type(text["inputs"]) is not dict or type(text["version"]) is not str:
        raise ValueError("its identity text is not of a key")
