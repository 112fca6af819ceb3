"""Cache: joins the rooms below. A result is looked up, waited for, or built and published.

Rules of this room: a hit runs no build step, waits for nobody and never meets the index, so what
only a miss or a question needs (torch, the index, pandas) is imported where it is needed. The
environment may fail in any way; then the caller still gets what was built, and one warning.
"""

from tensorcache.cache.main import Cache
from tensorcache.cache.opening import open_cache

__all__ = ["Cache", "open_cache"]
