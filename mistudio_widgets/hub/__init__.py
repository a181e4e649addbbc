"""All of HuggingFace: what a repository holds, its files, and its errors in our words.

_names     what may be a repository id, an endpoint, a file name, a token
_logs      what the HTTP libraries may log
_faults    answers and exceptions of the hub as our errors
_answers   what its answers to requests for metadata say
_patience  how long a plan may take, and whether anybody still waits
_client    requests for metadata, with one deadline and few retries
_card      the dataset card as plain text
_yaml      what the card says to machines
_listing   the files' names as a file system
_reading   how the card wants the files read
_layout    which files make which config and split
_plan      a request becomes `HubPlan`
_sockets   what a cancel cuts, so that it need not wait for an answer
_fetch     bytes to disk: several files at a time, tried again, verified
_part      one file on its way: whole after any kill or power cut
_lane      hashing and the disk's own pace, behind the bytes that come
_limit     bytes per second over all downloads
_local     what is on this machine already, and the files under their names
_hub       `Hub`, which the manager holds

The libraries' own errors end here. Code from a repository never runs: configs and splits are
found by `datasets` over the names of the files alone.
"""

from ._hub import Hub
from ._limit import BandwidthLimit
from ._local import FetchedFile
from ._names import HfToken, check_no_token, check_repo_id, check_token_type, redacted
from ._plan import HubFile, HubPlan
from ._reading import Reading

__all__ = [
    "BandwidthLimit",
    "FetchedFile",
    "HfToken",
    "Hub",
    "HubFile",
    "HubPlan",
    "Reading",
    "check_no_token",
    "check_repo_id",
    "check_token_type",
    "redacted",
]
