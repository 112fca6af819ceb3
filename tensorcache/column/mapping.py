"""Files as memory: private to this process, and without a descriptor that stays open.

`mmap.mmap` keeps a descriptor for each map until Python 3.13 lets us say `trackfd=False`, and a
process has few; so this is libc's own.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_ssize_t)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_FAILED = ctypes.c_void_p(-1).value


# One type for maps of every size, cut by a view: making a type costs more than mapping a file.
class _Memory(ctypes.c_ubyte * sys.maxsize):  # type: ignore[misc]
    """Mapped memory, unmapped with its last view; at the end of the process the kernel does it."""

    size_bytes = 0

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing) -> None:
        if self.size_bytes and not ending():
            _libc.munmap(ctypes.addressof(self), self.size_bytes)


def map_file(descriptor: int, size_bytes: int) -> memoryview:
    """The file's bytes, copy-on-write: writable here, never written there.

    Raises:
        OSError: the kernel gives no memory for it.
    """
    access = mmap.PROT_READ | mmap.PROT_WRITE
    address = _libc.mmap(None, size_bytes, access, mmap.MAP_PRIVATE, descriptor, 0)
    if address == _FAILED:
        raise OSError(ctypes.get_errno(), f"{size_bytes} bytes cannot be mapped")
    memory = _Memory.from_address(address)
    memory.size_bytes = size_bytes  # every view keeps `memory`
    return memoryview(memory).cast("B")[:size_bytes]
