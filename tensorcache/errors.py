"""What can go wrong, each with what, where, and the remedy.

Every error is a `TensorCacheError` and also the builtin that a caller already knows, so that
`except KeyError` keeps working. Messages are lowercase: what happened, the value in repr, the
remedy. Some are the caller's mistakes and are always raised (`UnkeyableValue`, `UnstorableValue`,
`UnkeyedRead` where it was asked for); what the environment does wrong is never a reason to lose
what was built.
"""


class TensorCacheError(Exception):
    """The root of all errors of this library."""

    def __str__(self) -> str:
        # KeyError would show the repr of its message.
        return Exception.__str__(self) if len(self.args) != 1 else str(self.args[0])


class UnkeyableValue(TensorCacheError, TypeError):
    """A value that cannot be part of a key; the message names its path (`inputs.training.lr`)."""


class UnkeyedRead(TensorCacheError, LookupError):
    """With `strict_keys`: a build read a field that is not in its key; nothing was published."""


class UnstorableValue(TensorCacheError, TypeError):
    """A value that cannot be stored exactly; raised before a byte is written, with its path."""


class SourceMissing(TensorCacheError, FileNotFoundError):
    """A source (database, file, module) that is not there to be identified."""


class EntryMissing(TensorCacheError, KeyError):
    """No entry has this key, or the generation that a handle stood for is gone."""


class EntryCorrupt(TensorCacheError, OSError):
    """A manifest, shard or document that is not what its name says, or breaks a limit.

    `piece` is (kind, digest) where a shard or document is to blame.
    """

    piece: tuple[str, str] | None = None


class LeaseTimeout(TensorCacheError, TimeoutError):
    """Another process is still building, and the caller's patience is over."""


class LeaseRecursion(TensorCacheError, RuntimeError):
    """A builder asked for the very key that it is building."""


class CacheTooNew(TensorCacheError, RuntimeError):
    """The root, entry or index was written by a newer tensorcache."""


class NotACache(TensorCacheError, ValueError):
    """The directory is not a cache, or no longer there."""


class UnsafeCache(TensorCacheError, PermissionError):
    """Others could write into this cache, or its filesystem cannot lock; refused for writing."""


class ReadOnlyCache(TensorCacheError, PermissionError):
    """A change was asked of a cache that is open for reading only, or cannot be written."""


class CacheFull(TensorCacheError, OSError):
    """No space is left where the cache lies."""


class BadQuery(TensorCacheError, ValueError):
    """SQL that is wrong, writes, or runs for too long."""
