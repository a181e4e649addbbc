/** Which datasets the list shows: those that the kernel publishes, or others that are asked for. */

import { useEffect, useMemo, useState } from "react";
import type { Snapshot } from "../kernel/bridge";
import type { Params, Send } from "../kernel/requests";
import { describeError, type Failed } from "../kernel/useRequest";
import type { DatasetCard, PageDatasetCard } from "../protocol.gen";

export const LIST_PAGE_SIZE = 50;
const ASK_AFTER_S = 0.3;

export interface ListFilters {
  search: string;
  status: DatasetCard["status"] | "";
  offset: number;
}

export const NO_LIST_FILTERS: ListFilters = { search: "", status: "", offset: 0 };

export interface ListedDatasets {
  datasets: readonly DatasetCard[];
  total: number;
  offset: number;
  failed: Failed | null;
  /** Whether what is shown is not yet what is asked for. */
  isAsking: boolean;
}

export interface DatasetListOptions {
  state: Snapshot;
  filters: ListFilters;
  send: Send;
}

interface Answer {
  asked: string;
  page: PageDatasetCard | null;
  failed: Failed | null;
}

export function useDatasetList({ state, filters, send }: DatasetListOptions): ListedDatasets {
  const asked = paramsOf(filters);
  const [answer, setAnswer] = useState<Answer | null>(null);
  // not their progress, which changes many times a second
  const version = JSON.stringify([
    state.total,
    state.datasets.map(({ id, status, updated_at }) => [id, status, updated_at]),
  ]);
  const { connected } = state;

  // biome-ignore lint/correctness/useExhaustiveDependencies: the version says when to ask again
  useEffect(() => {
    if (asked === null || !connected) return;
    const abort = new AbortController();
    const params: Params<"list_datasets"> = JSON.parse(asked);
    const timer = setTimeout(() => {
      send("list_datasets", params, { signal: abort.signal }).then(
        (page) => setAnswer({ asked, page, failed: null }),
        (error: unknown) => {
          if (!abort.signal.aborted) setAnswer({ asked, page: null, failed: describeError(error) });
        },
      );
    }, ASK_AFTER_S * 1000);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [asked, version, connected, send]);

  const published = useMemo(
    () => new Map(state.datasets.map((dataset) => [dataset.id, dataset])),
    [state.datasets],
  );
  if (asked === null) {
    const { datasets, total } = state;
    return { datasets, total, offset: 0, failed: null, isAsking: false };
  }
  const { items, total, offset } = answer?.page ?? { items: state.datasets, ...state, offset: 0 };
  return {
    // what is published is newer than any answer
    datasets: items.map((item) => published.get(item.id) ?? item),
    total: total ?? items.length,
    offset,
    failed: answer?.asked === asked ? answer.failed : null,
    isAsking: answer?.asked !== asked,
  };
}

/** null: what the kernel publishes anyway. */
function paramsOf({ search, status, offset }: ListFilters): string | null {
  if (!isFiltered({ search, status, offset })) return null;
  const params: Params<"list_datasets"> = {
    ...(search.trim() !== "" && { search: search.trim() }),
    ...(status !== "" && { status }),
    limit: LIST_PAGE_SIZE,
    offset,
  };
  return JSON.stringify(params);
}

/** Whether anything else than the beginning of the whole list is asked for. */
export function isFiltered({ search, status, offset }: ListFilters): boolean {
  return search.trim() !== "" || status !== "" || offset > 0;
}
