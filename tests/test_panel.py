"""The widget without a browser: traits, requests and replies over its real comm interface."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_calls import connections_to, our_threads
from hub_server import HubServer

from mistudio_widgets import DatasetManager, DatasetsPanel, TokenizationSettings
from mistudio_widgets.errors import CatalogBusyError
from mistudio_widgets.messages import DatasetCard, PanelState, Results
from mistudio_widgets.panel.answers import HANDLERS
from mistudio_widgets.progress import Progress
from mistudio_widgets.records import ColumnStatistics, Page, Sample, StorageReport, new_dataset_id


class Wire:
    """Sends to a panel what a browser would, and waits for what it answers."""

    def __init__(self, panel: DatasetsPanel) -> None:
        self.panel = panel
        self.sent: list[dict[str, Any]] = []
        self._arrived = threading.Condition()
        panel.send = self._keep  # type: ignore[method-assign]

    def _keep(self, content: dict[str, Any], buffers: object = None) -> None:
        with self._arrived:
            self.sent.append(content)
            self._arrived.notify_all()

    def post(self, message: object) -> None:
        self.panel._handle_custom_msg(message, [])

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        with self._arrived:
            assert self._arrived.wait_for(lambda: any(map(wanted, self.sent)), 60)
            return next(filter(wanted, self.sent))

    def ask(self, kind: str, **given: Any) -> dict[str, Any]:
        request_id = f"{kind}-{len(self.sent)}"
        self.post({"kind": kind, "request_id": request_id, **given})
        return self.wait_for(lambda message: message.get("request_id") == request_id)


@pytest.fixture
def panel(manager: DatasetManager) -> Iterator[DatasetsPanel]:
    made = DatasetsPanel(manager)
    yield made
    made.close()


@pytest.fixture
def wire(panel: DatasetsPanel) -> Wire:
    return Wire(panel)


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("one\ntwo\nthree\n")
    return path


def _until(panel: DatasetsPanel, is_true: Callable[[], bool]) -> None:
    seen = threading.Event()
    panel.observe(lambda _change: seen.set() if is_true() else None)
    assert is_true() or seen.wait(60)


def test_the_traits_are_the_state(panel: DatasetsPanel) -> None:
    for name in PanelState.model_fields:
        assert panel.trait_metadata(name, "sync")
    assert (panel.datasets, panel.total, panel.jobs, panel.read_only) == ([], 0, [], False)
    assert panel.storage["num_datasets"] == 0


def test_every_kind_has_a_handler() -> None:
    assert set(HANDLERS) | {"ping", "abort"} == set(Results.model_fields)


def test_what_the_manager_does_appears_in_the_traits(
    panel: DatasetsPanel, manager: DatasetManager, text_file: Path
) -> None:
    record = manager.import_files(text_file).wait(60)
    _until(panel, lambda: [d["status"] for d in panel.datasets] == ["ready"])
    card = DatasetCard.model_validate(panel.datasets[0])
    assert (card.id, card.num_samples, card.tokenizations) == (record.id, 3, ())
    manager.delete_dataset(record.id)
    _until(panel, lambda: panel.datasets == [])


def test_what_another_process_would_do_appears_too(
    panel: DatasetsPanel, manager: DatasetManager, text_file: Path
) -> None:
    with DatasetManager(manager.data_dir) as other:
        record = other.import_files(text_file).wait(60)
        _until(panel, lambda: [d["id"] for d in panel.datasets] == [record.id])


def test_the_main_job_over_the_wire(wire: Wire, text_file: Path, tokenizer_path: Path) -> None:
    started = wire.ask("import_files", paths=[str(text_file)], name="texts")["result"]
    dataset_id = started["dataset"]["id"]
    assert started["job"]["kind"] == "import"
    wire.wait_for(lambda m: m.get("event") == "completed")
    assert wire.ask("list_datasets")["result"]["total"] == 1
    assert wire.ask("get_dataset", dataset_id=dataset_id)["result"]["num_samples"] == 3
    settings = {"tokenizer": str(tokenizer_path), "max_length": 8}
    wire.ask("tokenize", dataset_id=dataset_id, settings=settings)
    wire.wait_for(lambda m: m.get("event") == "completed" and m["kind"] == "tokenize")
    (record,) = wire.ask("list_tokenizations", dataset_id=dataset_id)["result"]
    assert record["status"] == "ready"
    assert wire.ask("storage")["result"]["num_datasets"] == 1
    assert wire.ask("cleanup", kinds=["partial"])["result"] == {"freed_bytes": 0}
    assert wire.ask("cleanup", kinds=["raw"])["error"]["code"] == "invalid_request"
    assert wire.ask("retry", dataset_id=dataset_id)["result"]["job"]["state"] == "succeeded"
    freed = wire.ask("delete_tokenization", tokenization_id=record["id"])["result"]
    assert freed["freed_bytes"] > 0
    assert wire.ask("delete_dataset", dataset_id=dataset_id)["ok"]
    error = wire.ask("get_dataset", dataset_id=dataset_id)["error"]
    assert error["code"] == "not_found"


def test_a_job_is_cancelled_over_the_wire(wire: Wire, tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_text('{"text": "x"}\n' * 2_000_000)
    started = wire.ask("import_files", paths=[str(path)])["result"]
    answer = wire.ask("cancel", job_id=started["job"]["id"])
    assert answer["result"]["state"] in ("cancelling", "cancelled")
    _until(wire.panel, lambda: wire.panel.datasets == [] and wire.panel.jobs == [])
    assert wire.ask("cancel", job_id="job_" + "0" * 32)["error"]["code"] == "not_found"


def test_a_hub_that_does_not_answer_keeps_nothing_else_waiting(wire: Wire, hub: HubServer) -> None:
    answer = threading.Event()
    hub.add_fault("notes", times=100, gate=answer)
    try:
        for number in range(8):
            plan = {"kind": "plan_download", "repo_id": "acme/notes"}
            wire.post({**plan, "request_id": f"plan-{number}"})
        assert wire.ask("storage")["ok"]
        assert not [message for message in wire.sent if "plan" in str(message.get("request_id"))]
    finally:
        answer.set()
    for number in range(8):
        wire.wait_for(lambda m, number=number: m.get("request_id") == f"plan-{number}")


def test_an_aborted_plan_ends_with_its_thread_and_its_connection(
    wire: Wire, hub: HubServer
) -> None:
    fault = hub.add_fault("notes", times=100, gate=threading.Event())
    wire.post({"kind": "plan_download", "request_id": "slow", "repo_id": "acme/notes"})
    assert fault.struck.wait(60)
    assert our_threads() == ["hub-request"]
    open_ones = connections_to(hub)
    assert open_ones
    assert wire.ask("abort", aborted_id="slow")["result"] == {"was_under_way": True}
    error = wire.wait_for(lambda m: m.get("request_id") == "slow")["error"]
    assert error["code"] == "cancelled"
    assert our_threads() == []
    assert not open_ones & connections_to(hub)
    assert wire.ask("abort", aborted_id="slow")["result"] == {"was_under_way": False}
    assert [m.get("request_id") for m in wire.sent].count("slow") == 1


def test_an_aborted_plan_ends_also_on_a_connection_that_others_left_open(
    wire: Wire, hub: HubServer
) -> None:
    from huggingface_hub import get_session

    get_session().get(f"{hub.url}/api/datasets/acme/plain").read()
    fault = hub.add_fault("notes", times=100, gate=threading.Event())
    left_open = connections_to(hub)
    wire.post({"kind": "plan_download", "request_id": "slow", "repo_id": "acme/notes"})
    assert fault.struck.wait(60)
    (port,) = fault.client_ports
    assert port in left_open
    assert wire.ask("abort", aborted_id="slow")["result"] == {"was_under_way": True}
    wire.wait_for(lambda m: m.get("request_id") == "slow")
    assert our_threads() == []
    assert port not in connections_to(hub)


def test_aborted_plans_leave_their_place_to_the_next(wire: Wire, hub: HubServer) -> None:
    hub.add_fault("notes", times=100, gate=threading.Event())
    for number in range(8):
        plan = {"kind": "plan_download", "repo_id": "acme/notes"}
        wire.post({**plan, "request_id": f"plan-{number}"})
        assert wire.ask("abort", aborted_id=f"plan-{number}")["result"]["was_under_way"]
    assert wire.ask("plan_download", repo_id="plain")["ok"]
    for number in range(8):
        reply = wire.wait_for(lambda m, number=number: m.get("request_id") == f"plan-{number}")
        assert reply["error"]["code"] == "cancelled"


def test_what_had_not_begun_is_not_done_when_it_is_aborted(
    wire: Wire, manager: DatasetManager, text_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, busy = threading.Event(), threading.Semaphore(0)

    def slow() -> StorageReport:
        busy.release()
        assert begin.wait(60)
        return real()

    real = manager.storage
    monkeypatch.setattr(manager, "storage", slow)
    for number in range(4):
        wire.post({"kind": "storage", "request_id": f"storage-{number}"})
    for _ in range(4):
        assert busy.acquire(timeout=60)
    paths = [str(text_file)]
    wire.post({"kind": "import_files", "request_id": "import", "paths": paths})
    assert wire.ask("abort", aborted_id="import")["result"]["was_under_way"]
    assert wire.ask("abort", aborted_id="storage-0")["result"]["was_under_way"]
    begin.set()
    reply = wire.wait_for(lambda m: m.get("request_id") == "import")
    assert reply["error"]["code"] == "cancelled"
    assert manager.list_datasets().total == 0
    done = wire.wait_for(lambda m: m.get("request_id") == "storage-0")
    assert done["ok"], "what was done all the same is told as done"


def test_a_closed_panel_ends_what_it_was_asked(wire: Wire, hub: HubServer) -> None:
    fault = hub.add_fault("notes", times=100, gate=threading.Event())
    for number in range(4):
        plan = {"kind": "plan_download", "repo_id": "acme/notes"}
        wire.post({**plan, "request_id": f"plan-{number}"})
    assert fault.struck.wait(60)
    wire.panel.close()
    for number in range(4):
        reply = wire.wait_for(lambda m, number=number: m.get("request_id") == f"plan-{number}")
        assert reply["error"]["code"] == "cancelled"
    assert our_threads() == []


def test_a_failed_download_is_told_by_an_event(wire: Wire) -> None:
    reply = wire.ask("download", repo_id="nobody/nothing")
    assert reply["result"]["dataset"]["status"] in ("downloading", "error")
    event = wire.wait_for(lambda m: m.get("event") == "error")
    assert event["error_code"] == "repo_not_found"
    assert event["hint"]
    _until(wire.panel, lambda: [d["status"] for d in wire.panel.datasets] == ["error"])
    assert wire.ask("plan_download", repo_id="nobody/nothing")["error"]["code"] == (
        "repo_not_found"
    )


@pytest.mark.parametrize(
    "message",
    [None, "x", [], {}, {"kind": "nope"}, {"kind": "ping"}, {"kind": "ping", "request_id": 5}],
)
def test_a_message_without_an_id_is_answered_once(wire: Wire, message: object) -> None:
    wire.post(message)
    (reply,) = wire.sent
    assert (reply["request_id"], reply["ok"]) == (None, False)


def test_unexpected_errors_show_no_inside(
    wire: Wire, manager: DatasetManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("secret inside /home/somebody")

    monkeypatch.setattr(manager, "storage", broken)
    error = wire.ask("storage")["error"]
    assert "secret" not in str(error)
    assert error["hint"]


def test_an_answer_that_is_too_large_is_not_sent(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mistudio_widgets.panel.answers.MAX_REPLY_BYTES", 10)
    assert "too large" in wire.ask("storage")["error"]["message"]


def test_forged_traits_are_answered_with_the_truth(panel: DatasetsPanel) -> None:
    answered: list[object] = []
    panel.send_state = answered.append  # type: ignore[method-assign]
    panel.set_state({"read_only": True, "datasets": [{"id": "forged"}], "selected": "x"})
    assert (panel.read_only, panel.datasets, panel.selected) == (False, [], "x")
    assert answered[0] == ["read_only", "datasets"]


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"method": []},
        {"method": "close"},
        {"method": "update", "state": [1]},
        {"method": "update", "state": {"selected": 5}},
        {"method": "update", "state": {"selected": "x" * 1000}},
        {"method": "update", "state": {}, "buffer_paths": [["selected"]]},
    ],
)
def test_what_is_no_widget_message_of_ours_is_dropped(
    panel: DatasetsPanel, caplog: pytest.LogCaptureFixture, data: object
) -> None:
    panel._handle_msg({"content": {"data": data}, "buffers": []})
    assert panel.selected is None
    # outside of a notebook ipywidgets logs what it would show there
    assert caplog.text == ""


def test_a_read_only_panel_refuses_every_change(manager: DatasetManager, text_file: Path) -> None:
    record = manager.import_files(text_file).wait(60)
    with DatasetManager(manager.data_dir, read_only=True) as reader:
        panel = DatasetsPanel(reader)
        wire = Wire(panel)
        try:
            assert panel.read_only
            assert [card["id"] for card in panel.datasets] == [record.id]
            assert panel.storage["data_dir"] is None
            for kind, given in (
                ("download", {"repo_id": "a/b"}),
                ("plan_download", {"repo_id": "a/b"}),
                ("import_files", {"paths": [str(text_file)]}),
                ("retry", {"dataset_id": record.id}),
                ("pause", {"job_id": "job_" + "0" * 32}),
                ("cancel", {"job_id": "job_" + "0" * 32}),
                ("verify", {"dataset_id": record.id}),
                ("build_index", {"dataset_id": record.id}),
                ("delete_index", {"dataset_id": record.id}),
                ("delete_dataset", {"dataset_id": record.id}),
                ("tokenize", {"dataset_id": record.id, "settings": {"tokenizer": "x"}}),
                ("delete_tokenization", {"tokenization_id": "tok_" + "0" * 16}),
                ("cleanup", {}),
                ("preview_tokens", {"text": "a", "settings": {"tokenizer": "x"}}),
            ):
                assert wire.ask(kind, **given)["error"]["code"] == "read_only", kind
            shown = wire.ask("get_dataset", dataset_id=record.id)["result"]
            assert shown["file_path"] is None
            assert wire.ask("ping")["ok"]
        finally:
            panel.close()


def test_a_read_only_panel_names_tokenizations_without_paths(
    manager: DatasetManager, text_file: Path, tokenizer_path: Path
) -> None:
    record = manager.import_files(text_file).wait(60)
    manager.tokenize(record.id, {"tokenizer": str(tokenizer_path), "max_length": 8}).wait(60)
    with DatasetManager(manager.data_dir, read_only=True) as reader:
        panel = DatasetsPanel(reader)
        (chip,) = panel.datasets[0]["tokenizations"]
        assert (chip["settings"]["mode"], chip["settings"]["max_length"]) == ("packed", 8)
        assert str(tokenizer_path.parent) not in str(panel.get_state())
        panel.close()


def test_an_index_is_built_and_removed_over_the_wire(
    wire: Wire, manager: DatasetManager, text_file: Path
) -> None:
    record = manager.import_files(text_file).wait(60)
    job = wire.ask("build_index", dataset_id=record.id)["result"]["job"]
    assert (job["kind"], job["automatic"]) == ("index", False)
    # it may have ended before the look
    for started in manager.jobs():
        manager.job(started.id).wait(60)
    assert wire.ask("index_status", dataset_id=record.id)["result"]["is_ready"]
    assert wire.ask("delete_index", dataset_id=record.id)["result"]["freed_bytes"] > 0


def test_a_paused_download_is_shown_as_such_and_to_readers_too(
    wire: Wire, manager: DatasetManager, hub: HubServer
) -> None:
    hub.add("dataset", "acme/long", {"train.txt": b"a line\n" * 200_000})
    hub.throttle = 200_000
    job_id = wire.ask("download", repo_id="acme/long")["result"]["job"]["id"]
    _until(wire.panel, lambda: any(job["done"] > 0 for job in wire.panel.jobs))
    assert wire.ask("pause", job_id=job_id)["ok"]
    _until(wire.panel, lambda: [job["state"] for job in wire.panel.jobs] == ["paused"])
    assert [card["status"] for card in wire.panel.datasets] == ["downloading"]
    with DatasetManager(manager.data_dir, read_only=True) as reader:
        panel = DatasetsPanel(reader)
        (job,) = panel.jobs
        assert (job["id"], job["state"]) == (job_id, "paused")
        panel.close()
    wire.ask("cancel", job_id=job_id)
    _until(wire.panel, lambda: wire.panel.datasets == [])


def test_several_splits_may_be_asked_for(wire: Wire, hub: HubServer) -> None:
    given = {"repo_id": "acme/stories", "config": "en", "split": ["test", "train"]}
    assert wire.ask("plan_download", **given)["result"]["splits"] == ["test", "train"]


def test_auto_tokenize_follows_what_the_panel_imports(
    manager: DatasetManager, text_file: Path, tokenizer_path: Path
) -> None:
    settings = TokenizationSettings(tokenizer=str(tokenizer_path), max_length=4)
    panel = DatasetsPanel(manager, auto_tokenize=settings)
    wire = Wire(panel)
    try:
        started = wire.ask("import_files", paths=[str(text_file)])["result"]
        wire.wait_for(lambda m: m.get("event") == "completed" and m["kind"] == "tokenize")
        (record,) = manager.list_tokenizations(started["dataset"]["id"])
        assert record.settings == settings
    finally:
        panel.close()


def test_who_may_change_something_sees_what_follows_an_import(manager: DatasetManager) -> None:
    settings = TokenizationSettings(tokenizer="/home/somebody/tokenizer.json", max_length=4)
    panel = DatasetsPanel(manager, auto_tokenize=settings)
    assert panel.auto_tokenize == settings.model_dump(mode="json")
    panel.close()
    with DatasetManager(manager.data_dir, read_only=True) as reader:
        panel = DatasetsPanel(reader, auto_tokenize=settings)
        assert panel.auto_tokenize is None
        panel.close()


def test_an_import_that_wants_no_tokenization_gets_none(
    manager: DatasetManager, text_file: Path, tokenizer_path: Path
) -> None:
    panel = DatasetsPanel(
        manager, auto_tokenize=TokenizationSettings(tokenizer=str(tokenizer_path))
    )
    wire = Wire(panel)
    try:
        started = wire.ask("import_files", paths=[str(text_file)], tokenize=None)["result"]
        manager.job(started["job"]["id"]).wait()
        assert manager.list_tokenizations(started["dataset"]["id"]) == []
        assert [job.kind for job in manager.jobs() if job.kind == "tokenize"] == []
    finally:
        panel.close()


def test_a_panel_says_when_its_manager_is_closed(data_dir: Path, text_file: Path) -> None:
    manager = DatasetManager(data_dir, device="cpu")
    manager.import_files(text_file, name="kept").wait()
    panel = DatasetsPanel(manager)
    assert panel.error is None
    manager.close()
    _until(panel, lambda: panel.error is not None and panel.error["code"] == "closed")
    assert [dataset["name"] for dataset in panel.datasets] == ["kept"]
    panel.close()
    late = DatasetsPanel(manager)
    assert late.error["code"] == "closed"
    assert [dataset["name"] for dataset in late.datasets] == ["kept"]
    assert Wire(late).ask("import_files", paths=[str(text_file)])["ok"] is False
    late.close()


def test_a_panel_says_why_it_cannot_show_the_truth_until_it_can(
    manager: DatasetManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(**_given: object) -> None:
        raise CatalogBusyError("Another process has it.", hint="Wait.")

    with monkeypatch.context() as patched:
        patched.setattr(manager, "list_with_tokenizations", busy)
        panel = DatasetsPanel(manager)
        assert (panel.error["code"], panel.version) == ("catalog_busy", "")
    _until(panel, lambda: panel.error is None)
    assert panel.version
    panel.close()


def test_a_closed_panel_says_so(panel: DatasetsPanel) -> None:
    wire = Wire(panel)
    panel.close()
    assert "closed" in wire.ask("storage")["error"]["message"]


def test_a_panel_makes_its_own_manager(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISTUDIO_DATA_DIR", str(data_dir))
    panel = DatasetsPanel()
    try:
        assert panel.manager.data_dir == data_dir
        again = DatasetsPanel()
        assert again.manager is panel.manager, "a cell run again must find its jobs"
        again.close()
    finally:
        panel.close()
        panel.manager.close()
    fresh = DatasetsPanel()
    assert fresh.manager is not panel.manager
    fresh.close()
    fresh.manager.close()


def test_unknown_datasets_are_not_found(wire: Wire) -> None:
    assert wire.ask("get_dataset", dataset_id=new_dataset_id())["error"]["code"] == "not_found"


def test_a_preview_is_a_request(wire: Wire, manager: DatasetManager, tokenizer_path: Path) -> None:
    settings = {"tokenizer": str(tokenizer_path)}
    reply = wire.ask("preview_tokens", text="def f(x):", settings=settings)
    assert reply["ok"]
    expected = manager.preview_tokens("def f(x):", settings)
    assert reply["result"] == expected.model_dump(mode="json")
    for given, field in (
        ({"text": "x" * 1001, "settings": settings}, "text"),
        ({"settings": settings}, "text"),
        ({"text": "x"}, "settings"),
        ({"text": "x", "settings": settings, "row": -1}, "row"),
    ):
        reply = wire.ask("preview_tokens", **given)
        assert (reply["ok"], reply["error"]["field"]) == (False, field)


def test_the_data_are_looked_into_over_the_wire(
    wire: Wire, manager: DatasetManager, text_file: Path, tokenizer_path: Path
) -> None:
    record = manager.import_files(text_file).wait(60)
    made = manager.tokenize(record.id, {"tokenizer": str(tokenizer_path), "max_length": 8}).wait(60)
    page = wire.ask("samples", dataset_id=record.id, search="TWO", limit=5, view="a")["result"]
    assert [(item["row"], item["text"]) for item in page["items"]] == [(1, "two")]
    assert page["items"][0]["highlights"] == [[0, 3]]
    assert page["total"] == 1
    given = {"tokenization_id": made.id, "split": "train"}
    view = wire.ask("sample_tokens", row=1, **given)["result"]
    assert "".join(token["text"] for token in view["tokens"]) == "two"
    sequence = view["spans"][0]["sequence"]
    spans = wire.ask("sequence_samples", sequence=sequence, **given)["result"]
    assert [span["row"] for span in spans] == [0, 1, 2]
    found = wire.ask("column_statistics", dataset_id=record.id)["result"]
    assert found["splits"]["train"]["characters"]["max"] == 5
    refused = wire.ask("samples", dataset_id=record.id, split="nonsense")["error"]
    assert refused["field"] == "split"


def test_a_newer_page_of_a_view_ends_the_older_one_and_no_other(
    wire: Wire, manager: DatasetManager, text_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = manager.import_files(text_file).wait(60)
    began = threading.Semaphore(0)
    real = manager.samples

    def slow(dataset_id: str, *, progress: Progress, search: str | None = None) -> Page[Sample]:
        if search is not None:
            began.release()
            while True:
                progress.wait(0.01)
        return real(dataset_id, progress=progress)

    monkeypatch.setattr(manager, "samples", slow)
    ask = {"kind": "samples", "dataset_id": record.id}
    for view in ("a", "b"):
        wire.post({**ask, "request_id": f"old-{view}", "search": "x", "view": view})
        assert began.acquire(timeout=60)
    assert wire.ask("samples", dataset_id=record.id, view="a")["result"]["total"] == 3
    older = wire.wait_for(lambda message: message.get("request_id") == "old-a")
    assert older["error"]["code"] == "cancelled"
    assert wire.ask("samples", dataset_id=record.id)["ok"]
    assert not [message for message in wire.sent if message.get("request_id") == "old-b"]
    assert wire.ask("abort", aborted_id="old-b")["result"]["was_under_way"]


def test_searches_of_many_views_keep_no_other_view_waiting(
    wire: Wire, manager: DatasetManager, text_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = manager.import_files(text_file).wait(60)
    real = manager.samples

    def slow(*, progress: Progress, search: str | None = None, **given: Any) -> Page[Sample]:
        while search is not None:
            progress.wait(0.01)
        return real(progress=progress, **given)

    monkeypatch.setattr(manager, "samples", slow)
    ask = {"kind": "samples", "dataset_id": record.id, "search": "x"}
    for number in range(10):
        wire.post({**ask, "request_id": f"search-{number}", "view": f"view-{number}"})
    assert wire.ask("samples", dataset_id=record.id, view="another")["result"]["total"] == 3
    for number in range(10):
        assert wire.ask("abort", aborted_id=f"search-{number}")["result"]["was_under_way"]


def test_statistics_that_take_long_keep_no_page_waiting(
    wire: Wire, manager: DatasetManager, text_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = manager.import_files(text_file).wait(60)

    def endless(*, dataset_id: str, progress: Progress) -> ColumnStatistics:
        assert dataset_id == record.id
        while True:
            progress.wait(0.01)

    monkeypatch.setattr(manager, "column_statistics", endless)
    for number in range(6):
        kind, request_id = "column_statistics", f"columns-{number}"
        wire.post({"kind": kind, "request_id": request_id, "dataset_id": record.id})
    assert wire.ask("samples", dataset_id=record.id)["ok"]
    assert wire.ask("storage")["ok"]
    for number in range(6):
        assert wire.ask("abort", aborted_id=f"columns-{number}")["result"]["was_under_way"]


def test_what_a_read_only_panel_says_of_damaged_files_names_no_folder(
    manager: DatasetManager, text_file: Path, tokenizer_path: Path
) -> None:
    record = manager.import_files(text_file).wait(60)
    settings = {"tokenizer": str(tokenizer_path), "max_length": 8}
    made = manager.tokenize(record.id, settings).wait(60)
    folder = manager.data_dir / "datasets" / record.id
    with DatasetManager(manager.data_dir, read_only=True) as reader:
        panel = DatasetsPanel(reader)
        wire = Wire(panel)
        given = {"tokenization_id": made.id, "split": "train"}
        assert wire.ask("sample_tokens", row=0, **given)["ok"]
        (folder / "tokenized" / made.id / "train.pt").unlink()
        replies = [wire.ask("sample_tokens", row=0, **given)]
        (folder / "tokenized" / made.id / "lengths_train.npy").write_bytes(b"no array")
        replies.append(wire.ask("samples", dataset_id=record.id))
        data = next(folder.rglob("*.parquet"))
        data.write_bytes(b"no parquet")
        replies.append(wire.ask("samples", dataset_id=record.id))
        row = {"dataset_id": record.id, "split": "train", "row": 0}
        known = {"tokenizer": made.tokenizer_name}
        replies.append(wire.ask("preview_tokens", settings=known, **row))
        data.unlink()
        replies.append(wire.ask("column_statistics", dataset_id=record.id))
        (folder / "manifest.json").unlink()
        replies.append(wire.ask("samples", dataset_id=record.id, search="a"))
        panel.close()
    for reply in replies:
        assert reply["error"]["code"] == "corrupt_file"
        assert str(manager.data_dir) not in str(reply)
        assert "~" not in str(reply)


def test_what_a_read_only_panel_says_of_a_damaged_catalog_names_no_folder(
    manager: DatasetManager, text_file: Path
) -> None:
    manager.import_files(text_file).wait(60)
    catalog, version = (manager.data_dir / f"catalog.{kind}" for kind in ("duckdb", "version"))
    manager.close()
    with DatasetManager(manager.data_dir, read_only=True) as reader:
        panel = DatasetsPanel(reader)
        wire = Wire(panel)
        catalog.write_bytes(catalog.read_bytes()[:4000])
        version.write_text("another")
        reply = wire.ask("list_datasets")
        panel._publish()
        told = str([reply, panel.error])
        panel.close()
    assert "catalog.duckdb" in told
    assert str(manager.data_dir) not in told


def test_a_replaced_panel_rests_again_when_nobody_asks_it(
    panel: DatasetsPanel, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    publishers = [thread for thread in threading.enumerate() if "mistudio-publish" in thread.name]
    panel._make_way()
    for thread in publishers:
        thread.join(10)
    monkeypatch.setattr("mistudio_widgets.panel.service._LOOK_EVERY_S", 0.01)
    monkeypatch.setattr("mistudio_widgets.panel.widget._FORGOTTEN_AFTER_S", 0.05)
    assert wire.ask("ping")["ok"]
    woken = [thread for thread in threading.enumerate() if "mistudio-publish" in thread.name]
    for thread in woken:
        thread.join(10)
    assert not any(thread.is_alive() for thread in (*publishers, *woken))
    assert wire.ask("storage")["ok"]


def test_a_read_only_panel_rests_while_nobody_looks(
    manager: DatasetManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mistudio_widgets.panel.service._LOOK_EVERY_S", 0.01)
    before = set(threading.enumerate())
    with DatasetManager(manager.data_dir, read_only=True) as reader:
        panel = DatasetsPanel(reader)
        wire = Wire(panel)
        publishers = [
            thread
            for thread in set(threading.enumerate()) - before
            if "mistudio-publish" in thread.name
        ]
        assert [thread.is_alive() for thread in publishers] == [True]
        monkeypatch.setattr("mistudio_widgets.panel.widget._UNSEEN_AFTER_S", 0.05)
        for thread in publishers:
            thread.join(10)
        assert not any(thread.is_alive() for thread in publishers)
        assert wire.ask("storage")["ok"]
        panel.close()
