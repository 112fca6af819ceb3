"""Tensors: every dtype and layout comes back bit for bit, and equal ones lie in a shard once."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest
import torch
from exact import identical, print_of, raw
from hypothesis import given, settings
from hypothesis import strategies as st
from kept import Kept, there_and_back
from safetensors import safe_open
from safetensors.torch import load_file

from tensorcache import column, shard
from tensorcache.errors import UnstorableValue

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")


@pytest.fixture
def put(cache):
    """Puts a payload under the next key."""
    keys = (cache.key({"n": n}, version="1", namespace="t") for n in range(10_000))
    return lambda payload: cache.put(next(keys), payload)


def shard_files(root):
    return {
        os.path.join(folder, name)
        for folder, _, names in os.walk(os.path.join(root, "shards"))
        for name in names
    }


# Every dtype is decided: stored exactly, or refused by path.

STORED = (
    "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64 "
    "complex32 complex64 complex128 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz "
    "float8_e8m0fnu float4_e2m1fn_x2"
).split()
REFUSED = (
    "quint8 qint8 qint32 quint4x2 quint2x4 bits1x8 bits2x4 bits4x2 bits8 bits16 "
    "uint1 uint2 uint3 uint4 uint5 uint6 uint7 int1 int2 int3 int4 int5 int6 int7"
).split()
PRESENT = [name for name in STORED if hasattr(torch, name)]


def test_every_dtype_of_torch_is_decided():
    known = {str(v).removeprefix("torch.") for v in vars(torch).values() if type(v) is torch.dtype}

    assert known <= {*STORED, *REFUSED}


def of_bytes(dtype, *shape):
    """A tensor of any dtype whose bytes count up: NaN payloads, -0.0 and subnormals among them."""
    size = math.prod(shape) * dtype.itemsize
    if not size:
        return torch.empty(shape, dtype=dtype)
    top = 2 if dtype == torch.bool else 256
    items = torch.from_numpy((np.arange(size) * 37 % top).astype(np.uint8))
    return items.view(dtype).reshape(shape)


@pytest.mark.parametrize("name", PRESENT)
def test_every_stored_dtype_comes_back_bit_for_bit(name):
    whole = of_bytes(getattr(torch, name), 4, 6)
    payload = {
        "list": [whole, whole[0, 0], whole[:0], whole[1:3], whole[2]],
        "alone": {"whole": whole, "0-d": whole[1, 1], "empty": whole[:, :0]},
    }

    assert identical(there_and_back(payload), payload)


@pytest.mark.filterwarnings("ignore:.*quantize")
@pytest.mark.parametrize("name", [name for name in REFUSED if hasattr(torch, name)])
def test_every_other_dtype_is_refused_by_path(name):
    tensor = torch.empty(0, dtype=getattr(torch, name))

    with pytest.raises(UnstorableValue, match=rf"^payload\['a'\]\[3\]: .*{name}"):
        column.lay({"a": [1, 2, 3, tensor]})


@pytest.mark.filterwarnings("ignore")  # torch announces the end of each of these
def test_other_kinds_of_tensors_are_refused_by_path():
    rows = torch.ones(2, 2)
    kinds = {
        "sparse": rows.to_sparse(),
        "sparse_csr": rows.to_sparse_csr(),
        "nested": torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]),
        "meta": torch.empty(2, device="meta"),
        "Parameter": torch.nn.Parameter(rows),
        "torch.quint8": torch.quantize_per_tensor(rows, 0.1, 0, torch.quint8),
    }

    for name, tensor in kinds.items():
        with pytest.raises(UnstorableValue, match=rf"^payload\['a'\]: .*{name}"):
            column.lay({"a": tensor})


NUMPY = (
    "?|u1|<u2|<u4|<u8|i1|<i2|<i4|<i8|<f2|<f4|<f8|<c8|<c16|>u2|>u4|>u8|>i2|>i4|>i8|>f2|>f4|>f8|>c8"
    "|>c16|<M8[ns]|<M8[us]|<M8[D]|<M8[Y]|<M8[25s]|<m8[ns]|<m8[h]|>M8[s]|>m8[ns]|<M8|<m8"
).split("|")


def array_of_bytes(dtype, *shape):
    size = math.prod(shape) * np.dtype(dtype).itemsize
    top = 2 if dtype == "?" else 256
    return (np.arange(size) * 37 % top).astype(np.uint8).view(dtype).reshape(shape)


@pytest.mark.parametrize("dtype", NUMPY)
def test_every_numpy_dtype_comes_back_bit_for_bit_and_in_its_byte_order(dtype):
    whole = array_of_bytes(dtype, 4, 6)
    payload = {
        "list": [whole, whole[0, 0].reshape(()), whole[:0], whole[1:3]],
        "alone": {"whole": whole, "0-d": whole[1, 1].reshape(()), "empty": whole[:, :0]},
    }

    assert identical(there_and_back(payload), payload)


def test_every_kind_of_numpy_dtype_is_decided():
    kinds = {np.dtype(char).kind for char in np.typecodes["All"]} | {"T"}

    assert kinds == set("biufcmM") | set("OSUVT")


@pytest.mark.parametrize("dtype", ["O", "S3", "U3", "V4", "i4,f4", "g", "G", "T"])
def test_other_numpy_dtypes_are_refused_by_path(dtype):
    with pytest.raises(UnstorableValue, match=r"^payload\['a'\]\[0\]: an array of dtype"):
        column.lay({"a": [np.zeros(2, dtype)]})


def test_every_dtype_can_be_read_by_any_safetensors_reader(put, root):
    put({name: of_bytes(getattr(torch, name), 3, 2) for name in PRESENT})
    put({name: array_of_bytes(name, 3, 2) for name in NUMPY})

    found = {}
    for path in shard_files(root):
        with safe_open(path, framework="pt") as file:
            assert file.metadata() is None
        found |= load_file(path)

    for name in PRESENT:
        assert raw(found[f"{name}#0"]) == raw(of_bytes(getattr(torch, name), 3, 2))
    assert len(found) == len(PRESENT) + len(NUMPY)


# Every layout.


def test_layouts_in_memory_do_not_count():
    base = torch.arange(24.0).reshape(4, 6)
    plane = torch.complex(base, -base)
    payload = {
        "torch": {
            "transposed": base.T,
            "strided": base[::2, 1::3],
            "expanded": base[:1].expand(5, 6),
            "expanded to none": base[:1].expand(0, 6),
            "offset": base[1:, 2:],
            "flipped": base.flip(0),
            "channels last": base.reshape(1, 3, 4, 2).to(memory_format=torch.channels_last),
            "conjugate": plane.conj(),
            "negative": plane.conj().imag,
            "half conjugate": plane.to(torch.complex32).conj(),
            "0-d conjugate": plane[1, 2].conj(),
            "one row apart": torch.arange(200)[::100][:1],
        },
        "numpy": {
            "transposed": base.numpy().T,
            "negative strides": base.numpy()[::-1, ::-2],
            "broadcast": np.broadcast_to(base.numpy()[0], (3, 6)),
            "fortran": np.asfortranarray(base.numpy()),
            "unaligned": np.frombuffer(b"x" + bytes(range(16)), "<f4", 4, offset=1),
            "read-only": np.frombuffer(bytes(range(16)), "<i4"),
            "one row apart": np.arange(200)[::100][:1],
        },
    }  # fmt: skip

    loaded = there_and_back(payload)

    assert identical(loaded, payload)
    for tensor in loaded["torch"].values():
        assert tensor.is_contiguous()
        assert not tensor.is_conj()
        assert not tensor.is_neg()


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (3, 0), (0, 0, 2), (1,) * 64])
@pytest.mark.parametrize("kind", ["torch", "numpy"])
def test_shapes_at_their_ends(shape, kind):
    double = np.zeros(shape, np.complex128)
    single = np.ones(shape, np.float32)
    payload = {"a": [double, single], "b": {"c": double, "d": single}}
    if kind == "torch":
        double, single = torch.from_numpy(double), torch.from_numpy(single)
        payload = {"a": [double, single], "b": {"c": double, "d": single}}

    assert identical(there_and_back(payload), payload)


def test_complex_numbers_can_be_computed_with_wherever_they_lie(put):
    """Instructions that torch uses on complex128 fault where it is not aligned to 16 bytes."""
    for n in range(1, 18):
        entry = put({"x": [{"n" * n: torch.ones(1, dtype=torch.complex128), "i": torch.arange(n)}]})

        assert entry["x"][0]["n" * n].clone().fill_(2j).sum() == 2j


def test_requires_grad_is_detached_and_remembered():
    weight = torch.ones(3, requires_grad=True)
    product = weight * 2
    payload = {"a": [weight, product, torch.ones(3)], "b": {"w": weight}}

    loaded = there_and_back(payload)

    assert [tensor.requires_grad for tensor in loaded["a"]] == [True, True, False]
    assert loaded["b"]["w"].requires_grad
    assert all(tensor.is_leaf for tensor in loaded["a"])
    assert identical(loaded, payload)


def test_zeros_of_either_sign_and_nan_payloads_are_told_apart():
    values = [torch.tensor([0.0]), torch.tensor([-0.0])]
    values += [torch.tensor([0x7FC00000 + i]).int().view(torch.float32) for i in range(2)]

    kept = Kept({"a": values})

    assert identical(kept.load()["a"], values)
    assert kept.names()["a#0"] == ("F32", (4,))


def test_the_caller_s_tensors_are_left_as_they_were():
    tensor = torch.arange(6.0).reshape(2, 3).T
    payload = {"a": [tensor, {"b": tensor}], "c": np.arange(4)[::-1]}
    before = print_of(payload), tensor.stride(), tensor.data_ptr(), tensor._version

    there_and_back(payload)

    assert (print_of(payload), tensor.stride(), tensor.data_ptr(), tensor._version) == before


DTYPES = st.sampled_from([getattr(torch, name) for name in PRESENT])
SHAPES = st.lists(st.integers(0, 3), max_size=3).map(tuple)
TENSORS = st.builds(lambda dtype, shape: of_bytes(dtype, *shape), DTYPES, SHAPES) | st.builds(
    lambda dtype, shape: array_of_bytes(dtype, *shape), st.sampled_from(NUMPY), SHAPES
)
PLAIN = st.none() | st.integers() | st.text("a#/\u00e9", max_size=2)
ELEMENTS = st.recursive(
    TENSORS | PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.text("ab/#%~0", max_size=2), inner, max_size=3),
        st.dictionaries(st.integers(0, 2) | st.sampled_from(["~0", "0"]), inner, max_size=3),
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text("ab/#", max_size=2), ELEMENTS | st.lists(ELEMENTS, max_size=6)))
def test_any_payload_comes_back_exactly(payload):
    kept = Kept(payload)

    assert identical(kept.load(), payload)
    assert len(kept.names()) == sum(
        len(shard.read(kept.pieces[piece.digest], "")) for piece in kept.contents.shards
    )


def test_an_array_and_a_tensor_are_no_equal_values():
    ones = np.ones(3, "f4"), torch.ones(3), torch.ones(3, requires_grad=True)

    assert len({column.leaf_digest(one) for one in ones}) == 3
    assert column.leaf_digest(torch.ones(3)) == column.leaf_digest(torch.ones(6)[::2])
    assert column.leaf_digest(3) is None
