"""Conversations: found, rendered as transformers renders them, tokenized once."""

from __future__ import annotations

import json
import pickle
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import chat_templates
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_tokenization import load, real_rows, tokenize
from tokenizers import AddedToken, Tokenizer
from trained_tokenizers import save_byte_level
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from mistudio_widgets import DatasetManager
from mistudio_widgets.encoders import ChatTemplate, fingerprint, load_tokenizer, render_plain
from mistudio_widgets.encoders.chat import RenderingFault
from mistudio_widgets.errors import InvalidRequestError, TokenizationError
from mistudio_widgets.records import TokenizationSettings

MARKS = ["<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]

CHATS: list[list[dict[str, Any]]] = [
    [
        {"role": "system", "content": "Be brief & <b>bold</b>."},
        {"role": "user", "content": "  Hello 東京?\n"},
        {"role": "assistant", "content": "Hi. {{ not a template }}"},
    ],
    [{"role": "user", "content": ""}, {"role": "assistant", "content": "def f(x):\n    return x"}],
    [{"role": "user", "content": "What is <|im_end|> in a text?"}],
]


@lru_cache(maxsize=1)
def _trained() -> str:
    with tempfile.TemporaryDirectory() as folder:
        return save_byte_level(Path(folder)).read_text()


def save_chat_tokenizer(folder: Path, template: str | None) -> Path:
    """A byte-level BPE with role markers, saved as transformers saves it."""
    backend = Tokenizer.from_str(_trained())
    backend.add_special_tokens([AddedToken(mark, special=True) for mark in ["<s>", *MARKS]])
    peer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        eos_token="<|endoftext|>",
        chat_template=template,
    )
    peer.save_pretrained(folder)
    return folder


def write(folder: Path, values: list[Any], name: str = "messages") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({name: values}), folder / "a.parquet", row_group_size=2)
    return folder / "a.parquet"


def make(folder: Path, home: Path, values: list[Any], **options: Any) -> list[list[int]]:
    path = write(folder, values)
    options = {"mode": "per_sample", "truncation": "do_not_truncate", **options}
    tokenize(folder, load_tokenizer(home), {"train": [path]}, column="messages", **options)
    return real_rows(load(folder))


@pytest.mark.parametrize("name", ["CHATML", "LLAMA_3", "LLAMA_2", "QWEN_2_VL", "TRICKY"])
def test_ids_equal_apply_chat_template(name: str, tmp_path: Path) -> None:
    home = save_chat_tokenizer(tmp_path / "tokenizer", getattr(chat_templates, name))
    peer = AutoTokenizer.from_pretrained(home)
    expected = [peer.apply_chat_template(chat, tokenize=True)["input_ids"] for chat in CHATS]
    assert make(tmp_path / "own", home, CHATS) == expected
    # the same template, given with the settings
    bare = save_chat_tokenizer(tmp_path / "bare", None)
    given = getattr(chat_templates, name)
    assert make(tmp_path / "given", bare, CHATS, chat_template=given) == expected


def test_role_markers_are_special_tokens_and_stand_once(tmp_path: Path) -> None:
    home = save_chat_tokenizer(tmp_path / "tokenizer", chat_templates.LLAMA_3)
    tokenizer = load_tokenizer(home)
    (row,) = make(tmp_path / "a", home, CHATS[:1])
    marks = {mark: tokenizer.backend.token_to_id(mark) for mark in ["<s>", *MARKS]}
    assert row.count(marks["<s>"]) == 1
    assert row.count(marks["<|start_header_id|>"]) == row.count(marks["<|eot_id|>"]) == 3
    begun = make(tmp_path / "b", home, CHATS[:1], begin_sequence_token="bos")
    assert begun == [row]
    with pytest.raises(InvalidRequestError, match="stand twice") as caught:
        make(tmp_path / "c", home, CHATS, add_special_tokens=True)
    assert caught.value.field == "add_special_tokens"
    with pytest.raises(TokenizationError, match="stand twice"):
        make(
            tmp_path / "d",
            home,
            CHATS,
            mode="packed",
            truncation="longest_first",
            begin_sequence_token="bos",
        )


def test_packing_puts_nothing_between_rendered_conversations(tmp_path: Path) -> None:
    home = save_chat_tokenizer(tmp_path / "tokenizer", chat_templates.CHATML)
    alone = make(tmp_path / "alone", home, CHATS)
    packed = {"mode": "packed", "truncation": "longest_first", "max_length": 16}
    for name, separator, between in (("auto", "auto", []), ("eos", "eos", [0])):
        rows = make(tmp_path / name, home, CHATS, **packed, sequence_separator_token=separator)
        joined = alone[0] + between + alone[1] + between + alone[2]
        assert [token for row in rows for token in row] == joined


def test_without_a_template_a_conversation_gets_the_plain_form(tmp_path: Path) -> None:
    home = save_chat_tokenizer(tmp_path / "tokenizer", None)
    tokenizer = load_tokenizer(home)
    rows = make(tmp_path / "a", home, CHATS)
    assert [tokenizer.decode(row) for row in rows] == [render_plain(chat) for chat in CHATS]
    assert render_plain(CHATS[1]) == "user: \n\nassistant: def f(x):\n    return x"


def test_from_and_value_are_role_and_content(tmp_path: Path) -> None:
    home = save_chat_tokenizer(tmp_path / "tokenizer", chat_templates.CHATML)
    names = {"user": "human", "assistant": "gpt", "system": "system"}
    shared = [[{"from": names[m["role"]], "value": m["content"]} for m in chat] for chat in CHATS]
    assert make(tmp_path / "a", home, shared) == make(tmp_path / "b", home, CHATS)


@pytest.mark.parametrize("name", ["CHATML", "QWEN_2_VL"])
def test_contents_of_several_parts_are_texts(name: str, tmp_path: Path) -> None:
    home = save_chat_tokenizer(tmp_path / "tokenizer", getattr(chat_templates, name))
    parts = [
        [
            {"role": m["role"], "content": [{"type": "text", "text": t} for t in _halves(m)]}
            for m in chat
        ]
        for chat in CHATS
    ]
    assert make(tmp_path / "a", home, parts) == make(tmp_path / "b", home, CHATS)


def _halves(message: dict[str, Any]) -> tuple[str, str]:
    content = message["content"]
    return content[: len(content) // 2], content[len(content) // 2 :]


def test_parts_for_a_template_that_knows_images_are_passed_on(tmp_path: Path) -> None:
    home = save_chat_tokenizer(tmp_path / "tokenizer", chat_templates.QWEN_2_VL)
    peer = AutoTokenizer.from_pretrained(home)
    chat = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}
    ]
    expected = peer.apply_chat_template(chat, tokenize=True)["input_ids"]
    # Arrow gives every part all keys: an image's text is null
    assert make(tmp_path / "a", home, [chat]) == [expected]
    plain = save_chat_tokenizer(tmp_path / "plain", chat_templates.CHATML)
    with pytest.raises(TokenizationError, match=r"Row 0 .*a part of type 'image' is not text"):
        make(tmp_path / "b", plain, [chat])


def test_messages_keep_what_else_a_template_knows(tmp_path: Path) -> None:
    home = save_chat_tokenizer(tmp_path / "tokenizer", chat_templates.TRICKY)
    peer = AutoTokenizer.from_pretrained(home)
    chat = [
        {"role": "user", "content": "2 + 2?", "thinking": None, "tool_calls": None},
        {
            "role": "assistant",
            "content": None,
            "thinking": "Easy.",
            "tool_calls": [{"name": "add", "arguments": {"a": 2, "b": 2}}],
        },
        {"role": "assistant", "content": "4", "thinking": None, "tool_calls": None},
    ]
    expected = peer.apply_chat_template(chat, tokenize=True)["input_ids"]
    assert make(tmp_path / "a", home, [chat]) == [expected]


def test_a_conversation_that_the_template_refuses_is_named_or_dropped(tmp_path: Path) -> None:
    home = save_chat_tokenizer(tmp_path / "tokenizer", chat_templates.LLAMA_2)
    same = [{"role": "user", "content": "a"}] * 2
    with pytest.raises(TokenizationError, match=r"Row 1 of split 'train'.*roles must alternate"):
        make(tmp_path / "a", home, [CHATS[0], same])
    values = [CHATS[0], same, None, [], [None], CHATS[1]]
    path = write(tmp_path / "b", values)
    result = tokenize(
        tmp_path / "b",
        load_tokenizer(home),
        {"train": [path]},
        column="messages",
        skip_invalid=True,
        max_length=16,
    )
    assert result.accounting.samples_dropped == {"not_rendered": 2, "null": 1, "not_text": 1}
    assert load(tmp_path / "b")["sample_rows"].tolist() == [0, 5]


def test_min_chars_counts_what_was_rendered(tmp_path: Path) -> None:
    home = save_chat_tokenizer(tmp_path / "tokenizer", None)
    rows = make(tmp_path / "a", home, CHATS, min_chars=len(render_plain(CHATS[2])) + 1)
    assert len(rows) == 2


def test_a_process_renders_as_a_thread_does(tmp_path: Path) -> None:
    home = save_chat_tokenizer(tmp_path / "tokenizer", chat_templates.LLAMA_3)
    template = load_tokenizer(home).chat_template()
    assert template is not None
    rendered = template.render(CHATS[0])
    assert pickle.loads(pickle.dumps(template)).render(CHATS[0]) == rendered
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        rows = make(tmp_path / "a", home, CHATS, executor=pool)
    assert rows == make(tmp_path / "b", home, CHATS)


def test_the_date_in_a_template_stays_the_same() -> None:
    assert ChatTemplate(chat_templates.DATED).render(CHATS[2]).startswith("26 Jul 2024")


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ cycler.__init__.__globals__ }}",
        "{% set n = namespace() %}{% set n.__class__ = 1 %}",
        "{{ messages.append(1) }}",
        "{{ range(10 ** 9) | list }}",
        "{{ lipsum() }}",
        "{{ messages | random }}",
        "{% include '/etc/passwd' %}",
        "{{ 1 // 0 }}",
    ],
)
def test_a_template_cannot_leave_its_sandbox(source: str) -> None:
    with pytest.raises((RenderingFault, TokenizationError)):
        template = ChatTemplate(source)
        template.check()
        template.render(CHATS[0])


def test_a_template_that_is_none_is_refused(tmp_path: Path) -> None:
    home = save_chat_tokenizer(tmp_path / "tokenizer", chat_templates.CHATML)
    with pytest.raises(TokenizationError, match=r"not valid Jinja.*line 2"):
        make(tmp_path / "a", home, CHATS, chat_template="{{ 1 }}\n{% for %}")
    with pytest.raises(InvalidRequestError, match="no template 'tool_use'") as caught:
        make(tmp_path / "b", home, CHATS, chat_template="tool_use")
    assert caught.value.field == "chat_template"
    assert "default" in (caught.value.hint or "")


def test_templates_are_found_where_transformers_finds_them(tmp_path: Path) -> None:
    home = save_chat_tokenizer(tmp_path / "a", None)
    assert load_tokenizer(home).chat_template() is None
    config = json.loads((home / "tokenizer_config.json").read_text())
    named = [{"name": "default", "template": "{{ 1 }}"}, {"name": "rag", "template": "{{ 2 }}"}]
    (home / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": named}))
    before = fingerprint(home / "tokenizer.json", with_chat=True)
    plain = fingerprint(home / "tokenizer.json")

    def rendered(asked: str | None = None) -> str:
        template = load_tokenizer(home).chat_template(asked)
        assert template is not None
        return template.render(CHATS[0])

    assert (rendered(), rendered("rag"), rendered("{{ 3 }}")) == ("1", "2", "3")
    (home / "chat_template.jinja").write_text("{{ 4 }}{{ bos_token }}")
    assert rendered() == "4<s>"
    # another template makes other ids of conversations, and of nothing else
    assert fingerprint(home / "tokenizer.json", with_chat=True) != before
    assert fingerprint(home / "tokenizer.json") == plain
    (home / "chat_template.jinja").write_bytes(b"\xff")
    with pytest.raises(TokenizationError, match=r"chat_template\.jinja"):
        load_tokenizer(home)


def test_settings_that_cannot_be_with_conversations(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        TokenizationSettings(tokenizer="a", chat_template="{{ 1 }}", add_special_tokens=True)
    assert caught.value.field == "add_special_tokens"
    home = save_chat_tokenizer(tmp_path / "tokenizer", chat_templates.CHATML)
    with pytest.raises(InvalidRequestError, match="does not hold conversations") as caught:
        make(tmp_path / "a", home, ["a", "b"], chat_template="{{ 1 }}")
    assert caught.value.field == "chat_template"


@pytest.mark.parametrize("kind", ["role", "from"])
def test_a_dataset_of_conversations_from_file_to_tokens(
    kind: str, tmp_path: Path, manager: DatasetManager
) -> None:
    home = save_chat_tokenizer(tmp_path / "tokenizer", chat_templates.CHATML)
    peer = AutoTokenizer.from_pretrained(home)
    keys = {"role": ("role", "content"), "from": ("from", "value")}[kind]
    chats = [[dict(zip(keys, message.values(), strict=True)) for message in c] for c in CHATS]
    file = tmp_path / "chats.jsonl"
    rows = [{"text": "other", "messages": chat} for chat in chats]
    file.write_text("\n".join(map(json.dumps, rows)))
    dataset = manager.import_files(file).wait(60)
    assert dataset.text_column == "messages"
    schema = dataset.metadata.schema_
    form = "/".join(keys)
    assert schema.conversations == {"messages": form}
    assert schema.text_reason == f"'messages' holds conversations of {form}."
    assert schema.text_columns == ["text", "messages"]
    record = manager.tokenize(dataset.id, tokenizer=str(home), mode="per_sample").wait(60)
    expected = [peer.apply_chat_template(chat, tokenize=True)["input_ids"] for chat in CHATS]
    assert real_rows(manager.load_tokens(record.id, "train")) == expected
    assert (record.text_column_used, record.rendered_by) == ("messages", "tokenizer")
    # the user may choose another column, and another template
    plain = manager.tokenize(
        dataset.id, tokenizer=str(home), mode="per_sample", text_column="text"
    ).wait(60)
    assert real_rows(manager.load_tokens(plain.id, "train")) == peer(["other"] * 3)["input_ids"]
    other = manager.tokenize(
        dataset.id, tokenizer=str(home), mode="per_sample", chat_template="{{ bos_token }}"
    ).wait(60)
    assert real_rows(manager.load_tokens(other.id, "train")) == [[peer.bos_token_id]] * 3
    assert len({record.id, plain.id, other.id}) == 3
    assert (plain.rendered_by, other.rendered_by) == (None, "settings")
    for options, field in (
        ({"text_column": "text", "chat_template": "{{ 1 }}"}, "chat_template"),
        ({"mode": "per_sample", "pair_column": "text"}, "pair_column"),
        ({"mode": "per_sample", "pair_column": "nope"}, "pair_column"),
    ):
        with pytest.raises(InvalidRequestError) as caught:
            manager.tokenize(dataset.id, tokenizer=str(home), **options)
        assert caught.value.field == field
    # the tokenizer's template changed: what it made is not what it would make now
    (home / "chat_template.jinja").write_text(chat_templates.LLAMA_3)
    again = manager.tokenize(dataset.id, tokenizer=str(home), mode="per_sample").wait(60)
    assert again.id != record.id
    same = manager.tokenize(
        dataset.id, tokenizer=str(home), mode="per_sample", text_column="text"
    ).wait(60)
    assert same.id == plain.id


@pytest.mark.parametrize(
    ("columns", "chosen", "why"),
    [
        ({"id": ["x"], "messages": CHATS[:1], "text": ["y"]}, "messages", "role/content"),
        ({"chosen": CHATS[:1], "conversation": CHATS[:1]}, "conversation", "role/content"),
        ({"chosen": CHATS[:1], "rejected": CHATS[:1]}, "chosen", "role/content"),
        ({"id": ["x"], "document": ["y"], "text": ["z"]}, "text", "usual name"),
        ({"id": ["x"], "document": ["y"]}, "document", "usual name"),
        ({"n": [1], "id": ["x"], "body": ["y"]}, "id", "first column of strings"),
        # lists of something else are no conversations
        ({"messages": [["a", "b"]], "body": ["y"]}, "body", "first column of strings"),
        ({"messages": [[{"role": "a", "content": 1}]], "body": ["y"]}, "body", "first column"),
        ({"messages": [[{"role": "a"}]], "body": ["y"]}, "body", "first column"),
    ],
)
def test_the_text_column_is_found_and_the_reason_told(
    columns: dict[str, Any], chosen: str, why: str, manager: DatasetManager
) -> None:
    dataset = manager.import_dataset(pa.table(columns), name="found").wait(60)
    assert dataset.text_column == chosen
    assert why in dataset.metadata.schema_.text_reason
    assert f"'{chosen}'" in dataset.metadata.schema_.text_reason


def test_a_text_column_that_was_asked_for_is_told_as_such(manager: DatasetManager) -> None:
    table = pa.table({"messages": CHATS, "text": ["a"] * 3})
    dataset = manager.import_dataset(table, name="asked", text_column="text").wait(60)
    assert dataset.text_column == "text"
    assert dataset.metadata.schema_.text_reason == "'text' was asked for."


@pytest.mark.parametrize("kind", [pa.list_, pa.large_list, pa.list_view])
def test_conversations_in_any_of_arrows_lists(kind: Any, tmp_path: Path) -> None:
    from mistudio_widgets.importer import conversation_format

    for text in (pa.string(), pa.large_string(), pa.string_view()):
        message = pa.struct([("role", text), ("content", text)])
        assert conversation_format(kind(message)) == "role/content"
        parts = pa.struct([("role", text), ("content", kind(pa.struct([("text", text)])))])
        assert conversation_format(kind(parts)) == "role/content"
        assert conversation_format(message) is None
