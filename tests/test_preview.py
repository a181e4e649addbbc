"""Previews: what a text becomes, token by token."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import chat_templates
import pyarrow as pa
import pytest
from hub_server import HubServer
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from test_chat import CHATS, save_chat_tokenizer
from test_tokenization import real_rows
from trained_tokenizers import save_byte_level, save_llama_like, save_word_piece
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from mistudio_widgets import DatasetManager
from mistudio_widgets.encoders import load_tokenizer, loading, recall_tokenizer
from mistudio_widgets.errors import (
    InvalidRequestError,
    NotFoundError,
    ReadOnlyError,
    TokenizationError,
    TokenizerNotFoundError,
)
from mistudio_widgets.records import TokenPreview

TEXT = "Hello wörld,\n 東京 👍!"


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("kinds")
    saves = {"byte": save_byte_level, "word": save_word_piece, "llama": save_llama_like}
    return {kind: str(save(root / kind)) for kind, save in saves.items()}


def ids_of(preview: TokenPreview) -> list[int]:
    return [token.id for token in preview.tokens]


@pytest.mark.parametrize("kind", ["byte", "word", "llama"])
@pytest.mark.parametrize("length", [8, 60])
def test_a_preview_equals_transformers(
    manager: DatasetManager, kinds: dict[str, str], kind: str, length: int
) -> None:
    tokenizer = load_tokenizer(kinds[kind])
    pad = tokenizer.text_of(tokenizer.fill_id)
    peer = PreTrainedTokenizerFast(tokenizer_file=kinds[kind], pad_token=pad)
    expected = peer(
        TEXT,
        truncation=True,
        max_length=length,
        padding="max_length",
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
    )
    preview = manager.preview_tokens(
        TEXT, tokenizer=kinds[kind], mode="per_sample", max_length=length, padding="max_length"
    )
    assert ids_of(preview) == expected["input_ids"]
    mask = [token.attention_mask for token in preview.tokens]
    assert mask == expected["attention_mask"]
    assert [token.position for token in preview.tokens] == list(range(length))
    inserted = expected["special_tokens_mask"]
    for token, span, is_inserted in zip(
        preview.tokens, expected["offset_mapping"], inserted, strict=True
    ):
        assert (token.start, token.end) == ((None, None) if is_inserted else tuple(span))
        assert token.type == ("special" if token.id in tokenizer.special_tokens else "regular")
    assert preview.num_tokens == sum(mask)
    assert preview.num_padding == length - sum(mask)
    assert preview.num_regular + preview.num_special == preview.num_tokens
    whole = len(peer(TEXT, add_special_tokens=False)["input_ids"])
    assert preview.num_beyond == whole - sum(
        1 for token in preview.tokens if token.start is not None
    )
    assert (preview.text, preview.num_chars) == (TEXT, len(TEXT))
    assert not preview.is_cut


def test_packed_shows_the_document_with_its_begin_token(
    manager: DatasetManager, kinds: dict[str, str]
) -> None:
    tokenizer = load_tokenizer(kinds["byte"])
    bare = tokenizer.backend.encode(TEXT, add_special_tokens=False).ids
    preview = manager.preview_tokens(TEXT, tokenizer=kinds["byte"], begin_sequence_token="bos")
    assert ids_of(preview) == [tokenizer.bos_id, *bare]
    assert [token.type for token in preview.tokens[:2]] == ["special", "regular"]
    short = manager.preview_tokens(TEXT, tokenizer=kinds["byte"], max_length=5)
    assert ids_of(short) == bare[:5]
    assert short.num_beyond == len(bare) - 5


@pytest.mark.parametrize("kind", ["byte", "llama"])
def test_pieces_of_characters_are_shown_as_bytes(
    manager: DatasetManager, kinds: dict[str, str], kind: str
) -> None:
    preview = manager.preview_tokens("東", tokenizer=kinds[kind], add_special_tokens=False)
    pieces = [token for token in preview.tokens if token.text.strip()]
    assert "".join(token.text for token in pieces).strip() == r"\xe6\x9d\xb1"
    assert {(token.start, token.end) for token in pieces} == {(0, 1)}


def test_texts_read_as_the_decoder_reads_them(
    manager: DatasetManager, kinds: dict[str, str]
) -> None:
    for kind in ("byte", "llama"):
        preview = manager.preview_tokens(" def  f", tokenizer=kinds[kind], add_special_tokens=False)
        assert "".join(token.text for token in preview.tokens).strip() == "def  f"
    preview = manager.preview_tokens("returning", tokenizer=kinds["word"])
    assert preview.tokens[1].text.startswith("##")


@hypothesis_settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\\"), max_size=50))
def test_what_is_shown_of_bytes_gives_the_text_back(
    text: str, manager: DatasetManager, kinds: dict[str, str]
) -> None:
    preview = manager.preview_tokens(text, tokenizer=kinds["byte"])
    assert _unspelled("".join(token.text for token in preview.tokens)) == text
    if "\ufffd" not in text:
        assert "\ufffd" not in preview.model_dump_json()


def _unspelled(shown: str) -> str:
    parts = shown.split("\\x")
    content = parts[0].encode()
    for part in parts[1:]:
        content += bytes([int(part[:2], 16)]) + part[2:].encode()
    return content.decode()


def test_special_tokens_in_the_text_are_special(
    manager: DatasetManager, kinds: dict[str, str]
) -> None:
    preview = manager.preview_tokens("a<|endoftext|>b", tokenizer=kinds["byte"])
    assert [(token.text, token.type) for token in preview.tokens] == [
        ("a", "regular"),
        ("<|endoftext|>", "special"),
        ("b", "regular"),
    ]
    assert preview.tokens[1].start == 1
    assert (preview.num_special, preview.num_regular) == (1, 2)


def test_a_sample_that_the_settings_drop_is_told(
    manager: DatasetManager, kinds: dict[str, str]
) -> None:
    preview = manager.preview_tokens("ab", tokenizer=kinds["byte"], min_chars=3)
    assert (preview.dropped, preview.tokens, preview.num_tokens) == ("too_short", (), 0)


def test_cleaning_is_seen(manager: DatasetManager, kinds: dict[str, str]) -> None:
    preview = manager.preview_tokens("a\x00\r\nb", tokenizer=kinds["byte"], cleaning="safe")
    assert (preview.text, preview.chars_cleaned, preview.num_chars) == ("a\nb", 2, 3)


def test_long_padding_is_counted_but_not_listed(
    manager: DatasetManager, kinds: dict[str, str]
) -> None:
    preview = manager.preview_tokens(
        "a", tokenizer=kinds["byte"], mode="per_sample", max_length=131072, padding="max_length"
    )
    assert (len(preview.tokens), preview.num_padding) == (5000, 131071)


@pytest.mark.parametrize(
    ("text", "options", "field"),
    [
        ("x" * 1001, {}, "text"),
        ("\ud800", {}, "text"),
        (None, {}, "text"),
        ("a", {"dataset_id": "ds_x"}, "dataset_id"),
        ("a", {"mode": "per_sample", "pair_column": "b"}, "pair_column"),
        ("a", {"chat_template": "{{ 1 }}"}, "chat_template"),
        ("a", {"max_length": 0}, "max_length"),
        ("a", {"begin_sequence_token": "sep"}, "begin_sequence_token"),
        ("a", {"begin_sequence_token": 10**6}, "begin_sequence_token"),
    ],
)
def test_what_cannot_be_previewed_is_refused(
    manager: DatasetManager, kinds: dict[str, str], text: Any, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        manager.preview_tokens(text, tokenizer=kinds["byte"], **options)
    assert caught.value.field == field


def test_a_row_previews_as_it_is_tokenized(manager: DatasetManager, tmp_path: Path) -> None:
    home = str(save_chat_tokenizer(tmp_path / "tokenizer", chat_templates.LLAMA_3))
    table = pa.table({"messages": CHATS, "text": ["one", "two\x07", None]})
    dataset = manager.import_dataset(table, name="chats").wait(60)
    cases: list[dict[str, Any]] = [
        {"mode": "per_sample"},
        {"mode": "per_sample", "max_length": 9},
        {"mode": "per_sample", "text_column": "text", "skip_invalid": True, "cleaning": "safe"},
        {"mode": "per_sample", "chat_template": chat_templates.CHATML},
    ]
    for options in cases:
        record = manager.tokenize(dataset.id, tokenizer=home, **options).wait(60)
        rows = real_rows(manager.load_tokens(record.id, "train"))
        shown = [
            manager.preview_tokens(dataset_id=dataset.id, row=row, tokenizer=home, **options)
            for row in range(3)
        ]
        assert [ids_of(preview) for preview in shown if preview.dropped is None] == rows
    assert shown[0].text.startswith("<|im_start|>system")
    with pytest.raises(TokenizationError, match="Row 2 is null"):
        manager.preview_tokens(dataset_id=dataset.id, row=2, tokenizer=home, text_column="text")
    for options, field in (
        ({"row": 3}, "row"),
        ({"row": -1}, "row"),
        ({"split": "dev"}, "split"),
        ({"text_column": "nope"}, "text_column"),
    ):
        with pytest.raises(InvalidRequestError) as caught:
            manager.preview_tokens(dataset_id=dataset.id, tokenizer=home, **options)
        assert caught.value.field == field
    with pytest.raises(NotFoundError):
        manager.preview_tokens(dataset_id="ds_x", tokenizer=home)


def test_pairs_preview_as_they_are_tokenized(
    manager: DatasetManager, kinds: dict[str, str]
) -> None:
    table = pa.table({"text": ["What is it?", "a " * 20], "pair": ["An answer. " * 9, "b"]})
    dataset = manager.import_dataset(table, name="pairs").wait(60)
    options = {"mode": "per_sample", "pair_column": "pair", "max_length": 12}
    record = manager.tokenize(dataset.id, tokenizer=kinds["word"], **options).wait(60)
    rows = real_rows(manager.load_tokens(record.id, "train"))
    for row, ids in enumerate(rows):
        preview = manager.preview_tokens(
            dataset_id=dataset.id, row=row, tokenizer=kinds["word"], **options
        )
        assert ids_of(preview) == ids
        assert preview.pair_text == table["pair"][row].as_py()
        spans = [token for token in preview.tokens if token.in_pair]
        assert spans[0].start == 0
    with pytest.raises(TokenizationError, match="stay whole"):
        manager.preview_tokens(
            dataset_id=dataset.id,
            row=1,
            tokenizer=kinds["word"],
            truncation="only_second",
            **options,
        )


def test_rows_are_found_in_any_file_and_row_group(
    manager: DatasetManager, kinds: dict[str, str], tmp_path: Path
) -> None:
    import pyarrow.parquet as pq

    from mistudio_widgets.tokenization.preview import read_row

    paths = []
    for file in range(3):
        texts = [f"{file} {number}" for number in range(2500)]
        paths.append(tmp_path / f"{file}.parquet")
        pq.write_table(pa.table({"text": texts}), paths[-1], row_group_size=2100)
    for row in (0, 2099, 2100, 2499, 2500, 6101, 7499):
        found = read_row(paths, "text", None, row).column(0).to_pylist()
        assert found == [f"{row // 2500} {row % 2500}"]


def test_of_a_long_row_the_first_characters_are_shown(
    manager: DatasetManager, kinds: dict[str, str]
) -> None:
    text = "some words " * 10_000
    dataset = manager.import_dataset(pa.table({"text": [text]}), name="long").wait(60)
    preview = manager.preview_tokens(
        dataset_id=dataset.id, tokenizer=kinds["byte"], max_length=5000
    )
    assert preview.is_cut
    assert preview.text == text[:1000]
    tokenizer = load_tokenizer(kinds["byte"])
    whole = tokenizer.backend.encode(text, add_special_tokens=False)
    shown = [i for i, (start, _) in zip(whole.ids, whole.offsets, strict=True) if start < 1000]
    assert ids_of(preview) == shown


def test_a_tokenizer_is_loaded_once_until_its_files_change(
    kinds: dict[str, str], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(Path(kinds["byte"]).parent, home)
    first = recall_tokenizer(home)
    assert recall_tokenizer(home) is first
    (home / "tokenizer_config.json").write_text('{"eos_token": "!"}')
    second = recall_tokenizer(home)
    assert second is not first
    assert second.eos_id != first.eos_id
    (home / "tokenizer.json").unlink()
    with pytest.raises(TokenizerNotFoundError):
        recall_tokenizer(home)


def test_strangers_preview_with_known_tokenizers_only(
    manager: DatasetManager, data_dir: Path, kinds: dict[str, str], tmp_path: Path
) -> None:
    home = tmp_path / "secret-folder" / "mine"
    shutil.copytree(Path(kinds["byte"]).parent, home)
    dataset = manager.import_dataset(pa.table({"text": [TEXT]}), name="a").wait(60)
    with DatasetManager(data_dir, read_only=True) as reader:
        with pytest.raises(ReadOnlyError, match="no other") as caught:
            reader.preview_tokens("a", tokenizer=kinds["byte"])
        assert caught.value.hint == "It holds none yet."
    manager.tokenize(dataset.id, tokenizer=str(home)).wait(60)
    before = sorted(data_dir.rglob("*"))
    with DatasetManager(data_dir, read_only=True) as reader:
        preview = reader.preview_tokens(dataset_id=dataset.id, tokenizer="mine")
        assert ids_of(preview) == ids_of(manager.preview_tokens(TEXT, tokenizer=str(home)))
        assert "secret" not in preview.model_dump_json()
        for other in (kinds["byte"], "acme/tiny-bpe", "/etc/passwd"):
            with pytest.raises(ReadOnlyError) as caught:
                reader.preview_tokens("a", tokenizer=other)
            assert caught.value.hint == "It holds mine."
        with pytest.raises(ReadOnlyError, match="template"):
            reader.preview_tokens(dataset_id=dataset.id, tokenizer="mine", chat_template="{{ 1 }}")
        # other bytes under the same name are another tokenizer
        shutil.copy(kinds["word"], home / "tokenizer.json")
        with pytest.raises(TokenizerNotFoundError) as changed:
            reader.preview_tokens("a", tokenizer="mine")
        shutil.rmtree(home)
        with pytest.raises(TokenizerNotFoundError) as gone:
            reader.preview_tokens("a", tokenizer="mine")
        for error in (changed.value, gone.value):
            assert "secret" not in f"{error.message} {error.hint}"
    assert sorted(data_dir.rglob("*")) == before


def test_a_preview_brings_no_torch(kinds: dict[str, str], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom mistudio_widgets import DatasetManager\n"
        "with DatasetManager(sys.argv[1]) as manager:\n"
        "    manager.preview_tokens('a', tokenizer=sys.argv[2], mode='per_sample')\n"
        "print([name for name in ('torch', 'transformers', 'datasets') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), kinds["word"]],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "[]"


def test_the_peer_agrees_on_conversations(manager: DatasetManager, tmp_path: Path) -> None:
    home = save_chat_tokenizer(tmp_path / "tokenizer", chat_templates.LLAMA_3)
    peer = AutoTokenizer.from_pretrained(home)
    dataset = manager.import_dataset(pa.table({"messages": CHATS}), name="chats").wait(60)
    preview = manager.preview_tokens(dataset_id=dataset.id, tokenizer=str(home))
    assert ids_of(preview) == peer.apply_chat_template(CHATS[0], tokenize=True)["input_ids"]
    assert preview.text == peer.apply_chat_template(CHATS[0], tokenize=False)
    marks = [token for token in preview.tokens if token.type == "special"]
    assert len(marks) == 1 + 3 * len(CHATS[0])


def test_a_tokenizer_of_the_hub_is_asked_for_once(
    manager: DatasetManager, hub: HubServer, data_dir: Path
) -> None:
    preview = manager.preview_tokens("hello", tokenizer="acme/tiny-bpe")
    asked = len(hub.requests)
    again = manager.preview_tokens("hello", tokenizer="acme/tiny-bpe")
    assert again == preview
    assert len(hub.requests) == asked
    # who may only look takes what is cached, and asks no one
    dataset = manager.import_dataset(pa.table({"text": [TEXT]}), name="a").wait(60)
    manager.tokenize(dataset.id, tokenizer="acme/tiny-bpe").wait(60)
    asked = len(hub.requests)
    with DatasetManager(data_dir, read_only=True) as reader:
        assert reader.preview_tokens("hello", tokenizer="acme/tiny-bpe") == preview
    assert len(hub.requests) == asked


def test_strangers_preview_with_what_was_converted_before(
    manager: DatasetManager, hub: HubServer, data_dir: Path
) -> None:
    dataset = manager.import_dataset(pa.table({"text": [TEXT]}), name="a").wait(60)
    manager.tokenize(dataset.id, tokenizer="acme/slow").wait(60)
    preview = manager.preview_tokens("hello", tokenizer="acme/slow")
    before = sorted(data_dir.rglob("*"))
    with DatasetManager(data_dir, read_only=True) as reader:
        assert reader.preview_tokens("hello", tokenizer="acme/slow") == preview
        assert sorted(data_dir.rglob("*")) == before
        shutil.rmtree(data_dir / "tokenizers")
        loading._recalled.clear()
        with pytest.raises(TokenizerNotFoundError, match="acme/slow"):
            reader.preview_tokens("hello", tokenizer="acme/slow")
    assert not (data_dir / "tokenizers").exists()
