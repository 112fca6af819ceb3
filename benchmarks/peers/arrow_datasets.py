"""Hugging Face datasets: a row for each batch, in Arrow files, read in torch's format.

An Arrow array may vary in its first dimension only, so the leading axis of 1 is left out.
"""

from __future__ import annotations

import datasets
from datasets import Array2D, Array3D, Dataset, Features, List, Value, load_from_disk
from payloads import BATCHES

from peers.lists import lists_in, write_lists

datasets.disable_progress_bars()


def write(payload, folder):
    for section in payload:
        if section in BATCHES:
            rows = [rows_of(one) for one in payload[section]]
            first = {name: feature_of(array) for name, array in rows[0].items()}
            Dataset.from_list(rows, features=Features(first)).save_to_disk(folder / section)
    write_lists(payload, folder)


def load(folder):
    sections = [path for path in folder.iterdir() if path.is_dir()]
    return {path.name: Table(load_from_disk(path)) for path in sections} | lists_in(folder)


class Table:
    def __init__(self, dataset):
        self.dataset = dataset.with_format("torch")

    def __len__(self):
        return len(self.dataset)

    def __iter__(self):
        return map(batch_of, self.dataset)

    def __getitem__(self, position):
        return batch_of(self.dataset[position])


def rows_of(batch):
    return {name: tensor.numpy()[0] for name, tensor in batch.items()}


def feature_of(array):
    kind = array.dtype.name
    if array.ndim == 1:
        return List(Value(kind))
    return (Array2D if array.ndim == 2 else Array3D)((None, *array.shape[1:]), kind)


def batch_of(row):
    return {name: tensor[None] for name, tensor in row.items()}
