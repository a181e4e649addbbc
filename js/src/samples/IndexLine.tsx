/** Whether searches have an index, and the ways to one. */

import { useEffect, useState } from "react";
import type { Send } from "../kernel/requests";
import { describeError, type Failed, useRequest } from "../kernel/useRequest";
import type { DatasetCard as Card, IndexStatus, JobSnapshot } from "../protocol.gen";
import { describeProgress, formatBytes } from "../ui/format";
import { classes, ErrorBox } from "../ui/ui";

export interface IndexLineProps {
  dataset: Card;
  jobs: readonly JobSnapshot[];
  readOnly: boolean;
  disabled: boolean;
  send: Send;
}

export function IndexLine({ dataset, jobs, readOnly, disabled, send }: IndexLineProps) {
  const job = jobs.find(({ dataset_id, kind }) => dataset_id === dataset.id && kind === "index");
  const { status, failed, look } = useIndexStatus(dataset, job?.id ?? null, !disabled, send);
  const request = useRequest();
  if (failed) return <ErrorBox {...failed} />;
  if (status === null) return null;
  const dataset_id = dataset.id;
  const remove = () => request.run(() => send("delete_index", { dataset_id }).then(look));
  const build = () => request.run(() => send("build_index", { dataset_id }).then(look));
  const cancel = (job_id: string) => request.run(() => send("cancel", { job_id }));
  const action = actionOf(job, status);
  const press = { cancel: () => job && cancel(job.id), remove, build };
  return (
    <div data-part="index" className="text-xs text-slate-400">
      <p>
        {describeIndex(status, job)}
        {action && !readOnly && (
          <Action
            label={LABELS[action]}
            disabled={disabled}
            isBusy={request.pending || job?.state === "cancelling"}
            onPress={press[action]}
          />
        )}
      </p>
      {request.failed && <ErrorBox className="mt-2" {...request.failed} />}
    </div>
  );
}

const LABELS = { cancel: "Cancel", remove: "Delete index", build: "Build index" } as const;

function actionOf(job: JobSnapshot | undefined, status: IndexStatus): keyof typeof LABELS | null {
  if (job) return "cancel";
  if (status.is_ready) return "remove";
  return status.can_be_built ? "build" : null;
}

function describeIndex(status: IndexStatus, job: JobSnapshot | undefined): string {
  if (job)
    return `The search index is being built: ${describeProgress(job.progress, job, "indexing")}`;
  if (status.is_ready) {
    return `Searches use an index of ${formatBytes(status.size_bytes)}, best hits first`;
  }
  return status.can_be_built
    ? "No search index: searches read all texts, in row order"
    : "This dataset has no text column to search";
}

interface ActionProps {
  label: string;
  disabled: boolean;
  isBusy: boolean;
  onPress: () => void;
}

/** One button, whatever it does next: its focus stays, also while it works. */
function Action({ label, disabled, isBusy, onPress }: ActionProps) {
  return (
    <>
      {" • "}
      <button
        type="button"
        disabled={disabled}
        aria-disabled={isBusy || undefined}
        onClick={isBusy ? undefined : onPress}
        className={classes(
          "text-slate-400 underline enabled:hover:text-slate-200",
          "disabled:cursor-not-allowed disabled:opacity-50",
          "aria-disabled:cursor-not-allowed aria-disabled:opacity-50",
        )}
      >
        {label}
      </button>
    </>
  );
}

/** Asked for again when the dataset changed, and when a build began or ended. */
function useIndexStatus(
  { id, updated_at, status }: Card,
  job_id: string | null,
  isEnabled: boolean,
  send: Send,
) {
  const [known, setKnown] = useState<IndexStatus | null>(null);
  const [failed, setFailed] = useState<Failed | null>(null);
  const [looks, setLooks] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: these say when to look again
  useEffect(() => {
    if (!isEnabled) return;
    const abort = new AbortController();
    send("index_status", { dataset_id: id }, { signal: abort.signal }).then(
      (found) => {
        setKnown(found);
        setFailed(null);
      },
      (error: unknown) => {
        if (!abort.signal.aborted) setFailed(describeError(error));
      },
    );
    return () => abort.abort();
  }, [id, updated_at, status, job_id, looks, isEnabled, send]);
  return { status: known, failed, look: () => setLooks((count) => count + 1) };
}
