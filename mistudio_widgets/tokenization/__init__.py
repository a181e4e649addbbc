"""From Parquet to ``{split}.pt``: tokenize shards, pack what they gave, save, count.

identity    `tokenization_id`, `content_sha256`: what makes two tokenizations the same
texts       rows to texts: conversations rendered, pairs, cleaning
cleaning    `clean_safely`
columns     columns of Parquet files that hold texts
planning    `plan_shards`: files to stretches of row groups
batches     a shard's rows, in batches of bounded bytes
shards      `tokenize_shard`: a stretch of a Parquet file to a token run on disk
documents   the runs of a split in output order, read back in chunks of bounded size
specials    which special tokens the settings ask for
rendering   which chat template renders conversations
preview     `preview_text`, `preview_row`: one sample, token by token
pairs       pairs of texts to sequences
assembly    documents to sequences: calls `packing` chunk by chunk
packed      mode="packed": a stream, cut into sequences
separate    mode="per_sample": sequences of each sample
output      the files of a split, and what is counted while they are written
archive     the ``.pt`` file, written front to back
saving      ``lengths_{split}.npy``
workers     shards in parallel, and the end of all of them
summary     `TokenizationResult`: what came out, in numbers
run         `tokenize_splits`: all of it
memory      `after_batch`: freed memory goes back to the system
files       files that are whole or not there, arrays that live in files

Memory stays flat whatever the size of the data: every array that grows with it lives in a
file that is read and written in chunks, or mapped.
"""

from .identity import content_sha256, tokenization_id
from .planning import Shard, plan_shards
from .preview import preview_row, preview_text
from .run import tokenize_splits
from .shards import ShardRun, tokenize_shard
from .summary import TokenizationResult
from .texts import TextRules, plain_texts

__all__ = [
    "Shard",
    "ShardRun",
    "TextRules",
    "TokenizationResult",
    "content_sha256",
    "plain_texts",
    "plan_shards",
    "preview_row",
    "preview_text",
    "tokenization_id",
    "tokenize_shard",
    "tokenize_splits",
]
