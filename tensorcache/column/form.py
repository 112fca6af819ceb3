"""How each dtype lies in memory and in a shard, and what a tensor is.

A dtype that safetensors' own torch reader lacks is stored as a view of one that it has, so that
any program can read a shard; the true dtype stands in the structure. Whatever has no exact form
is refused by path: sparse, quantised, nested and meta tensors, sub-byte ints, subclasses, object
arrays.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from blake3 import blake3

from tensorcache.tree import Path, Root, refuse


class Form(NamedTuple):
    """A dtype: its name in structures, what shards call it, what numpy maps it as.

    `pair`: an item is two of what is stored (complex128 is two F64), as a last dimension.
    `torch`: the dtype to view the memory as, where numpy has none.
    """

    name: str
    stored: str
    numpy: np.dtype[Any]
    pair: bool = False
    torch: torch.dtype | None = None


_SHARED = {  # dtypes that numpy and torch both have, by their common name
    "bool": "BOOL", "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64",
    "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64",
    "float16": "F16", "float32": "F32", "float64": "F64",
}  # fmt: skip
_TORCH_ONLY = {  # name: (stored, numpy's stand-in)
    "bfloat16": ("BF16", "<u2"),
    "float8_e4m3fn": ("F8_E4M3", "u1"),
    "float8_e5m2": ("F8_E5M2", "u1"),
    "float8_e4m3fnuz": ("U8", "u1"),
    "float8_e5m2fnuz": ("U8", "u1"),
    "float8_e8m0fnu": ("U8", "u1"),
    "float4_e2m1fn_x2": ("U8", "u1"),  # two numbers to a byte
    "complex32": ("F16", "<u4"),
}

FORMS = {name: Form(name, stored, np.dtype(name)) for name, stored in _SHARED.items()}
FORMS["complex64"] = Form("complex64", "F32", np.dtype("complex64"), pair=True)
FORMS["complex128"] = Form("complex128", "F64", np.dtype("complex128"), pair=True)
for _name, (_stored, _numpy) in _TORCH_ONLY.items():
    if hasattr(torch, _name):  # the fp4 kind is newer than torch 2.4
        FORMS[_name] = Form(
            _name, _stored, np.dtype(_numpy), pair=_name == "complex32", torch=getattr(torch, _name)
        )
_OF_TORCH = {getattr(torch, name): form for name, form in FORMS.items() if hasattr(torch, name)}
_OF_NUMPY = {form.numpy: form for form in FORMS.values() if form.torch is None}


def form_named(name: str) -> Form:
    """The form of a dtype as a structure names it.

    Raises:
        KeyError, TypeError: there is no such dtype in this torch or numpy.
    """
    form = FORMS.get(name) or _form_of_numpy(np.dtype(name))
    if form is None:
        raise KeyError(f"no dtype {name!r}")
    return form


def form_of(leaf: Any) -> Form:
    """The form of a tensor or array that `is_leaf` let pass."""
    if isinstance(leaf, np.ndarray):
        form = _form_of_numpy(leaf.dtype)
        if form is None:
            raise TypeError(f"no form for {leaf.dtype}")
        return form
    return _OF_TORCH[leaf.dtype]


def _form_of_numpy(dtype: np.dtype[Any]) -> Form | None:
    form = _OF_NUMPY.get(dtype)
    if form is not None or dtype.char in "gG":  # long doubles differ between machines
        return form
    if dtype.kind in "mM" and dtype.isnative:
        form = Form(dtype.name, "I64", dtype)
    elif dtype.kind in "iufcmM" and not dtype.isnative:  # kept as it is: swapping would copy
        stored = f"U{min(dtype.itemsize, 8) * 8}"
        form = Form(dtype.str, stored, dtype, pair=dtype.itemsize == 16)
    if form is not None:
        _OF_NUMPY[dtype] = form
    return form


def is_leaf(value: Any, path: Path) -> bool:
    """Whether `value` is a tensor, to be laid into a column.

    Raises:
        UnstorableValue: it is one that has no exact form.
    """
    kind = type(value)
    if kind is torch.Tensor:
        why = _why_not(*_traits(value))
        if why:
            refuse(path, f"a tensor that is {why}", "store its dense parts")
        return True
    if kind is np.ndarray:
        if _form_of_numpy(value.dtype) is None:
            refuse(path, f"an array of dtype {value.dtype}", "convert it to numbers, or tolist()")
        return True
    if isinstance(value, torch.Tensor):
        refuse(path, f"a {kind.__qualname__}, a subclass of Tensor", "store it.detach(), or .data")
    if isinstance(value, np.ndarray):
        refuse(path, f"a {kind.__qualname__}, a subclass of ndarray", "store np.asarray(it)")
    return False


def are_leaves(values: Sequence[Any]) -> bool:
    """Whether all are tensors that `is_leaf` lets pass; what they have in common is judged once."""
    kinds = set(map(type, values))
    if kinds == {torch.Tensor}:
        return not any(_why_not(*traits) for traits in set(map(_traits, values)))
    if kinds == {np.ndarray}:
        return all(_form_of_numpy(dtype) for dtype in {value.dtype for value in values})
    return False


_traits = operator.attrgetter("layout", "dtype", "is_nested", "is_meta")


def _why_not(layout: Any, dtype: torch.dtype, is_nested: bool, is_meta: bool) -> str:
    if is_nested:
        return "nested"
    if layout is not torch.strided:
        return f"sparse ({layout})"
    if dtype not in _OF_TORCH:
        return f"of dtype {dtype}"
    if is_meta:
        return "on the meta device, without data"
    return ""


def array_of(leaf: Any) -> np.ndarray[Any, Any]:
    """The items of a leaf as a C-contiguous array of its form's numpy dtype: a view if it can."""
    array: np.ndarray[Any, Any] = leaf
    if type(leaf) is not np.ndarray:
        try:
            array = leaf.numpy()
        except (RuntimeError, TypeError):  # of a graph, on a device, or of a dtype that numpy lacks
            array = _array_of_odd(leaf)
    # safetensors 0.8.0 would store strided arrays wrongly. The copy is numpy's: torch would share
    # a large one among its threads, whose pool hangs in a forked child.
    return array if array.flags.c_contiguous else array.copy(order="C")


def _array_of_odd(leaf: torch.Tensor) -> np.ndarray[Any, Any]:
    form = _OF_TORCH[leaf.dtype]
    tensor = leaf.detach().resolve_conj().resolve_neg().cpu()
    if form.torch is not None:
        tensor = tensor.view(_STAND_IN[form.numpy.itemsize])
    array: np.ndarray[Any, Any] = tensor.numpy(force=True)  # zeros that were never made
    return array.view(form.numpy) if form.torch is not None else array


def bytes_of(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A C-contiguous array as the bytes that it lies in."""
    return array.reshape(-1).view(np.uint8)


_STAND_IN = {1: torch.uint8, 2: torch.int16, 4: torch.int32}


def tensor_of(array: np.ndarray[Any, Any], form: Form) -> torch.Tensor:
    """A tensor over the memory of `array`, which is of `form.numpy`."""
    if form.torch is None:
        return torch.from_numpy(array)
    return torch.from_numpy(array.view(f"i{array.itemsize}")).view(form.torch)


def leaf_digest(value: Any) -> str | None:
    """Kind, dtype, shape and blake3 of an array or tensor, as text; None for what is neither.

    The kind counts, because a build may give back what it was given.

    Raises:
        UnstorableValue: a tensor that has no exact form.
    """
    if not is_leaf(value, Root("value(x)")):
        return None
    array = array_of(value)
    digest = blake3(bytes_of(array).data).hexdigest()
    kind = "numpy"
    if type(value) is not np.ndarray:
        kind = "torch-grad" if value.requires_grad else "torch"
    return f"{kind}:{form_of(value).name}:{list(value.shape)}:{digest}"
