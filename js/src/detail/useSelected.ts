/** The dataset whose dialog is open, also when it is not among those that are shown. */

import { useEffect, useState } from "react";
import type { Snapshot } from "../kernel/bridge";
import { RequestError, type Send } from "../kernel/requests";
import type { DatasetCard, DatasetRecord, TokenizationRecord } from "../protocol.gen";

export interface SelectedOptions {
  id: string | null;
  state: Snapshot;
  send: Send;
  /** Called when there is no such dataset. */
  onGone: () => void;
}

export function useSelected({ id, state, send, onGone }: SelectedOptions): DatasetCard | null {
  const { datasets, total } = state;
  const [last, setLast] = useState<DatasetCard | null>(null);
  const listed = datasets.find((dataset) => dataset.id === id) ?? null;
  const elsewhere = listed === null && total > datasets.length ? id : null;

  // newer datasets may push it off the list while its dialog is open
  useEffect(() => {
    if (listed !== null) setLast(listed);
  }, [listed]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new list says when to look again
  useEffect(() => {
    if (elsewhere === null) return;
    const abort = new AbortController();
    fetchCard(elsewhere, send, abort.signal).then(setLast, (error: unknown) => {
      if (!(error instanceof RequestError) || error.code !== "not_found") return;
      setLast(null);
      onGone();
    });
    return () => abort.abort();
  }, [elsewhere, datasets, send]);

  if (listed !== null) return listed;
  return elsewhere !== null && last?.id === elsewhere ? last : null;
}

async function fetchCard(dataset_id: string, send: Send, signal: AbortSignal) {
  const [record, tokenizations] = await Promise.all([
    send("get_dataset", { dataset_id }, { signal }),
    send("list_tokenizations", { dataset_id }, { signal }),
  ]);
  return cardOf(record, tokenizations);
}

function cardOf(record: DatasetRecord, tokenizations: readonly TokenizationRecord[]): DatasetCard {
  const { id, name, source, repo_id, config, status, progress } = record;
  const { error_code, error_message, hint, size_bytes, num_samples, num_tokens } = record;
  const { text_column, in_use_by, created_at, updated_at, metadata } = record;
  return {
    ...{ id, name, source, repo_id, config, status, progress },
    ...{ error_code, error_message, hint, size_bytes, num_samples, num_tokens },
    ...{ text_column, in_use_by, created_at, updated_at },
    num_skipped_files: metadata.download?.num_skipped_files ?? 0,
    tokenizations: tokenizations.map((tokenization) => ({
      tokenization_id: tokenization.id,
      tokenizer_name: tokenization.tokenizer_name,
      settings: tokenization.settings,
      status: tokenization.status,
      error_message: tokenization.error_message,
      hint: tokenization.hint,
    })),
  };
}
