"""Arrays that others wrote, and arrays for others to read."""

from attention_jax.interop.tensors import read_metadata, read_tensors, write_tensors

__all__ = ["read_metadata", "read_tensors", "write_tensors"]
