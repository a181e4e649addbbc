"""The methods on tokenizations: tokenize, list, delete, load."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..catalog import CatalogWriter
from ..errors import (
    AlreadyExistsError,
    InUseError,
    InvalidRequestError,
    NotFoundError,
)
from ..jobs import Job, ended_job
from ..records import (
    TokenizationRecord,
    TokenizationSettings,
)
from ..storage import remove_tree
from .checks import (
    check_against,
    check_split,
    local_tokenizer,
    settings_of,
)
from .holding import HoldMethods
from .looking import load_tensors
from .question import question
from .recovery import settle_deletions
from .tokenize_work import TokenizeWork, forget_tokenization, tokenization_record

if TYPE_CHECKING:
    import torch


class TokenizationMethods(HoldMethods):
    """What can be done with tokenizations."""

    def tokenize(
        self,
        dataset_id: str,
        settings: TokenizationSettings | Mapping[str, Any] | None = None,
        /,
        *,
        engine: str = "auto",
        **options: Any,
    ) -> Job:
        """Tokenize a dataset in the background.

        Parameters
        ----------
        dataset_id : str
        settings : TokenizationSettings, optional
            Or give its fields as keyword arguments.
        engine : "auto", "fastokens" or "tokenizers"
            What makes the ids. Whatever is chosen must reproduce the reference's ids first.

        Returns
        -------
        Job
            Its result is the `TokenizationRecord`. The same request again gives the record that
            is there.

        Raises
        ------
        InvalidRequestError
            A setting that cannot be used, a tokenizer path that does not exist, a dataset that
            is not ready.
        NotFoundError, ReadOnlyError

        Examples
        --------
        ``manager.tokenize(dataset.id, tokenizer="gpt2", max_length=1024).wait()``
        """
        self._parts.must_write("tokenize")
        chosen = settings_of(settings, options)
        if engine not in ("auto", "fastokens", "tokenizers"):
            raise InvalidRequestError(
                f"{engine!r} is no engine.", field="engine", hint="auto, fastokens or tokenizers."
            )
        settle_deletions(self._parts)
        dataset = self._view.dataset(dataset_id)
        check_against(dataset, chosen)
        local = local_tokenizer(chosen.tokenizer)
        manifest = self._parts.storage.read_manifest(dataset_id)
        record = tokenization_record(manifest, chosen, local)
        with self._parts.catalog.write() as writer:
            writer.get_dataset(dataset_id)
            existing = writer.find_tokenization(record.id)
            if existing is not None and existing.status == "ready":
                return ended_job("tokenize", dataset_id, existing, existing.id)
            running = self._running_tokenization(writer, record.id)
            if running is not None:
                return running
            if existing is not None:
                self._parts.storage.forget_receipt(dataset_id, record.id)
            if existing is not None and existing.status != "error":
                # its owner died before it could say so
                writer.put_tokenization(existing.model_copy(update={"status": "error"}))
            writer.put_tokenization(record)
            job = self._new_job(writer, "tokenize", dataset_id, None, record.id)
        return self._submit(job, TokenizeWork(self._parts, record, local, engine))

    def _running_tokenization(self, writer: CatalogWriter, tokenization_id: str) -> Job | None:
        for row in writer.active_jobs():
            if row.snapshot.tokenization_id != tokenization_id:
                continue
            job = self._runner.find(row.snapshot.id)
            if job is not None:
                return job
            if self._parts.is_alive(row):
                raise AlreadyExistsError(
                    "Another manager makes this tokenization now.",
                    existing_id=tokenization_id,
                    hint="Wait until it is ready; get_tokenization() tells.",
                )
        return None

    def list_tokenizations(self, dataset_id: str) -> list[TokenizationRecord]:
        """Return a dataset's tokenizations, newest first; raises `NotFoundError`."""
        return self._view.tokenizations(dataset_id)

    def _must_not_be_made(self, writer: CatalogWriter, tokenization_id: str) -> None:
        for row in writer.active_jobs():
            is_its_job = row.snapshot.tokenization_id == tokenization_id
            if is_its_job and self._parts.is_alive(row):
                raise InUseError(
                    "This tokenization is being made.",
                    by=(row.snapshot.id,),
                    hint="Cancel its job first.",
                )

    def get_tokenization(self, tokenization_id: str) -> TokenizationRecord:
        """Return one tokenization; raises `NotFoundError`."""
        return self._view.tokenization(tokenization_id)

    def delete_tokenization(self, tokenization_id: str) -> int:
        """Delete a tokenization.

        Returns
        -------
        int
            Bytes freed.

        Raises
        ------
        InUseError
            It is being made: cancel that first. Or its dataset is held.
        NotFoundError, ReadOnlyError
        """
        self._parts.must_write("delete")
        started = time.monotonic()
        storage = self._parts.storage
        settle_deletions(self._parts)
        self._view.tokenization(tokenization_id)
        trash = None
        with self._parts.catalog.read() as reader:
            if reader is None:
                raise NotFoundError(f"There is no tokenization {tokenization_id!r}.")
            record = reader.get_tokenization(tokenization_id)
        try:
            with self._parts.catalog.write() as writer:
                writer.get_tokenization(tokenization_id)
                self._must_not_be_made(writer, tokenization_id)
                self._must_not_be_held(writer, record.dataset_id, "a tokenization of the dataset")
                trash = storage.trash_tokenization(record.dataset_id, tokenization_id)
                forget_tokenization(writer, record)
        except BaseException:
            settle_deletions(self._parts)
            raise
        freed = remove_tree(trash) if trash is not None else 0
        partial = storage.partial_dir(record.dataset_id, tokenization_id)
        if partial.exists():
            freed += remove_tree(partial)
        self._follower.notify()
        took_s, ids = time.monotonic() - started, (record.dataset_id, tokenization_id)
        self._parts.journal.deleted("tokenization", record.tokenizer_name, freed, took_s, *ids)
        return freed

    @question
    def load_tokens(self, tokenization_id: str, split: str) -> dict[str, torch.Tensor]:
        """Load the token ids of one split, memory-mapped.

        Returns
        -------
        dict of str to torch.Tensor
            ``input_ids`` int32, shape (n_sequences, max_length), or (n_sequences, longest) for
            padding="longest", or flat with ``offsets`` int64 (n_sequences + 1);
            ``attention_mask`` uint8 of the same shape, when something was filled;
            ``sample_starts`` int64 (n_samples + 1), where each sample begins in the stream of the
            samples' own tokens and separators, before ``stride`` repeats some of them and
            ``begin_sequence_token`` stands among them (`sample_tokens` finds a sample's tokens);
            ``sample_rows`` int64 (n_samples), when rows were dropped or shuffled.

        Raises
        ------
        InvalidRequestError
            The tokenization is not ready, or has no such split.
        CorruptFileError
            Its files are not there as the receipt says.
        InterruptedJobError
            The manager is closed.
        """
        self._must_be_open()
        record = self._ready_tokenization(tokenization_id)
        check_split(split, record.splits)
        storage = self._parts.storage
        folder = storage.tokenization_dir(record.dataset_id, tokenization_id)
        receipt = storage.read_receipt(record.dataset_id, tokenization_id)
        return load_tensors(folder, split, receipt)

    def _ready_tokenization(self, tokenization_id: str) -> TokenizationRecord:
        record = self.get_tokenization(tokenization_id)
        if record.status != "ready":
            raise InvalidRequestError(
                f"Tokenization {tokenization_id} is {record.status}.",
                field="tokenization_id",
                hint=record.error_message or "Wait for its job.",
            )
        return record
