/** Whole records of the tokenizations that a card only names. */

import { useEffect, useState } from "react";
import type { Send } from "../kernel/requests";
import { describeError, type Failed } from "../kernel/useRequest";
import type { DatasetCard, JobSnapshot, TokenizationRecord } from "../protocol.gen";

export interface TokenizationsOptions {
  dataset: DatasetCard;
  jobs: readonly JobSnapshot[];
  isEnabled: boolean;
  send: Send;
}

/** All tokenizations of one dataset; asked for again when its card or a job says that they changed. */
export function useTokenizations({ dataset, jobs, isEnabled, send }: TokenizationsOptions) {
  const [records, setRecords] = useState<TokenizationRecord[] | null>(null);
  const [failed, setFailed] = useState<Failed | null>(null);
  const { id } = dataset;
  const running = jobs.filter(({ dataset_id }) => dataset_id === id).map((job) => job.id);
  const version = JSON.stringify([dataset.tokenizations, dataset.updated_at, running]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the version says when to look again
  useEffect(() => {
    if (!isEnabled) return;
    const abort = new AbortController();
    send("list_tokenizations", { dataset_id: id }, { signal: abort.signal }).then(
      (found) => {
        setRecords(found);
        setFailed(null);
      },
      (error: unknown) => {
        if (!abort.signal.aborted) setFailed(describeError(error));
      },
    );
    return () => abort.abort();
  }, [id, version, isEnabled, send]);
  return { records, failed };
}
