"""What a caller asks for: its key, and what is to be checked of what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tensorcache import disk, source
from tensorcache.cache.build import Asked, Builds, identify
from tensorcache.entry import Entry
from tensorcache.key import NoKeyNow, make_key


def ask(
    inputs: Mapping[str, Any],
    version: str | source.CodeVersion,
    sources: Mapping[str, source.Source],
    namespace: str,
    memory: disk.Memory,
) -> Asked:
    """The key of inputs, version and sources as they are now, or why there is none.

    Raises:
        UnkeyableValue, SourceMissing: there can be none.
    """
    code = source.version_of(version, memory)
    identities = identify(sources, memory)
    texts = {name: identity.text or "" for name, identity in identities.items()}
    try:
        key = make_key(inputs, version=code.text, sources=texts, namespace=namespace)
    except NoKeyNow as error:
        return Asked(None, version, code, sources, identities, str(error))
    for name, identity in identities.items():
        if identity.text is None:
            why = f"sources.{name}: {identity.why}"
            return Asked(None, version, code, sources, identities, why)
    return Asked(key, version, code, sources, identities, "")


def to_be_checked(
    asked: Asked,
    inputs: Mapping[str, Any],
    audit: Any,
    shadow: float,
    shadow_tolerance: float | None,
    *,
    strict: bool,
) -> Asked:
    """With a watch on what the build reads, and a sample of hits, where they are asked for.

    Raises:
        TypeError, ValueError: they are asked for wrongly.
    """
    if audit is not None or strict or hasattr(type(inputs), "_audited_"):
        from tensorcache.audit import Watch  # who asks for no audit needs none of it

        asked = asked._replace(watch=Watch(audit, inputs, strict=strict))
    if shadow or shadow_tolerance is not None:
        from tensorcache.cache.shadow import sample_of  # nor of this

        asked = asked._replace(sample=sample_of(shadow, shadow_tolerance))
    return asked


def checked(entry: Entry, asked: Asked, build: Callable[[], Any], builds: Builds) -> Entry:
    """A hit, checked as it was asked for; all else as it is.

    Raises:
        UnkeyedRead: with `strict_keys` alone.
    """
    if entry.hit and asked.watch:
        asked.watch.refuse(entry.audit, entry)
    if entry.hit and asked.sample:
        from tensorcache.cache.shadow import look_again  # it was imported with the sample

        entry.shadow = look_again(asked.sample, entry, asked, build, builds)
    return entry
