"""How long a preview takes: the first of a process, and those that follow.

The peer is transformers' own call on the same text with the same tokenizer. Cold counts loading
the tokenizer, not importing Python modules; warm is the median of 200 calls.

    python benchmarks/bench_preview.py [--tokenizer PATH] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from setting import in_child, machine, table, texts

CHARS = 1000
WARM_CALLS = 200
VOCAB_SIZE = 32_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.tokenizer or _train(Path(folder))
        found = {
            who: [in_child(__file__, who, path) for _ in range(options.rounds)]
            for who in ("ours", "transformers")
        }
    print(machine())
    print(f"{CHARS} characters, {path}, medians of {options.rounds} processes")
    rows = [("", "cold", "warm")]
    for who, runs in found.items():
        cold, warm = (statistics.median(run[kind] for run in runs) for kind in ("cold", "warm"))
        rows.append((who, f"{cold:.2f} s", f"{warm * 1000:.1f} ms"))
    print(table(rows))


def _train(folder: Path) -> Path:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(5_000_000), trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def _child(who: str, path: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        call = _ours(path, folder) if who == "ours" else _peer(path)
        text = texts(CHARS)[0][:CHARS]
        began = time.perf_counter()
        call(text)
        cold = time.perf_counter() - began
        times = []
        for _ in range(WARM_CALLS):
            began = time.perf_counter()
            call(text)
            times.append(time.perf_counter() - began)
    print(json.dumps({"cold": cold, "warm": statistics.median(times)}))


def _ours(path: str, folder: str) -> Callable[[str], object]:
    import tokenizers  # noqa: F401 -- modules are not counted

    from mistudio_widgets import DatasetManager

    manager = DatasetManager(folder)
    return lambda text: manager.preview_tokens(text, tokenizer=path, mode="per_sample")


def _peer(path: str) -> Callable[[str], object]:
    from transformers import PreTrainedTokenizerFast

    loaded: list[PreTrainedTokenizerFast] = []

    def call(text: str) -> object:
        if not loaded:
            loaded.append(PreTrainedTokenizerFast(tokenizer_file=path))
        return loaded[0](text, return_offsets_mapping=True, return_special_tokens_mask=True)

    return call


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] in ("ours", "transformers"):
        _child(sys.argv[1], sys.argv[2])
    else:
        main()
