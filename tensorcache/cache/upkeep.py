"""Upkeep: what keeps a root whole and small. Nothing of it is needed by a hit or a build.

Rules of this room: whoever has the root lock keeps all who publish waiting, so an index that
somebody else has locked is waited for briefly, but by what was asked for the index itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tensorcache import disk
from tensorcache.cache.questions import Questions
from tensorcache.cache.switch import Switch
from tensorcache.errors import EntryMissing
from tensorcache.key import Key
from tensorcache.limits import Limits, policy_of

if TYPE_CHECKING:
    from tensorcache.vacuum import VacuumPlan


class Upkeep:
    """Entries pinned and removed, limits kept, faults found and mended."""

    def __init__(
        self, root: disk.Root, switch: Switch, questions: Questions, limits: Limits
    ) -> None:
        self._root = root
        self._limits = limits
        self._switch = switch
        self._questions = questions

    def remove(self, keys: Iterable[Key | str]) -> None:
        """Remove entries, or none if one of them is not there."""
        from tensorcache import rows  # the index: a hit needs none

        digests = sorted({str(self._questions.named(key)) for key in keys})
        with self._switch.writing(), disk.locked(self._root):
            for digest in digests:
                self._check_there(digest)
            rows.reconcile(self._root, self._questions.brief_index)
            rows.remove(self._root, self._questions.brief_index, digests, spare_open=False)

    def set_pin(self, key: Key | str, note: str | None) -> None:
        """Pin an entry with a note, or unpin it (None)."""
        from tensorcache import rows  # the index: a hit needs none

        with self._switch.writing(), disk.locked(self._root):
            digest = str(self._questions.named(key))
            self._check_there(digest)  # and nobody removes it meanwhile
            rows.pin(self._root, self._questions.brief_index, digest, note)

    def _check_there(self, digest: str) -> None:
        if not os.path.lexists(disk.manifest_path(self._root, digest)):
            raise EntryMissing(f"no entry {digest[:16]} in {self._root.path!r}")

    def vacuum(
        self,
        *,
        dry_run: bool,
        listed: VacuumPlan | None,
        stale: bool,
        where: str,
        params: Any,
        policy: str,
        **terms: Any,
    ) -> VacuumPlan:
        """Remove what the terms ask for, and what no entry refers to; what went, and why."""
        from tensorcache import rows, vacuum  # the index: a hit needs none

        root, index = self._root, self._questions.brief_index
        asked = vacuum.Terms(policy=policy_of(policy or self._limits.policy), **terms)
        with self._switch.writing():
            if stale or where:  # which is asked of rows, and without the lock: it may take long
                with disk.locked(root):
                    rows.reconcile(root, index)
            if where:
                only = self._questions.keys_where(where, params, asked.namespace)
                asked = asked._replace(only=only)
            if stale:
                from tensorcache.stale import stale_entries  # as above

                memory = self._switch.builds.memory
                asked = asked._replace(stale=stale_entries(index, memory))
            return vacuum.clean(root, index, asked, self._limits, dry_run=dry_run, listed=listed)

    def verify(self, *, deep: bool, repair: bool) -> list[str]:
        """A line for each fault, and with `repair` what was done about it."""
        from tensorcache.cache.repair import mend  # they read everything: no business of a hit
        from tensorcache.cache.verify import faults_of

        root, index, writes = self._root, self._questions.brief_index, self._switch.writes
        if not repair:
            return [str(fault) for fault in faults_of(root, index, deep=deep, forget=writes)]
        with self._switch.writing():
            faults = faults_of(root, index, deep=deep, forget=True)
            return [str(fault) for fault in mend(root, index, faults)]

    def reindex(self) -> int:
        """Make the index anew; how many entries it has."""
        from tensorcache import rows  # the index: a hit needs none

        with self._switch.writing(), disk.locked(self._root):
            return rows.reindex(self._root, self._questions.index)
