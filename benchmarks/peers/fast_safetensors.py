"""fastsafetensors, which reads the file of the safetensors peer; on a CPU, without GPU-direct."""

from __future__ import annotations

from fastsafetensors import fastsafe_open

from peers.safetensors_file import given


def load(folder):
    file = fastsafe_open(str(folder / "tensors.safetensors"), device="cpu", nogds=True)
    return given(folder, file.get_tensor)
