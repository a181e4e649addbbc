/** The cards of datasets, with the ways to find one among many. */

import { useCallback, useMemo } from "react";
import type { Snapshot } from "../kernel/bridge";
import type { Send } from "../kernel/requests";
import type { JobSnapshot } from "../protocol.gen";
import { formatCount } from "../ui/format";
import { Pagination } from "../ui/Pagination";
import { classes, ErrorBox, Loading } from "../ui/ui";
import { DatasetCard } from "./DatasetCard";
import { ListControls } from "./ListControls";
import {
  isFiltered,
  LIST_PAGE_SIZE,
  type ListedDatasets,
  type ListFilters,
} from "./useDatasetList";

/** Of fewer, all are seen at a glance. */
const CONTROLS_FROM = 6;

export interface DatasetListProps {
  state: Snapshot;
  /** Whether nothing can be asked of the kernel. */
  disabled: boolean;
  list: ListedDatasets;
  filters: ListFilters;
  onFilter: (filters: ListFilters) => void;
  send: Send;
  onOpen: (dataset_id: string) => void;
  onDelete: (dataset_id: string) => void;
}

export function DatasetList(props: DatasetListProps) {
  const { state, disabled, list, filters, onFilter, send, onOpen, onDelete } = props;
  const { jobs, read_only, version } = state;
  const { datasets, total, failed, isAsking } = list;
  const jobOf = useMemo(() => jobsByDataset(jobs), [jobs]);
  const onPause = useCallback((job_id: string) => send("pause", { job_id }), [send]);
  const onCancel = useCallback((job_id: string) => send("cancel", { job_id }), [send]);
  const onRetry = useCallback((dataset_id: string) => send("retry", { dataset_id }), [send]);
  if (version === "") return <Loading>Loading datasets...</Loading>;
  if (state.total === 0) return <Empty />;
  return (
    <section>
      <div className="flex flex-wrap items-start justify-between gap-x-4">
        <h2 data-part="list.title" className="mb-4 text-lg font-semibold text-slate-100">
          Your Datasets ({formatCount(state.total)})
        </h2>
        {(state.total >= CONTROLS_FROM || isFiltered(filters)) && (
          <ListControls filters={filters} onChange={onFilter} />
        )}
      </div>
      {failed && <ErrorBox className="mb-4" {...failed} />}
      {datasets.length === 0 && !isAsking && <NoneMatches />}
      <div
        data-part="list.grid"
        aria-busy={isAsking}
        className={classes(
          "grid grid-cols-1 gap-4 @[768px]:grid-cols-2",
          isAsking && "opacity-50 transition-opacity",
        )}
      >
        {datasets.map((dataset) => (
          <DatasetCard
            key={dataset.id}
            dataset={dataset}
            job={jobOf.get(dataset.id) ?? null}
            readOnly={read_only}
            disabled={disabled}
            onOpen={onOpen}
            onDelete={onDelete}
            onPause={onPause}
            onCancel={onCancel}
            onRetry={onRetry}
          />
        ))}
      </div>
      {(total > LIST_PAGE_SIZE || filters.offset > 0) && (
        <div data-part="list.pages" className="mt-4">
          <Pagination
            offset={list.offset}
            limit={LIST_PAGE_SIZE}
            count={datasets.length}
            total={total}
            disabled={disabled}
            onOffset={(offset) => onFilter({ ...filters, offset })}
          />
        </div>
      )}
    </section>
  );
}

function NoneMatches() {
  return (
    <p role="status" data-part="list.nomatch" className="py-12 text-center text-slate-400">
      No dataset matches
    </p>
  );
}

/** The job that a card shows: one that runs, before one that waits; an index is no card's news. */
function jobsByDataset(jobs: readonly JobSnapshot[]): ReadonlyMap<string, JobSnapshot> {
  const chosen = new Map<string, JobSnapshot>();
  for (const job of jobs) {
    if (job.kind === "index") continue;
    const other = chosen.get(job.dataset_id);
    if (other === undefined || other.state === "queued") chosen.set(job.dataset_id, job);
  }
  return chosen;
}

function Empty() {
  return (
    <div data-part="empty" className="py-12 text-center">
      <p data-part="empty.title" className="text-lg text-slate-400">
        No datasets yet
      </p>
      <p data-part="empty.text" className="mt-2 text-slate-500">
        Download a dataset from HuggingFace to get started
      </p>
    </div>
  );
}
