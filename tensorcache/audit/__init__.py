"""Audit: which fields of a configuration a build reads, beside those that its key is made from.

Rules of this room: standard library only, and imported by whoever asks for an audit, so that a hit
without one pays nothing. A *field* is a place by its dotted path, `training.rolling_windows`; a
list is one field and given as itself. A *branch* is a mapping or an object of fields and given as
a view; `training.*` stands for its names. In doubt more counts as read by a build than was.

    view.py    views, and who hears of what is read through them
    watch.py   one build: what it read, what is in its key, and what is to be said of that
"""

from tensorcache.audit.view import audited
from tensorcache.audit.watch import Audit, Watch, keying

__all__ = ["Audit", "Watch", "audited", "keying"]
