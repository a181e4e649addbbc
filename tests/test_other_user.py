"""Another user of the data folder's group, as the dashboard of docs/deploy.md is one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mistudio_widgets import DatasetManager
from mistudio_widgets.catalog import JobRow
from mistudio_widgets.records import JobSnapshot, new_job_id, utc_now

USER, GROUP = 65_534, 65_533

CHILD = """
import os, sys
from mistudio_widgets import DatasetManager
from mistudio_widgets.errors import MiStudioError

def look():
    with DatasetManager(sys.argv[1], read_only=True) as reader:
        (dataset,) = reader.list_datasets().items
        (made,) = reader.list_tokenizations(dataset.id)
        assert (dataset.status, made.status) == ("ready", "ready")
        assert [job.kind for job in reader.jobs()] == ["verify"]
        assert reader.index_status(dataset.id).is_ready
        assert reader.samples(dataset.id, search="two").total == 1
        assert reader.column_statistics(dataset.id).text_column == "text"
        assert len(reader.load_tokens(made.id, "train")["input_ids"])

# once as ourselves, so that all modules are loaded: they may lie where the other cannot go
look()
"".encode("utf-32-le")
os.setgroups([])
os.setresgid(*3 * [int(sys.argv[2])])
os.setresuid(*3 * [int(sys.argv[3])])
look()
closed = os.path.join(os.path.dirname(sys.argv[1]), "closed")
for folder, read_only in ((sys.argv[1], False), (closed, True), (closed, False)):
    try:
        DatasetManager(folder, read_only=read_only)
    except MiStudioError as error:
        assert "Permission denied" in error.message, error
    else:
        raise AssertionError(f"the other user could open {folder}")
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder for the group, as `install -d -m 2750` makes it, below folders open to all."""
    folder = Path(tempfile.mkdtemp(prefix="mistudio-shared-"))
    folder.chmod(0o755)
    (folder / "closed").mkdir(mode=0o700)
    (folder / "data").mkdir()
    os.chown(folder / "data", -1, GROUP)
    (folder / "data").chmod(0o2750)
    mask = os.umask(0o027)
    yield folder / "data"
    os.umask(mask)
    shutil.rmtree(folder)


def test_a_user_of_the_group_sees_everything_and_changes_nothing(
    shared: Path, tmp_path: Path, tokenizer_path: Path
) -> None:
    text = tmp_path / "texts.txt"
    text.write_text("one\ntwo\n")
    with DatasetManager(shared, device="cpu") as manager:
        dataset = manager.import_files(text).wait(60)
        manager.tokenize(dataset.id, tokenizer=str(tokenizer_path), max_length=4).wait(60)
        manager.build_index(dataset.id).wait(60)
        manager.column_statistics(dataset.id)
        job = JobSnapshot(
            id=new_job_id(),
            kind="verify",
            dataset_id=dataset.id,
            state="running",
            created_at=utc_now(),
        )
        manager._parts.own_jobs.add(job.id)
        with manager._parts.catalog.write() as writer:
            writer.insert_job(JobRow(job, owner_id=manager._parts.owner_id, request=None))
        command = [sys.executable, "-c", CHILD, str(shared), str(GROUP), str(USER)]
        looked = subprocess.run(
            command,
            check=False,
            timeout=120,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "MISTUDIO_LOG_LEVEL": "WARNING"},
        )
    # a search that could not open the index would say so, and read
    assert (looked.returncode, looked.stderr.decode()) == (0, "")
