"""Background work: threads, states, cancelling, and who owns what.

`JobRunner` knows nothing of datasets. It is given work as functions and tells of every change
through two callbacks, called without any lock held.

    queued ─> running ─┬─> succeeded
      ^  │      │      └─> failed
      │  │      ├─> paused ─┐
      └──│──────│─── retry ─┤
         └──────┴───────────┴─> cancelling ─> cancelled

Cancelled means: the thread has stopped and what it had written is gone. Paused means: the thread
has stopped and what it had written stays, for this process or a later one to go on with.

owner    `Owner`: this process's sign of life
job      `Job`, the handle, and `Work`, what it does
runner   `JobRunner`
"""

from .job import Change, Job, PausableWork, Work, ended_job
from .owner import Owner, is_owner_alive
from .runner import JobRunner, interruption, read_job_file

__all__ = [
    "Change",
    "Job",
    "JobRunner",
    "Owner",
    "PausableWork",
    "Work",
    "ended_job",
    "interruption",
    "is_owner_alive",
    "read_job_file",
]
