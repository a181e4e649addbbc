"""Encoders: loading, special tokens, and the proof that an engine equals the reference."""

from __future__ import annotations

import json
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from tokenizers import processors
from trained_tokenizers import save_byte_level, save_llama_like, save_word_piece

from mistudio_widgets.encoders import (
    EncoderSpec,
    EngineDiffersError,
    Tokenizer,
    check_sample,
    choose_engine,
    choose_on_trial,
    disprove,
    is_equal_on_probes,
    load_tokenizer,
    open_early,
    open_encoder,
    probe_texts,
    probes,
    proofs,
)
from mistudio_widgets.encoders.engines import OPENERS
from mistudio_widgets.errors import (
    InvalidRequestError,
    JobCancelled,
    TokenizationError,
    TokenizerNotFoundError,
)

KINDS = {"byte": save_byte_level, "word": save_word_piece, "llama": save_llama_like}


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("trained")
    return {kind: save(root / kind) for kind, save in KINDS.items()}


@pytest.fixture(params=list(KINDS))
def tokenizer(request, trained) -> Tokenizer:
    return load_tokenizer(trained[request.param])


def test_a_file_and_its_folder_are_the_same_tokenizer(trained):
    for path in (trained["byte"], trained["byte"].parent, str(trained["byte"])):
        loaded = load_tokenizer(path)
        assert loaded.name == "byte"
        assert loaded.sha256 == load_tokenizer(trained["byte"]).sha256
    assert loaded.vocab_size == loaded.num_ids == 600


def test_a_given_name_wins(trained):
    assert load_tokenizer(trained["byte"], name="gpt2").name == "gpt2"


def test_every_kind_of_template_is_found(trained):
    templates = {kind: load_tokenizer(path).template for kind, path in trained.items()}
    assert templates == {"byte": ((), ()), "word": ((2,), (3,)), "llama": ((1,), ())}


def test_template_and_text_make_the_references_own_call(tokenizer):
    reference = tokenizers.Tokenizer.from_file(tokenizer.path)
    for text in ("", "def main(): pass", "Zürich\n\n東京 👍", "[CLS] <s> x"):
        content = reference.encode(text, add_special_tokens=False).ids
        whole = reference.encode(text, add_special_tokens=True).ids
        assert [*tokenizer.prefix_ids, *content, *tokenizer.suffix_ids] == whole


def test_a_template_that_repeats_the_text_is_refused_only_when_wanted(trained, tmp_path):
    reference = tokenizers.Tokenizer.from_file(str(trained["byte"]))
    reference.post_processor = processors.TemplateProcessing(
        single="$A <|endoftext|> $A", pair="$A $B", special_tokens=[("<|endoftext|>", 0)]
    )
    reference.save(str(tmp_path / "tokenizer.json"))
    loaded = load_tokenizer(tmp_path)
    assert loaded.template is None
    with pytest.raises(TokenizationError, match="before and after") as caught:
        _ = loaded.prefix_ids
    assert "add_special_tokens=False" in caught.value.hint


def test_usual_names_serve_a_bare_file(trained):
    roles = {kind: load_tokenizer(path).roles for kind, path in trained.items()}
    assert roles["byte"] == {"bos": 0, "eos": 0, "sep": None, "pad": None}
    assert roles["word"] == {"bos": 2, "eos": 3, "sep": 3, "pad": 0}
    assert roles["llama"] == {"bos": 1, "eos": 2, "sep": 2, "pad": None}
    assert load_tokenizer(trained["llama"]).fill_id == 2
    assert load_tokenizer(trained["word"]).fill_id == 0


def test_companions_win_over_usual_names(trained, tmp_path):
    (tmp_path / "tokenizer.json").write_bytes(trained["word"].read_bytes())
    (tmp_path / "special_tokens_map.json").write_text(
        '{"eos_token": "[CLS]", "pad_token": "[UNK]"}'
    )
    config = {"eos_token": {"content": "[MASK]"}, "bos_token": None, "sep_token": "not a token"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    loaded = load_tokenizer(tmp_path)
    assert loaded.roles == {"bos": None, "eos": 4, "sep": None, "pad": 1}


def test_a_broken_companion_is_named(trained, tmp_path):
    (tmp_path / "tokenizer.json").write_bytes(trained["word"].read_bytes())
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(TokenizationError, match=r"tokenizer_config\.json"):
        load_tokenizer(tmp_path)


def test_tokens_are_resolved_by_role_id_and_text(trained):
    loaded = load_tokenizer(trained["word"])
    found = [loaded.resolve(token, "f") for token in ("bos", "eos", "sep", 4, "[MASK]", None)]
    assert found == [2, 3, 3, 4, 4, None]
    assert loaded.text_of(4) == "[MASK]"


@pytest.mark.parametrize("token", ["sep", "<|nowhere|>", -1, 600, 10**12, True])
def test_a_token_outside_the_vocabulary_is_refused_with_choices(trained, token):
    loaded = load_tokenizer(trained["byte"])
    with pytest.raises(InvalidRequestError) as caught:
        loaded.resolve(token, "sequence_separator_token")
    assert caught.value.field == "sequence_separator_token"
    assert "sequence_separator_token" in caught.value.message
    assert '"eos"' in caught.value.hint
    assert "<|endoftext|>" in caught.value.hint


def test_decoding_gives_the_text_back(trained):
    for kind in ("byte", "llama"):
        loaded = load_tokenizer(trained[kind])
        ids, _ = open_encoder(choose_engine(loaded)).encode([" héllo 東京 <|endoftext|>\n"])
        assert loaded.decode(ids.tolist()).strip() == "héllo 東京 <|endoftext|>"


def test_a_missing_path_names_itself_and_what_is_there(tmp_path):
    (tmp_path / "tokenizer.jsn").touch()
    with pytest.raises(TokenizerNotFoundError, match=r"tokenizer\.json") as caught:
        load_tokenizer(tmp_path / "tokenizer.json")
    assert "tokenizer.jsn" in caught.value.hint


def test_a_folder_without_a_tokenizer_says_what_it_holds(tmp_path):
    for number in range(9):
        (tmp_path / f"notes{number}.md").touch()
    with pytest.raises(TokenizerNotFoundError) as caught:
        load_tokenizer(tmp_path, work_dir=tmp_path / "work")
    assert "notes0.md" in caught.value.hint
    assert "3 more" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (b"{\n\n?", "line 3"),
        (b"\xff\xfe\x00", "not text"),
        (b'{"a": 1}', "without a tokenizer's model"),
        (b'{"model": {"type": "Unheard"}}', "not a tokenizer"),
        (b'{"model": {"type": "BPE", "vocab": {}, "merges": []}}', "without a single token"),
    ],
)
def test_a_file_that_is_no_tokenizer_says_why(tmp_path, content, reason):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(TokenizationError, match="tokenizer") as caught:
        load_tokenizer(path)
    assert reason in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_a_folder_of_slow_files_is_converted_once(tmp_path):
    folder = tmp_path / "slow"
    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world", "##s"]
    (folder / "vocab.txt").write_text("\n".join(words))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    loaded = load_tokenizer(folder, work_dir=tmp_path / "work")
    assert loaded.name == "slow"
    assert loaded.prefix_ids == (2,)
    ids, _ = open_encoder(choose_engine(loaded, "tokenizers")).encode(["Hello worlds"])
    assert ids.tolist() == [5, 6, 7]
    converted = Path(loaded.path).stat().st_mtime_ns
    assert load_tokenizer(folder, work_dir=tmp_path / "work").path == loaded.path
    assert Path(loaded.path).stat().st_mtime_ns == converted
    with pytest.raises(TokenizerNotFoundError):
        load_tokenizer(folder)


def test_files_that_transformers_cannot_convert_are_named(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    (tmp_path / "vocab.json").write_text("nonsense")
    (tmp_path / "config.json").write_text('{"model_type": "unheard-of"}')
    with pytest.raises(TokenizerNotFoundError, match=r"no tokenizer\.json"):
        load_tokenizer(tmp_path, work_dir=tmp_path / "work")
    assert not list((tmp_path / "work").glob("con*"))


def test_engines_give_the_references_ids(tokenizer, stdlib_files):
    spec = choose_engine(tokenizer)
    if tokenizer.name == "byte":
        assert spec.engine == "fastokens"
    texts = [path.read_text(encoding="utf-8") for path in stdlib_files[:60]]
    texts += ["", "<s>[CLS]<|endoftext|></s>", *probe_texts()]
    ids, offsets = open_encoder(spec).encode(texts)
    reference = tokenizers.Tokenizer.from_file(tokenizer.path)
    assert ids.dtype == np.int32
    assert offsets.dtype == np.int64
    for position, encoding in enumerate(
        reference.encode_batch_fast(texts, add_special_tokens=False)
    ):
        assert ids[offsets[position] : offsets[position + 1]].tolist() == encoding.ids


@pytest.mark.parametrize("engine", ["fastokens", "tokenizers"])
def test_no_texts_give_no_ids(trained, engine):
    loaded = load_tokenizer(trained["byte"])
    ids, offsets = open_encoder(choose_engine(loaded, engine)).encode([])
    assert ids.tolist() == []
    assert offsets.tolist() == [0]


@pytest.mark.parametrize("engine", ["fastokens", "tokenizers"])
def test_truncation_and_padding_of_the_file_are_off(trained, tmp_path, engine):
    reference = tokenizers.Tokenizer.from_file(str(trained["byte"]))
    reference.enable_truncation(3)
    reference.enable_padding(length=8)
    reference.save(str(tmp_path / "tokenizer.json"))
    spec = choose_engine(load_tokenizer(tmp_path), engine)
    assert spec.engine == engine
    lengths = np.diff(open_encoder(spec).encode(["a b c d e f g h i j k l", "a"])[1])
    assert lengths[0] > 8
    assert lengths[1] == 1


class _WrongAfter:
    """An engine that errs on one kind of text only."""

    def __init__(self, path: str, marker: str) -> None:
        self._right = OPENERS["tokenizers"](path)
        self._marker = marker

    def encode(self, texts):
        return self._right.encode([text.replace(self._marker, "") for text in texts])


@pytest.mark.parametrize(
    "marker", ["\u1c8a", "é's", "<|endoftext|>", "\u3000", "\r\n", "a" * 3999, "word199", "ﬁ", "\0"]
)
def test_an_engine_that_errs_on_one_kind_of_text_is_replaced(trained, marker):
    loaded = load_tokenizer(trained["byte"])
    openers = {**OPENERS, "fastokens": lambda path: _WrongAfter(path, marker)}
    assert not is_equal_on_probes(_WrongAfter(loaded.path, marker), loaded)
    for requested in ("auto", "fastokens"):
        assert choose_engine(loaded, requested, openers=openers).engine == "tokenizers"


def test_an_engine_that_raises_is_replaced(trained):
    def refuse(path):
        raise ValueError("unsupported normalizer")

    loaded = load_tokenizer(trained["byte"])
    spec = choose_engine(loaded, openers={**OPENERS, "fastokens": refuse})
    assert spec.engine == "tokenizers"


@pytest.fixture
def forgetful(monkeypatch):
    """Forget what this process knows, as a new one would."""

    def forget():
        monkeypatch.setattr(proofs, "_known", {})

    forget()
    return forget


def test_a_proof_is_made_once_and_kept_for_later_processes(
    trained, tmp_path, monkeypatch, forgetful
):
    probed = []
    is_equal = probes.is_equal_on_probes

    def is_equal_counting(*arguments):
        probed.append(arguments)
        return is_equal(*arguments)

    monkeypatch.setattr(probes, "is_equal_on_probes", is_equal_counting)
    loaded = load_tokenizer(trained["byte"])
    for _ in range(3):
        assert choose_engine(loaded, proofs=tmp_path / "proofs").engine == "fastokens"
    forgetful()
    assert choose_engine(loaded, proofs=tmp_path / "proofs").engine == "fastokens"
    assert len(probed) == 1
    (kept,) = (tmp_path / "proofs").iterdir()
    kept.write_text("{")
    forgetful()
    assert choose_engine(loaded, proofs=tmp_path / "proofs").engine == "fastokens"
    assert len(probed) == 2


def test_a_proof_holds_for_one_version_of_the_probes(trained, tmp_path, monkeypatch, forgetful):
    spec = choose_engine(load_tokenizer(trained["byte"]), proofs=tmp_path)
    forgetful()
    assert proofs.recall(spec, tmp_path) is True
    assert proofs.recall(replace(spec, sha256="0" * 64), tmp_path) is None
    monkeypatch.setattr(proofs, "PROBES_VERSION", 0)
    assert proofs.recall(spec, tmp_path) is None


def test_an_engine_that_differs_on_real_text_loses_its_proof(trained, tmp_path, forgetful):
    loaded = load_tokenizer(trained["byte"])
    spec = choose_engine(loaded, proofs=tmp_path)
    texts = [f"plain text {number}" for number in range(20)]
    check_sample(spec, open_encoder(spec), texts)

    class Wrong:
        def encode(self, texts):
            ids, offsets = open_encoder(spec).encode(texts)
            return np.where(ids == ids[-1], 0, ids), offsets

    with pytest.raises(EngineDiffersError) as caught:
        check_sample(spec, Wrong(), texts)
    # it comes from workers in other processes, too
    assert pickle.loads(pickle.dumps(caught.value)).spec == spec
    assert disprove(spec, tmp_path).engine == "tokenizers"
    forgetful()
    assert choose_engine(loaded, proofs=tmp_path).engine == "tokenizers"


@pytest.fixture
def helper():
    with ThreadPoolExecutor(1) as pool:
        yield pool


def test_an_engine_is_opened_early_once(trained, tmp_path, monkeypatch, forgetful, helper):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(trained["byte"].read_bytes())
    found = []

    def open_counting(path):
        found.append(path)
        return OPENERS["tokenizers"](path)

    monkeypatch.setitem(OPENERS, "fastokens", open_counting)
    for given in (tmp_path, path):
        open_early(given, "auto", helper)
    trial = choose_on_trial(load_tokenizer(path), "auto", helper, proofs=tmp_path)
    trial.confirm()
    assert trial.spec.engine == "fastokens"
    assert found == [str(path)]
    assert proofs.recall(trial.spec, tmp_path) is True


@pytest.mark.parametrize("why", ["reference", "disproved", "missing"])
def test_what_will_not_run_is_not_opened_early(trained, tmp_path, monkeypatch, helper, why):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(trained["byte"].read_bytes() + b"\n")
    found = []
    monkeypatch.setitem(OPENERS, "fastokens", found.append)
    if why == "disproved":
        disprove(EncoderSpec(str(path), load_tokenizer(path).sha256, "fastokens"), None)
    given = tmp_path / "gone" if why == "missing" else path
    open_early(given, "tokenizers" if why == "reference" else "auto", helper)
    assert not helper.submit(lambda: found).result()


def test_an_engine_on_trial_that_cannot_run_or_differs_is_not_used(
    trained, tmp_path, monkeypatch, forgetful, helper
):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(trained["byte"].read_bytes() + b"  ")
    loaded = load_tokenizer(path)

    def refuse(path):
        raise ValueError("unsupported normalizer")

    monkeypatch.setitem(OPENERS, "fastokens", refuse)
    open_early(path, "auto", helper)
    assert choose_on_trial(loaded, "auto", helper).spec.engine == "tokenizers"
    forgetful()
    monkeypatch.setitem(OPENERS, "fastokens", lambda path: _WrongAfter(path, "\0"))
    trial = choose_on_trial(loaded, "auto", helper)
    assert trial.spec.engine == "fastokens"
    with pytest.raises(EngineDiffersError):
        trial.confirm()
    assert choose_on_trial(loaded, "auto", helper).spec.engine == "tokenizers"


def test_a_proof_that_ends_late_does_not_clear_an_engine_that_failed(
    trained, tmp_path, monkeypatch, forgetful, helper
):
    has_failed = threading.Event()
    monkeypatch.setattr(probes, "is_equal_on_probes", lambda *_: has_failed.wait(30))
    loaded = load_tokenizer(trained["byte"])
    trial = choose_on_trial(loaded, "auto", helper, proofs=tmp_path)
    disprove(trial.spec, tmp_path)
    has_failed.set()
    helper.submit(bool).result()
    assert choose_on_trial(loaded, "auto", helper, proofs=tmp_path).spec.engine == "tokenizers"


def test_waiting_for_a_proof_can_be_cancelled(trained, monkeypatch, forgetful, helper):
    is_over = threading.Event()
    monkeypatch.setattr(probes, "is_equal_on_probes", lambda *_: is_over.wait(30))
    trial = choose_on_trial(load_tokenizer(trained["byte"]), "auto", helper)

    def cancel():
        raise JobCancelled

    with pytest.raises(JobCancelled):
        trial.confirm(cancel)
    is_over.set()


def test_an_engine_that_does_not_exist_is_refused(trained):
    with pytest.raises(InvalidRequestError, match="tiktoken") as caught:
        choose_engine(load_tokenizer(trained["byte"]), "tiktoken")
    assert caught.value.field == "engine"


def test_probes_hold_every_class_of_characters():
    import unicodedata

    texts = probe_texts(("<|mine|>",))
    seen = {unicodedata.category(character) for text in texts for character in text}
    every = {unicodedata.category(chr(code)) for code in range(0x110000)} - {"Cs"}
    assert seen == every
    assert "" in texts
    assert max(map(len, texts)) == 100_000
    assert any("<|mine|>" in text for text in texts)


def test_a_spec_travels_and_opens_the_same_encoder(trained):
    spec = choose_engine(load_tokenizer(trained["byte"]))
    copy = pickle.loads(pickle.dumps(spec))
    assert copy == spec
    assert open_encoder(copy) is open_encoder(spec)


def test_a_tokenizer_that_changed_or_went_is_not_used(trained, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(trained["byte"].read_bytes())
    # not chosen by `choose_engine`, which keeps open what it was given
    spec = EncoderSpec(str(path), load_tokenizer(path).sha256, "tokenizers")
    path.write_bytes(trained["word"].read_bytes())
    with pytest.raises(TokenizationError, match="changed"):
        open_encoder(spec)
    path.unlink()
    with pytest.raises(TokenizerNotFoundError, match="cannot be read"):
        open_encoder(EncoderSpec(spec.path, spec.sha256, "tokenizers"))


def test_threads_share_an_encoder(tokenizer):
    encoder = open_encoder(choose_engine(tokenizer))
    texts = probe_texts()[:200]
    expected = encoder.encode(texts)[0].tolist()
    start = threading.Barrier(4)

    def encode():
        start.wait()
        return encoder.encode(texts)[0].tolist()

    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(encode) for _ in range(4)]
    assert all(result.result() == expected for result in results)
