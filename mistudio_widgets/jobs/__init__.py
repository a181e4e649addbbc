"""Background work: threads, states, cancelling, and who owns what.

`JobRunner` knows nothing of datasets. It is given work as functions and tells of every change
through two callbacks, called without any lock held.

    queued ─> running ─> succeeded
       │         ├────> failed
       └─────────┴─> cancelling ─> cancelled

Cancelled means: the thread has stopped and what it had written is gone.

owner    `Owner`: this process's sign of life
job      `Job`, the handle, and `Work`, what it does
runner   `JobRunner`
"""

from .job import Job, Work, ended_job
from .owner import Owner, is_owner_alive
from .runner import JobRunner, interruption, read_job_file

__all__ = [
    "Job",
    "JobRunner",
    "Owner",
    "Work",
    "ended_job",
    "interruption",
    "is_owner_alive",
    "read_job_file",
]
