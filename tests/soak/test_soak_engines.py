"""Ten million ids of real text for each real tokenizer: the chosen engine and the reference."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from real_tokenizers import REAL, real_tokenizer
from setting import texts

from mistudio_widgets.encoders import choose_engine, load_tokenizer, open_encoder
from mistudio_widgets.encoders.engines import ReferenceEncoder

pytestmark = pytest.mark.soak

MIN_TOKENS = 10_000_000
BATCH = 200


@pytest.fixture(scope="module")
def corpus() -> list[str]:
    return texts(60_000_000)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", REAL)
def test_no_id_of_ten_million_differs(corpus, tmp_path, name):
    tokenizer = load_tokenizer(real_tokenizer(name, tmp_path))
    spec = choose_engine(tokenizer)
    engine, reference = open_encoder(spec), ReferenceEncoder(tokenizer.backend)

    def compare(first: int) -> int:
        batch = corpus[first : first + BATCH]
        ids, offsets = engine.encode(batch)
        expected_ids, expected_offsets = reference.encode(batch)
        assert np.array_equal(offsets, expected_offsets)
        assert np.array_equal(ids, expected_ids)
        return len(ids)

    with ThreadPoolExecutor(2) as pool:
        num_tokens = sum(pool.map(compare, range(0, len(corpus), BATCH)))
    print(f"{name} ({spec.engine}): 0 of {num_tokens:,} ids differ")
    assert num_tokens >= MIN_TOKENS
