/** Whole records of the tokenizations that cards only name. */

import { useEffect, useState } from "react";
import type { DatasetCard, JobSnapshot, TokenizationRecord } from "./protocol.gen";
import type { Send } from "./requests";
import { readyChips } from "./tokenizations";
import { describeError, type Failed } from "./useRequest";

export type Records = ReadonlyMap<string, TokenizationRecord>;

/** Ready tokenizations by id, as they become known; what they were made with never changes. */
export function useRecords(datasets: readonly DatasetCard[], send: Send): Records {
  const [known, setKnown] = useState<Records>(new Map());
  const isUnknown = (dataset: DatasetCard) =>
    readyChips(dataset).some(({ tokenization_id }) => !known.has(tokenization_id));
  const missing = datasets.filter(isUnknown).map(({ id }) => id);
  const wanted = missing.join(" ");
  useEffect(() => {
    if (wanted === "") return;
    const abort = new AbortController();
    const ask = (dataset_id: string) =>
      send("list_tokenizations", { dataset_id }, { signal: abort.signal });
    Promise.allSettled(wanted.split(" ").map(ask)).then((replies) => {
      if (abort.signal.aborted) return;
      const found = replies.flatMap((reply) => (reply.status === "fulfilled" ? reply.value : []));
      setKnown((before) => new Map([...before, ...found.map((item) => [item.id, item] as const)]));
    });
    return () => abort.abort();
  }, [wanted, send]);
  return known;
}

/** All tokenizations of one dataset; asked for again when its card or a job says that they changed. */
export function useTokenizations(dataset: DatasetCard, jobs: readonly JobSnapshot[], send: Send) {
  const [records, setRecords] = useState<TokenizationRecord[] | null>(null);
  const [failed, setFailed] = useState<Failed | null>(null);
  const { id } = dataset;
  const running = jobs.filter(({ dataset_id }) => dataset_id === id).map((job) => job.id);
  const version = JSON.stringify([dataset.tokenizations, dataset.updated_at, running]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the version says when to look again
  useEffect(() => {
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
  }, [id, version, send]);
  return { records, failed };
}
