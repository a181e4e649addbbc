"""A device that this machine does not have: tensors that claim to be on it, and are watched.

Ops run on the CPU, but as strictly as on a card: a tensor of the device and one of the host do
not mix, and nothing is read by numpy before it is brought over with ``.cpu()``. What the host
computes itself is written down.
"""

from __future__ import annotations

from typing import Self

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

# torch knows the name, and asks no driver for it
DEVICE = torch.device("lazy")

_BRINGS_OVER = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


class OnDevice(torch.Tensor):
    """A tensor that claims to be on the device."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Self:
        found = torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), dtype=inner.dtype, device=DEVICE
        )
        found.inner = inner
        return found

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise AssertionError(f"{func} outside of PretendedDevice")


class PretendedDevice(TorchDispatchMode):
    """Runs what is on the device, and notes what the host computes.

    Attributes
    ----------
    device_ops, host_ops : list of (str, int)
        Name of each op, and size of the largest tensor that it took or gave.
    """

    def __init__(self) -> None:
        super().__init__()
        self.device_ops: list[tuple[str, int]] = []
        self.host_ops: list[tuple[str, int]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        tensors = [
            item for item in tree_flatten((args, kwargs))[0] if isinstance(item, torch.Tensor)
        ]
        is_from_device = any(isinstance(item, OnDevice) for item in tensors)
        wants = kwargs.get("device")
        if is_from_device and func not in _BRINGS_OVER:
            hosts = [t for t in tensors if not isinstance(t, OnDevice) and t.dim()]
            assert not hosts, f"{func} mixes tensors of the device and of the host"
        is_to_device = is_from_device if wants is None else torch.device(wants) == DEVICE
        if wants is not None:
            kwargs["device"] = torch.device("cpu")
        given, named = tree_map(_unwrap, (args, kwargs))
        found = func(*given, **named)
        sizes = [t.numel() for t in (*tensors, *tree_flatten(found)[0]) if _is_tensor(t)]
        ops = self.device_ops if is_from_device or is_to_device else self.host_ops
        ops.append((str(func), max(sizes, default=0)))
        return tree_map(_wrap, found) if is_to_device else found


def _is_tensor(item: object) -> bool:
    return isinstance(item, torch.Tensor)


def _unwrap(item):
    return item.inner if isinstance(item, OnDevice) else item


def _wrap(item):
    return OnDevice(item) if _is_tensor(item) else item
