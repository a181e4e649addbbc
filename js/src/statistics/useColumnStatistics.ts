/** What the texts of a dataset are like; the first question makes the kernel read all of them. */

import { useEffect, useState } from "react";
import type { Send } from "../kernel/requests";
import { describeError, type Failed } from "../kernel/useRequest";
import type { ColumnStatistics, DatasetCard } from "../protocol.gen";

export interface ColumnStatisticsOptions {
  dataset: DatasetCard;
  isEnabled: boolean;
  send: Send;
}

export function useColumnStatistics({ dataset, isEnabled, send }: ColumnStatisticsOptions) {
  const { id, updated_at } = dataset;
  const [statistics, setStatistics] = useState<ColumnStatistics | null>(null);
  const [failed, setFailed] = useState<Failed | null>(null);
  const [attempt, setAttempt] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: time and attempt say when to ask again
  useEffect(() => {
    if (!isEnabled) return;
    const abort = new AbortController();
    setFailed(null);
    send("column_statistics", { dataset_id: id }, { signal: abort.signal, isPatient: true }).then(
      setStatistics,
      (error: unknown) => {
        if (!abort.signal.aborted) setFailed(describeError(error));
      },
    );
    return () => abort.abort();
  }, [id, updated_at, attempt, isEnabled, send]);
  return { statistics, failed, again: () => setAttempt((count) => count + 1) };
}
