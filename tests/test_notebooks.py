"""Both notebooks, run by a real kernel from top to bottom, and again."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from mistudio_widgets import DatasetManager

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def _run(name: str, folder: Path) -> list[str]:
    """Run a notebook and return the text of its outputs; an error in a cell raises."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    NotebookClient(
        notebook,
        timeout=240,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    ).execute()
    return [
        str(output.get("text") or output.get("data", {}).get("text/plain", ""))
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    ]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    data_dir = tmp_path / "data"
    monkeypatch.setenv("MISTUDIO_DATA_DIR", str(data_dir))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    return data_dir


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_quickstart_runs_twice_and_doubles_nothing(environment: Path, tmp_path: Path) -> None:
    first = _run("Quickstart.ipynb", tmp_path)
    assert any("(" in text and ", 512)" in text and "int32" in text for text in first)
    with DatasetManager(environment, read_only=True) as manager:
        names = sorted(dataset.name for dataset in manager.list_datasets().items)
        assert names == ["Python standard library", "roneneldan/TinyStories"]
    second = _run("Quickstart.ipynb", tmp_path)
    assert len(second) <= len(first)
    with DatasetManager(environment, read_only=True) as manager:
        datasets = {dataset.name: dataset for dataset in manager.list_datasets().items}
        assert sorted(datasets) == names
        assert datasets["Python standard library"].num_tokenizations == 2
        assert datasets["roneneldan/TinyStories"].status in ("error", "downloading")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("variable", [None, "VOILA_KERNEL_ID"])
def test_datasets_runs_for_a_writer_and_for_a_dashboard(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None
) -> None:
    if variable:
        monkeypatch.setenv(variable, "1")
    outputs = _run("Datasets.ipynb", tmp_path)
    assert any("DatasetsPanel" in text for text in outputs)
    assert environment.exists() == (variable is None)
