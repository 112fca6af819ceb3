"""diskcache: the payload under one key."""

from __future__ import annotations

import diskcache


def write(payload, folder):
    with diskcache.Cache(folder, size_limit=1 << 40) as cache:
        cache["payload"] = payload


def ready(folder):
    return diskcache.Cache(folder, size_limit=1 << 40)


def load(cache):
    return cache["payload"]
