"""What every peer is given, made from a seed: the same in every process.

A payload is a dict of sections. Those in `BATCHES` are lists of dicts of tensors, all others are
plain values. "3000" has six sections, as script 3 has them: 3,000 batches in two lists of half the
count, 80 % of the second list equal to a batch of the first (equal, not the same tensors), and
the lists and metas that go with them. "large" is eight tensors of 256 MiB, three of them repeated.
"""

from __future__ import annotations

import msgpack
import numpy as np
import torch
import xxhash

BATCHES = ("oof_batches", "all_batches", "test_batches", "tensors")
P, S = 15, 24  # players of a team, stats of a player; a list has 15 or 30 teams
N_EMBEDDINGS = 500
LARGE_SHAPE = (1, 64, 1024, 1024)  # of float32: 256 MiB


def make(name):
    """The payload of this name: a number of batches, or "large"."""
    return large() if name == "large" else batches(int(name))


def batches(count):
    """The six sections for so many batches of five tensors each."""
    rng = np.random.default_rng(count)
    half = count // 2
    sizes = np.where(rng.random(half) < 1 / 3, 30, 15).tolist()
    oof = [batch(rng, teams) for teams in sizes]
    again = (rng.random(half) < 0.8).tolist()
    every = [
        {name: tensor.clone() for name, tensor in one.items()} if repeated else batch(rng, teams)
        for one, repeated, teams in zip(oof, again, sizes, strict=True)
    ]
    oof_lists = [list_of(rng, number, teams) for number, teams in enumerate(sizes)]
    return {
        "split_info": {"split_mode": "seasons", "n_train_lists": half, "train_frac": 0.75},
        "oof_lists": oof_lists,
        "all_lists": [list_of(rng, number, teams) for number, teams in enumerate(sizes)],
        "list_metas": [meta_of(rng, one) for one in oof_lists],
        "oof_batches": oof,
        "all_batches": every,
    }


def batch(rng, teams):
    """One list of so many teams as tensors."""
    tensors = {
        "embedding_indices": rng.integers(0, N_EMBEDDINGS, (1, teams, P)),
        "player_stats": rng.standard_normal((1, teams, P, S), dtype=np.float32),
        "minutes": rng.random((1, teams, P), dtype=np.float32),
        "key_padding_mask": rng.random((1, teams, P)) < 0.05,
        "rel": rng.permutation(teams).astype(np.float32)[None],
    }
    return {name: torch.from_numpy(values) for name, values in tensors.items()}


def list_of(rng, number, teams):
    """One list as plain values."""
    rates = np.sort(rng.random(teams))[::-1]
    year = 2015 + number // 360 % 80
    return {
        "conference": "EW"[number % 2],
        "as_of_date": f"{year}-{1 + number // 30 % 12:02}-{1 + number % 28:02}",
        "season": f"{year}-{(year + 1) % 100:02}",
        "team_ids": (1_610_612_737 + rng.permutation(30)[:teams]).tolist(),
        "win_rates": rates.tolist(),
        "final_rank": (1 + rng.permutation(30)[:teams]).tolist(),
    }


def meta_of(rng, one):
    """What a batch leaves out of its list: teams x P player ids, some of them None."""
    teams = len(one["team_ids"])
    ids = rng.integers(1_000, 1_700_000, (teams, P)).tolist()
    there = (rng.random((teams, P)) >= 0.05).tolist()
    return {
        "team_ids": one["team_ids"],
        "as_of_date": one["as_of_date"],
        "conference": one["conference"],
        "season": one["season"],
        "win_rates": one["win_rates"],
        "rel_values": [31.0 - rank for rank in one["final_rank"]],
        "player_ids_per_team": [
            [player if here else None for player, here in zip(*team, strict=True)]
            for team in zip(ids, there, strict=True)
        ],
    }


def large():
    """Eight tensors of 256 MiB; three are equal to one before."""
    distinct = [
        torch.rand(LARGE_SHAPE, generator=torch.Generator().manual_seed(number))
        for number in range(5)
    ]
    again = [tensor.clone() for tensor in distinct[:3]]
    return {"tensors": [{"values": tensor} for tensor in distinct + again]}


def tensors_of(sections):
    """Every tensor, in the order of the payload."""
    for name in BATCHES:
        if name in sections:
            for one in sections[name]:
                yield from one.values()


def checksum(sections):
    """The sum of the sums of every tensor: the same torch operation for every peer."""
    return sum(tensor.sum().item() for tensor in tensors_of(sections))


def lists_of(sections):
    """Every section without tensors, decoded; peers may give a function that reads it."""
    lists = {}
    for name in sections.keys() - set(BATCHES):
        value = sections[name]
        value = value() if callable(value) else value
        lists[name] = value if isinstance(value, dict) else list(value)
    return lists


def differences(payload, sections):
    """Where what a peer gave back is not what it was given; "" if nowhere."""
    if lists_of(sections) != lists_of(payload):
        return "the lists differ"
    for name in payload.keys() & set(BATCHES):
        got = iter(sections[name])
        for position, one in enumerate(payload[name]):
            other = next(got)
            if list(one) != list(other.keys()):
                return f"{name}[{position}] has the fields {list(other.keys())}"
            for field, tensor in one.items():
                if tensor.dtype != other[field].dtype or not torch.equal(tensor, other[field]):
                    return f"{name}[{position}][{field!r}] differs"
    return ""


def sizes(payload):
    """Bytes: of the tensors, of the distinct ones among them, of the lists as msgpack."""
    every = 0
    distinct = {}
    for tensor in tensors_of(payload):
        array = tensor.numpy()
        name = array.dtype.str, array.shape, xxhash.xxh3_128_digest(array)
        every += array.nbytes
        distinct[name] = array.nbytes
    lists = sum(len(msgpack.packb(value)) for value in lists_of(payload).values())
    return {"tensors": every, "distinct": sum(distinct.values()), "lists": lists}
