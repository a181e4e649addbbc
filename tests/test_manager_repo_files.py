"""What is wrong with a repository's files is said of the repository, not of our folders."""

from __future__ import annotations

import pytest
from hub_fixtures import parquet

from mistudio_widgets import DatasetManager
from mistudio_widgets.errors import MalformedFileError

REPO = "acme/faulty"


@pytest.fixture
def manager(hub, data_dir):
    with DatasetManager(data_dir, device="cpu", hub_endpoint=hub.url) as made:
        yield made


def refusal(hub, manager, files, **asked) -> MalformedFileError:
    hub.add("dataset", REPO, files)
    with pytest.raises(MalformedFileError) as caught:
        manager.download(REPO, hf_token=False, **asked).wait(60)
    (record,) = manager.list_datasets().items
    said = f"{caught.value} {record.error_message} {record.hint}"
    for private in (str(manager.data_dir), "partial/", "text_column=", "iconv", "glob", "import"):
        assert private not in said
    assert REPO in caught.value.message
    assert record.status == "error"
    return caught.value


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"train.csv": b"id\n1\n2\n"}, "train.csv of acme/faulty has no column of text"),
        ({"train.csv": b"a,text\n1,x\n2\n"}, "train.csv of acme/faulty, line 3"),
        ({"data/train.txt": b"caf\xe9 au lait\n"}, "data/train.txt of acme/faulty"),
        ({"train.jsonl": b'{"text": "a"}\n{"text\n'}, "train.jsonl of acme/faulty, line 2"),
        ({"train.parquet": b"no parquet"}, "train.parquet of acme/faulty"),
        ({"train.jsonl.gz": b"no gzip"}, "train.jsonl.gz of acme/faulty"),
        ({"train.csv": b""}, "train.csv of acme/faulty is empty"),
    ],
)
def test_a_broken_file_is_named_as_the_repository_names_it(hub, manager, files, said):
    error = refusal(hub, manager, files)
    assert said in error.message
    assert error.path == next(iter(files))
    assert "owner" in error.hint


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_splits_with_other_columns_can_be_had_one_by_one(hub, manager, suffix):
    if suffix == "csv":
        files = {"train.csv": b"text\na\n", "test.csv": b"text,n\nb,1\n"}
    else:
        import io

        import pyarrow as pa
        import pyarrow.parquet as pq

        out = io.BytesIO()
        pq.write_table(pa.table({"text": ["b"]}), out)
        files = {"train.parquet": parquet(["a"]), "test.parquet": out.getvalue()}
    error = refusal(hub, manager, files)
    assert f"train.{suffix} of {REPO}" in error.message
    assert f"test.{suffix} of {REPO}" in error.message
    assert "split='test'" in error.hint
    assert manager.download(REPO, split="test", hf_token=False).wait(60).num_samples == 1


@pytest.mark.parametrize(
    "files",
    [
        {"data/train-0.csv": b"text\na\n", "data/train-1.csv": b""},
        {"data/train-0.parquet": parquet(["a"]), "data/train-1.parquet": b""},
        {"data/train-0.txt": b"a\n", "data/train-1.txt": b""},
    ],
)
def test_an_empty_file_among_others_is_skipped_and_counted(hub, manager, files):
    hub.add("dataset", REPO, files)
    record = manager.download(REPO, hf_token=False).wait(60)
    assert (record.status, record.num_samples) == ("ready", 1)
    download = record.metadata.model_dump()["download"]
    assert download["num_skipped_files"] == 1
    assert download["skipped_files"] == [f"{list(files)[1]}: empty"]
    assert manager.verify(record.id).wait(60).damaged == ()
    left = [path.name for path in (manager.data_dir / "datasets" / record.id).rglob("*.*")]
    assert not [name for name in left if "-1." in name]
