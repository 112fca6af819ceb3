"""Where files lie, and the few calls that change them; no SQL, no torch.

Rules of this room: a reader trusts only what has a digest; a writer works in `building/` and
publishes by renames under the root lock; nothing published is ever modified, only replaced whole
or unlinked. Locks are flocks on descriptors that are closed, never unlocked, so the kernel frees
them on any death. `locked` and `claim` are one function each: whatever guards a root that several
machines share will stand behind them.
"""

from tensorcache.disk.filesystem import filesystem, is_shared
from tensorcache.disk.held import (
    Held,
    digest_of,
    forget_entry,
    forget_piece,
    hold,
    read_manifest,
)
from tensorcache.disk.keys import compared, find, keys_in, keys_of, opened_among, unlike
from tensorcache.disk.lock import Lease, claim, holder, locked
from tensorcache.disk.memory import (
    Memory,
    append_use,
    forget_uses,
    read_pins,
    set_pin,
    take_uses,
)
from tensorcache.disk.place import (
    ROOT_FORMAT,
    Root,
    dangers,
    default_root,
    format_of,
    generation_of,
    let_group_write,
    manifest_path,
    no_marker,
    piece_name,
    piece_path,
    prepare,
    read_file,
    sync_directory,
    temporary,
)
from tensorcache.disk.publish import (
    FULL,
    Staging,
    clear_note,
    is_open,
    leave_notes,
    leave_notes_if_space,
    notes,
    stage,
    unlink_manifests,
    unlink_pieces,
)
from tensorcache.disk.sweep import (
    Leftover,
    Listing,
    leftovers,
    links_in,
    listing,
    loose_pieces,
    quarantine,
    remove_leftover,
    set_aside,
)

__all__ = [
    "FULL",
    "ROOT_FORMAT",
    "Held",
    "Lease",
    "Leftover",
    "Listing",
    "Memory",
    "Root",
    "Staging",
    "append_use",
    "claim",
    "clear_note",
    "compared",
    "dangers",
    "default_root",
    "digest_of",
    "filesystem",
    "find",
    "forget_entry",
    "forget_piece",
    "forget_uses",
    "format_of",
    "generation_of",
    "hold",
    "holder",
    "is_open",
    "is_shared",
    "keys_in",
    "keys_of",
    "leave_notes",
    "leave_notes_if_space",
    "leftovers",
    "let_group_write",
    "links_in",
    "listing",
    "locked",
    "loose_pieces",
    "manifest_path",
    "no_marker",
    "notes",
    "opened_among",
    "piece_name",
    "piece_path",
    "prepare",
    "quarantine",
    "read_file",
    "read_manifest",
    "read_pins",
    "remove_leftover",
    "set_aside",
    "set_pin",
    "stage",
    "sync_directory",
    "take_uses",
    "temporary",
    "unlike",
    "unlink_manifests",
    "unlink_pieces",
]
