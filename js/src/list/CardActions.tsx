/** The buttons of a card: which there are depends on what is being done to its dataset. */

import { Pause, Play, RotateCw, Trash2, X } from "lucide-react";
import { useEffect, useState } from "react";
import type { useRequest } from "../kernel/useRequest";
import type { DatasetCard as Card, JobSnapshot } from "../protocol.gen";
import { IconButton } from "../ui/ui";

export interface CardActionsProps {
  dataset: Card;
  /** The job that works on this dataset now. */
  job: JobSnapshot | null;
  /** Whether nothing can be asked of the kernel. */
  disabled: boolean;
  request: ReturnType<typeof useRequest>;
  onDelete: (dataset_id: string) => void;
  onPause: (job_id: string) => Promise<unknown>;
  onCancel: (job_id: string) => Promise<unknown>;
  onRetry: (dataset_id: string) => Promise<unknown>;
}

export function CardActions(props: CardActionsProps) {
  const { dataset, job } = props;
  const isWorkedOn = isActive(dataset.status) || job?.kind === "verify";
  if (!isWorkedOn) return <IdleActions {...props} />;
  return job && <JobActions {...props} job={job} />;
}

/** Whether a dataset of this status is being made or tokenized. */
export function isActive(status: string): boolean {
  return status === "downloading" || status === "processing" || status === "tokenizing";
}

function IdleActions({ dataset, disabled, request, ...on }: CardActionsProps) {
  const { pending, run } = request;
  return (
    <span className="flex">
      {dataset.status === "error" && (
        <IconButton
          part="card.retry"
          label="Retry"
          icon={<RotateCw size={16} aria-hidden="true" />}
          disabled={disabled || pending}
          onPress={() => run(() => on.onRetry(dataset.id))}
        />
      )}
      <IconButton
        part="card.delete"
        label="Delete dataset"
        icon={<Trash2 size={16} aria-hidden="true" />}
        disabled={disabled || pending}
        danger
        onPress={() => on.onDelete(dataset.id)}
      />
    </span>
  );
}

const CANCEL_LABELS = {
  download: "Cancel download",
  import: "Cancel import",
  tokenize: "Cancel tokenization",
  index: "Cancel indexing",
  verify: "Cancel verification",
} as const;

interface JobActionsProps extends CardActionsProps {
  job: JobSnapshot;
}

function JobActions({ dataset, job, disabled, request, ...on }: JobActionsProps) {
  const { pressed, press } = usePressed(job, request);
  const isStopping = job.state === "cancelling" || pressed === "cancel";
  const isOff = disabled || isStopping || pressed !== null;
  return (
    <span className="flex">
      {job.state === "paused" && (
        <IconButton
          part="card.resume"
          label={pressed === "resume" ? "Resuming…" : "Resume download"}
          icon={<Play size={16} aria-hidden="true" />}
          disabled={isOff}
          onPress={() => press("resume", () => on.onRetry(dataset.id))}
        />
      )}
      {job.kind === "download" && (job.state === "running" || job.state === "queued") && (
        <IconButton
          part="card.pause"
          label={pressed === "pause" ? "Pausing…" : "Pause download"}
          icon={<Pause size={16} aria-hidden="true" />}
          disabled={isOff}
          onPress={() => press("pause", () => on.onPause(job.id))}
        />
      )}
      <IconButton
        part="card.cancel"
        label={isStopping ? "Cancelling…" : CANCEL_LABELS[job.kind]}
        icon={<X size={16} aria-hidden="true" />}
        disabled={disabled || isStopping}
        danger
        onPress={() => press("cancel", () => on.onCancel(job.id))}
      />
    </span>
  );
}

type Press = "pause" | "resume" | "cancel";

/** What was pressed and has not shown in the job yet: a pause takes until its threads stopped. */
function usePressed(job: JobSnapshot, request: CardActionsProps["request"]) {
  const [pressed, setPressed] = useState<Press | null>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another state is what was waited for
  useEffect(() => setPressed(null), [job.state]);
  const press = async (what: Press, work: () => Promise<unknown>) => {
    setPressed(what);
    if (!(await request.run(work))) setPressed(null);
  };
  return { pressed, press };
}
