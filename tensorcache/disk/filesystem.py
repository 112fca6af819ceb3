"""The filesystem that a root is on, and whether its locks are of one host alone."""

from __future__ import annotations

import os

# Filesystems whose locks may not cross hosts: two hosts would overwrite each other's index.
_SHARED_FILESYSTEMS = frozenset(
    "nfs nfs4 cifs smb3 smbfs lustre gpfs beegfs ceph afs 9p virtiofs vboxsf prl_fs glusterfs "
    "ocfs2 gfs2 orangefs".split()
)


def filesystem(path: str) -> str:
    """The type of the filesystem that `path` is on; "" where the kernel does not say."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            mounts = file.read().splitlines()
    except OSError:
        return ""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for mount in mounts:
        fields, _, tail = mount.partition(" - ")
        if fields.split(" ", 3)[2] == wanted:
            return tail.split(" ", 1)[0]
    return ""


def is_shared(kind: str) -> bool:
    """Whether several hosts may mount a filesystem of this type."""
    return kind in _SHARED_FILESYSTEMS or kind.startswith("fuse")
