"""A payload laid out and written in memory, and read back: for cases that are many."""

from __future__ import annotations

import math

from tensorcache import column, shard


class Kept:
    """What `lay` and `write` make, in memory: for cases that are many."""

    def __init__(self, payload):
        self.pieces = {}
        self.laid = column.lay(payload)
        self.contents = column.write(self.laid, self._add)
        self.shards = {}

    def _add(self, _kind, _size_bytes, write):
        data = bytearray()
        piece = write(data.extend)
        self.pieces[piece.digest] = memoryview(data)
        return piece

    def tensor(self, digest, name):
        if digest not in self.shards:
            self.shards[digest] = shard.read(self.pieces[digest], digest)
        return self.shards[digest][name]

    def document(self, digest):
        return self.pieces[digest]

    def load(self):
        sections = {}
        for name, structure in self.contents.sections.items():
            packed = self.pieces[structure] if isinstance(structure, str) else structure
            sections[name] = column.OpenSection(packed, self, clone=False).load(None, {})
        return sections if self.laid.is_dict else sections[""]

    def names(self):
        """The tensors of all shards: name, dtype, shape."""
        return {
            name: (one.dtype, one.shape)
            for digest in dict.fromkeys(piece.digest for piece in self.contents.shards)
            for name, one in shard.read(self.pieces[digest], digest).items()
        }

    def tensor_bytes(self):
        """The bytes of columns, without the index tensors beside them."""
        return sum(
            math.prod(shape) * shard.ITEM_BYTES[dtype]
            for name, (dtype, shape) in self.names().items()
            if name.rpartition("#")[2].isdigit()
        )


def there_and_back(payload):
    return Kept(payload).load()
