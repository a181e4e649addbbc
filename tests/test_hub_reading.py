"""What a card says of reading its files is done as `datasets` does it."""

from __future__ import annotations

import gc
import gzip
import json
import textwrap

import pyarrow.parquet as pq
import pytest
from hub_calls import fails, plan
from hub_fixtures import parquet

from mistudio_widgets import DatasetManager
from mistudio_widgets.errors import JobCancelled, MalformedFileError, UnsupportedRepoError
from mistudio_widgets.importer import Loader, import_loaded, loaded
from mistudio_widgets.progress import Progress

REPO = "acme/options"


def card(options: str, *, path: str = "train*", info: str = "") -> bytes:
    config = f"- config_name: default\n  data_files: {json.dumps(path)}\n"
    told = textwrap.indent(textwrap.dedent(options).strip(), "  ")
    return f"---\nconfigs:\n{config}{told}\n{textwrap.dedent(info)}\n---\n".encode()


FEATURES = """
features:
- name: text
  dtype: string
- name: label
  dtype:
    class_label:
      names:
        '0': bad
        '1': good
"""
INFO = (
    "dataset_info:\n  features:\n  - name: id\n    dtype: string\n  - name: text\n    dtype: string"
)
CSV = b"id,text\n007,one\n008,two\n"
NESTED = json.dumps({"version": 1, "rows": [{"text": "one"}, {"text": "two"}]}).encode()
CASES = {
    "sep": ({"train.csv": b"id;text\n1;a,b\n2;c\n"}, "sep: ';'"),
    "delimiter": ({"train.csv": b"id|text\n1|a,b\n"}, "delimiter: '|'"),
    "tab": ({"train.csv": b"id\ttext\n1\ta,b\n"}, 'sep: "\\t"'),
    "header": ({"train.csv": b"1,one\n2,two\n"}, "header: null\nnames: [id, text]"),
    "column_names": ({"train.csv": b"1,one\n2,two\n"}, "column_names: [id, text]"),
    "skiprows": ({"train.csv": b"made by us\nid,text\n1,one\n"}, "skiprows: 1"),
    "quotechar": ({"train.csv": b"id,text\n1,'a,b'\n"}, 'quotechar: "\'"'),
    "encoding": ({"train.csv": "id,text\n1,é\n".encode("latin-1")}, "encoding: latin-1"),
    "tsv": ({"train.tsv": b"# us\nid\ttext\n1\tone\n"}, "comment: '#'"),
    "features": ({"train.csv": b"text,label\none,good\ntwo,bad\n"}, FEATURES),
    "two files": ({"train-0.csv": b"text;n\na;1\n", "train-1.csv": b"text;n\nb;2\n"}, "sep: ;"),
    "packed": ({"train.csv.gz": gzip.compress(b"id;text\n1;a\n")}, "sep: ';'"),
    "brackets": ({"train[1].csv": b"id;text\n1;a\n"}, "sep: ';'"),
    "field": ({"train.json": NESTED}, "field: rows"),
    "field of gz": ({"train.json.gz": gzip.compress(NESTED)}, "field: rows"),
    "field of texts": ({"train.json": b'{"a": [[1]], "rows": ["one", "two"]}'}, "field: rows"),
    "field of columns": ({"train.json": b'{"rows": {"text": ["a", "b"]}}'}, "field: rows"),
    "field with nan": ({"train.json": b'{"rows": [{"text": "a", "n": NaN}]}'}, "field: rows"),
    "field twice": (
        {"train.json": b'{"rows": [{"text": "a"}], "rows": [{"text": "b"}]}'},
        "field: rows",
    ),
    "field latin": (
        {"train.json": '{"rows": [{"text": "é"}]}'.encode("latin-1")},
        "field: rows\nencoding: latin-1",
    ),
    "field utf-16": (
        {"train.json": '{"rows": [{"text": "é😀"}]}'.encode("utf-16")},
        "field: rows\nencoding: utf-16",
    ),
    "field with features": (
        {"train.json": b'{"rows": [{"text": "a", "label": "good"}, {"label": "bad"}]}'},
        "field: rows\n" + FEATURES,
    ),
    "field of two files": (
        {
            "train-0.json": b'{"rows": [{"text": "a", "n": 1}]}',
            "train-1.json": b'{"rows": [{"text": "b", "n": 2}, {"n": null, "text": "c"}]}',
        },
        "field: rows",
    ),
    "json encoding": ({"train.jsonl": '{"text": "é"}\n'.encode("latin-1")}, "encoding: latin-1"),
    "sample_by": ({"train.txt": b"a\nb\n\nc\nd\n"}, "sample_by: paragraph"),
    "document": ({"train.txt": b"a\nb\n\nc\n"}, "sample_by: document"),
    "keep_linebreaks": ({"train.txt": b"a\nb\n"}, "keep_linebreaks: true"),
    "columns": ({"train.parquet": parquet(["a", "b"])}, "columns: [text]"),
}


@pytest.fixture
def manager(hub, data_dir):
    with DatasetManager(data_dir, device="cpu", hub_endpoint=hub.url) as made:
        yield made


def rows(manager, record) -> dict[str, list[dict[str, object]]]:
    folder = manager.data_dir / "datasets" / record.id / "raw"
    return {
        split: [
            row
            for path in sorted(folder.rglob(f"{split}*.parquet"))
            for row in pq.read_table(path).to_pylist()
        ]
        for split in record.split_info
    }


def of_datasets(path) -> dict[str, list[dict[str, object]]]:
    """Return what `datasets` itself reads from the same repository."""
    from datasets import load_dataset

    found = load_dataset(REPO, cache_dir=str(path), token=False)
    return {split: part.with_format("arrow")[:].to_pylist() for split, part in found.items()}


def check_same(hub, manager, tmp_path, files) -> None:
    hub.add("dataset", REPO, files)
    record = manager.download(REPO, hf_token=False).wait(60)
    assert record.status == "ready"
    ours = rows(manager, record)
    assert ours == of_datasets(tmp_path / "cache")
    assert record.num_samples == sum(map(len, ours.values()))
    folder = manager.data_dir / "datasets" / record.id
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "raw"]


@pytest.mark.parametrize("case", CASES)
def test_options_of_the_card_are_those_of_datasets(hub, manager, tmp_path, case):
    files, options = CASES[case]
    check_same(hub, manager, tmp_path, {**files, "README.md": card(options)})


def test_types_that_the_card_tells_are_those_of_datasets(hub, manager, tmp_path):
    files = {"train.csv": CSV, "README.md": card("", info=INFO)}
    check_same(hub, manager, tmp_path, files)


def test_options_hold_for_the_split_that_was_asked_for(hub, manager):
    told = "configs:\n- config_name: default\n  sep: ;\n  data_files:\n"
    told += "  - {split: train, path: train.csv}\n  - {split: test, path: test.csv}\n"
    files = dict.fromkeys(("train.csv", "test.csv"), b"id;text\n1;a\n")
    hub.add("dataset", REPO, {**files, ".huggingface.yaml": told.encode()})
    record = manager.download(REPO, split="test", hf_token=False).wait(60)
    assert rows(manager, record) == {"test": [{"id": 1, "text": "a"}]}


def test_what_the_card_repeats_needs_no_library(hub, client):
    hub.add("dataset", REPO, {"train.csv": CSV, "README.md": card("sep: ','")})
    assert plan(client, REPO).reading is None
    hub.add("dataset", REPO, {"train.tsv": CSV, "README.md": card('sep: "\\t"')})
    assert plan(client, REPO).reading is None
    hub.add("dataset", REPO, {"train.csv": CSV, "README.md": card("sep: ;")})
    assert plan(client, REPO).reading.options == {"sep": ";"}


def test_parquet_has_its_types_in_itself(hub, client):
    hub.add("dataset", REPO, {"train.parquet": parquet(["a"]), "README.md": card(FEATURES)})
    found = plan(client, REPO)
    assert found.reading is None
    assert found.plan.disk_bytes == found.plan.download_bytes


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("no_such_option: 1", "no_such_option=1"),
        ("converters: {text: str}", "converters="),
        ("sep: '(a+)+$'", "sep='(a+)+$'"),
        ("chunksize: 1000000000000", "chunksize="),
        ("encoding: zip", "encoding='zip'"),
        ("encoding: no-such", "encoding='no-such'"),
        ("engine: pyarrow", "engine='pyarrow'"),
    ],
)
def test_an_option_that_cannot_be_honoured_is_named(hub, client, option, said):
    hub.add("dataset", REPO, {"train.csv": CSV, "README.md": card(option)})
    assert said in fails(client, UnsupportedRepoError, REPO)


@pytest.mark.parametrize(
    ("files", "options"),
    [
        ({"train.csv": b"id;text\n1;a\n2;b;c;d\n"}, "sep: ;"),
        ({"train.csv": b"id;text\n1;\xff\n"}, "sep: ;"),
        ({"train.json": NESTED}, "field: nothing"),
        ({"train.json": b"[1]"}, "field: rows"),
        ({"train.json": b'{"rows": []}'}, "field: rows"),
        ({"train.json": b'{"rows": 7}'}, "field: rows"),
        ({"train.json": b'{"rows": [{"text": "a"}'}, "field: rows"),
        ({"train.json": b'{"rows": [{"text": "a"}]} {'}, "field: rows"),
        ({"train.json": b'{"rows": [' + b"[" * 5000 + b"]" * 5000 + b"]}"}, "field: rows"),
        ({"train.json": b'{"rows": [{"text": "\xff"}]}'}, "field: rows"),
        ({"train.csv": CSV}, "usecols: [nothing]"),
        ({"train.csv": CSV}, "skipfooter: 1"),
    ],
)
def test_files_that_cannot_be_read_so_are_named(hub, manager, files, options):
    hub.add("dataset", REPO, {**files, "README.md": card(options)})
    with pytest.raises(MalformedFileError, match=next(iter(files))) as caught:
        manager.download(REPO, hf_token=False).wait(60)
    assert str(manager.data_dir) not in str(caught.value)
    assert REPO in str(caught.value)


@pytest.fixture
def below_rows(tmp_path):
    """Import a file's rows below "rows", in pieces."""

    def run(text: str, *, progress=None, check_space=lambda _: None, **options):
        source, into = tmp_path / "a.json", tmp_path / "into"
        into.mkdir()
        source.write_text(text)
        loader = Loader("json", {"field": "rows", **options})
        progress = progress or Progress()
        found = import_loaded(
            {"train": [source]}, loader, into, progress=progress, check_space=check_space
        )
        assert [path.name for path in into.iterdir()] == ["train-00000.parquet"]
        return found, pq.read_table(into / "train-00000.parquet")

    return run


class Counting(Progress):
    """Remembers how far the reading was."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[int] = []

    def advance(self, units=1, *, measured=True):
        super().advance(units, measured=measured)
        state = self.state()
        if state.phase == "reading" and units:
            self.read.append(state.done)


def test_rows_below_a_field_are_read_in_pieces_with_the_columns_of_all(below_rows, monkeypatch):
    monkeypatch.setattr(loaded, "_MAX_WHOLE_BYTES", 10)
    padding = "x" * 100
    many = [{"text": f"{n} {padding}", "n": n, "deep": {"a": n}} for n in range(60_000)]
    many[50_000] |= {"late": True, "n": 1.5, "deep": {"b": "c"}}
    many[55_000]["n"] = None
    told = json.dumps({"note": {"rows": [1]}, "rows": many, "after": [[{}]]})
    progress = Counting()
    found, table = below_rows(told, progress=progress)
    assert found.columns["n"] == "double"
    whole = [{"late": None, **row, "deep": {"a": None, "b": None, **row["deep"]}} for row in many]
    assert table.to_pylist() == whole
    assert progress.read[-1] == len(told)
    assert 0 < min(progress.read) < len(told) / 4


def test_a_cancel_ends_in_the_middle_of_an_array(below_rows, tmp_path, monkeypatch):
    class Impatient(Progress):
        """Is cancelled after a few looks."""

        looks = 0

        def advance(self, units=1, *, measured=True):
            self.looks += 1
            if self.looks == 5:
                self.cancel()
            super().advance(units, measured=measured)

    told = json.dumps({"rows": [{"text": "x" * 1000}] * 50_000})
    progress = Impatient()
    with pytest.raises(JobCancelled):
        below_rows(told, progress=progress)
    assert progress.looks == 5
    assert progress.state().done < len(told) / 4
    assert list((tmp_path / "into").iterdir()) == []


def test_what_is_no_array_is_read_as_a_whole_up_to_a_size(below_rows, monkeypatch):
    monkeypatch.setattr(loaded, "_MAX_WHOLE_BYTES", 10)
    with pytest.raises(MalformedFileError, match="'rows' is no array") as caught:
        below_rows('{"rows": {"text": ["a", "b"]}}')
    assert "array of objects" in str(caught.value.hint)


# the library leaves the file to the garbage collector when it is not read to its end
unclosed = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


@unclosed
def test_a_later_row_may_need_another_type(tmp_path):
    source, into = tmp_path / "a.csv", tmp_path / "into"
    into.mkdir()
    source.write_text("n;text\n" + "1;x\n" * 15_000 + "two;y\n")
    progress = Progress()
    loader = Loader("csv", {"sep": ";"})
    found = import_loaded(
        {"train": [source]}, loader, into, progress=progress, check_space=lambda _: None
    )
    assert found.columns == {"n": "string", "text": "string"}
    assert sum(file.num_rows for file in found.files) == 15_001
    assert [path.name for path in into.iterdir()] == ["train-00000.parquet"]
    gc.collect()


@unclosed
def test_a_cancel_ends_between_tables_and_leaves_nothing(tmp_path):
    source, into = tmp_path / "a.csv", tmp_path / "into"
    into.mkdir()
    source.write_text("n;text\n" + "1;x\n" * 50_000)
    progress = Progress()
    loader = Loader("csv", {"sep": ";"})
    with pytest.raises(JobCancelled):
        import_loaded(
            {"train": [source]},
            loader,
            into,
            progress=progress,
            check_space=lambda _: progress.cancel(),
        )
    assert list(into.iterdir()) == []
    gc.collect()
