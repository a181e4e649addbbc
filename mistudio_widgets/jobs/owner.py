"""Who owns a job: a lock that dies with its process."""

from __future__ import annotations

import fcntl
import os
import uuid
import weakref
from pathlib import Path


class Owner:
    """A manager's sign of life: a lock that the system frees when the process dies.

    ``flock`` belongs to the open file. ``lockf`` would be lost as soon as any descriptor of the
    file is closed; ``fork`` shares the open file, so children close it.
    """

    def __init__(self, folder: Path) -> None:
        self.id = uuid.uuid4().hex
        self.path = folder / f"{self.id}.lock"
        self._descriptor = self._open_locked()
        _owners.add(self)

    def _open_locked(self) -> int:
        while True:
            # who may read the folder must be able to ask: no answer looks like a dead owner
            descriptor = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # a sweep may have taken the file for a dead one's before it was locked
            if os.fstat(descriptor).st_nlink:
                return descriptor
            os.close(descriptor)

    def release(self) -> None:
        """End this owner and remove its files."""
        if self._descriptor >= 0:
            self.path.unlink(missing_ok=True)
            for note in self.path.parent.glob(f"{self.id}.*.json"):
                note.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1

    def _leave_to_parent(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


_owners: weakref.WeakSet[Owner] = weakref.WeakSet()


def _close_inherited() -> None:
    for owner in list(_owners):
        owner._leave_to_parent()  # noqa: SLF001 -- same module


os.register_at_fork(after_in_child=_close_inherited)


def is_owner_alive(folder: Path, owner_id: str, *, remove_dead: bool = False) -> bool:
    """Whether the manager with this id still holds its lock.

    Probed with a shared lock: two exclusive probes would see each other. ``remove_dead`` removes
    the file while that lock is held, so never the file of one that is just being born.
    """
    try:
        descriptor = os.open(folder / f"{owner_id}.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if remove_dead:
            (folder / f"{owner_id}.lock").unlink(missing_ok=True)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
