"""Which torch device, and how many of the machine's threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..errors import InvalidRequestError


def resolve_device(device: str) -> str:
    """Return the device to compute on: "auto" is CUDA where torch sees it, else the CPU.

    Raises
    ------
    InvalidRequestError
        When torch cannot use the device.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InvalidRequestError(
            f"device: torch cannot use {device!r} here.",
            field="device",
            hint='Choose "auto" or "cpu".',
        ) from error
    return device


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute in the calling thread alone, on the CPU.

    Between two calls torch's helpers wait by spinning: beside busy encoders that was a third of
    all CPU time. Every thread has its own number of helpers, but setting it also sets what
    later threads begin with; that is put right from another thread.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    other = threading.Thread(target=torch.set_num_threads, args=(before,))
    other.start()
    other.join()
    try:
        yield
    finally:
        torch.set_num_threads(before)
