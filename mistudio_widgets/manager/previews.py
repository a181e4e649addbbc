"""The method that shows what a text becomes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from .. import encoders, tokenization
from ..errors import (
    InvalidRequestError,
    MiStudioError,
    ReadOnlyError,
    TokenizerNotFoundError,
)
from ..records import TokenizationRecord, TokenizationSettings, TokenPreview
from .checks import check_against, check_split, local_tokenizer, settings_of, whole_number
from .core import Core
from .question import question

# as long as a plan of a download
_HUB_FOLDER_KEPT_S: Final = 600.0


class PreviewMethods(Core):
    """What can be seen of a tokenization before it is made."""

    @question
    def preview_tokens(
        self,
        text: str | None = None,
        settings: TokenizationSettings | Mapping[str, Any] | None = None,
        /,
        *,
        dataset_id: str | None = None,
        split: str | None = None,
        row: int = 0,
        **options: Any,
    ) -> TokenPreview:
        """Show the tokens of a text, or of a row of a dataset.

        Parameters
        ----------
        text : str, optional
            At most 1000 characters. None: a row of ``dataset_id``.
        settings : TokenizationSettings, optional
            Or give its fields as keyword arguments.
        dataset_id : str, optional
        split : str, optional
            Default: the dataset's first.
        row : int
            Row of the split. Of a long sample the first 1000 characters are shown.

        Returns
        -------
        TokenPreview
            The first sequence that the text alone would become.

        Raises
        ------
        InvalidRequestError
            A text that is too long, a row that is not there, settings that cannot be used.
        ReadOnlyError
            The manager is read-only, and no tokenization in the catalog has this tokenizer.
        TokenizationError
            The row is not text, or the tokenizer cannot serve the settings.
        InterruptedJobError
            The manager is closed.
        NotFoundError, TokenizerNotFoundError

        *Threads:* any. A tokenizer is loaded once and kept until its files change.

        Examples
        --------
        ``manager.preview_tokens("Hello world", tokenizer="gpt2").num_tokens``
        """
        self._must_be_open()
        chosen = settings_of(settings, options)
        if not isinstance(text, str | None):
            raise InvalidRequestError(
                f"text must be a string, not {type(text).__name__}.", field="text"
            )
        row = whole_number(row, "row", least=None)
        if (text is None) == (dataset_id is None):
            raise InvalidRequestError(
                "Give a text, or a dataset_id, and not both.",
                field="text" if dataset_id is None else "dataset_id",
            )
        if self._parts.read_only and chosen.chat_template is not None:
            raise ReadOnlyError(
                "A read-only manager runs no template that it is given.",
                hint="Leave chat_template out to use the tokenizer's own.",
            )
        if text is not None:
            return tokenization.preview_text(text, self._tokenizer(chosen), chosen)
        assert dataset_id is not None
        return self._preview_row(dataset_id, split, row, chosen)

    def _preview_row(
        self, dataset_id: str, split: str | None, row: int, settings: TokenizationSettings
    ) -> TokenPreview:
        dataset = self._view.dataset(dataset_id)
        check_against(dataset, settings)
        if split is None:
            split = next(iter(dataset.split_info or ()), "train")
        check_split(split, dataset.split_info or {})
        storage = self._parts.storage
        folder = storage.dataset_dir(dataset_id)
        files = storage.read_manifest(dataset_id).files
        paths = [folder / file.path for file in files if file.split == split]
        column = settings.text_column or dataset.text_column
        assert column is not None
        return tokenization.preview_row(paths, column, row, self._tokenizer(settings), settings)

    def _tokenizer(self, settings: TokenizationSettings) -> encoders.Tokenizer:
        if self._parts.read_only:
            return self._known_tokenizer(settings.tokenizer)
        path = local_tokenizer(settings.tokenizer) or self._hub_folder(settings.tokenizer)
        return encoders.recall_tokenizer(path, work_dir=self._work_dir)

    @property
    def _work_dir(self) -> Path:
        return self._parts.storage.tokenizers_dir

    def _hub_folder(self, repo_id: str) -> Path:
        """Return where a tokenizer from the hub lies, asking the hub every ten minutes."""
        now = time.monotonic()
        kept = self._hub_folders.get(repo_id)
        if kept is None or kept[0] < now or not kept[1].exists():
            folder = self._parts.hub.fetch_tokenizer(repo_id)
            kept = self._hub_folders[repo_id] = (now + _HUB_FOLDER_KEPT_S, folder)
        return kept[1]

    def _known_tokenizer(self, name: str) -> encoders.Tokenizer:
        """Return a tokenizer that a tokenization of the catalog was made with."""
        known = self._view.stored_tokenizations()
        found = [item for item in known if name in (item.tokenizer_name, item.settings.tokenizer)]
        if not found:
            names = ", ".join(dict.fromkeys(item.tokenizer_name for item in known))
            raise ReadOnlyError(
                "A read-only manager previews with tokenizers that the catalog holds, and with "
                "no other.",
                hint=f"It holds {names}." if names else "It holds none yet.",
            )
        for item in found:
            tokenizer = self._recalled(item)
            if tokenizer is not None and tokenizer.sha256 == item.tokenizer_sha256:
                return tokenizer
        raise TokenizerNotFoundError(
            f"The tokenizer {found[0].tokenizer_name} is not where it was, or has changed since.",
            hint="Put its files back, or tokenize again.",
        )

    def _recalled(self, item: TokenizationRecord) -> encoders.Tokenizer | None:
        path = Path(item.settings.tokenizer).expanduser()
        try:
            folder = path if path.exists() else self._parts.hub.cached_tokenizer(str(path))
            if folder is None:
                return None
            return encoders.recall_tokenizer(folder, work_dir=self._work_dir, may_convert=False)
        except (MiStudioError, OSError):
            # what is wrong names folders of this machine, which strangers do not get to see
            return None
