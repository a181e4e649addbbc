/** One dataset in the list. */

import {
  Activity,
  CircleCheckBig,
  Database,
  Info,
  Loader,
  RotateCw,
  Trash2,
  X,
} from "lucide-react";
import { memo } from "react";
import { describeProgress, formatBytes, formatCount, formatSource, plural } from "./format";
import type { DatasetCard as Card, JobSnapshot, TokenizationChip } from "./protocol.gen";
import { Badge, classes, ErrorBox, IconButton, lookOf, ProgressBar } from "./ui";
import { useRequest } from "./useRequest";

const MAX_CHIPS = 4;

export interface DatasetCardProps {
  dataset: Card;
  /** The job that works on this dataset now. */
  job: JobSnapshot | null;
  /** Whether the kernel would refuse every change. */
  readOnly: boolean;
  /** Whether nothing can be asked of the kernel. */
  disabled: boolean;
  onOpen: (dataset_id: string) => void;
  onDelete: (dataset_id: string) => void;
  onCancel: (job_id: string) => Promise<unknown>;
  onRetry: (dataset_id: string) => Promise<unknown>;
}

export const DatasetCard = memo(function DatasetCard(props: DatasetCardProps) {
  const { dataset, job, onOpen } = props;
  const request = useRequest();
  const { status } = dataset;
  const opens = status === "ready" || status === "error" || status === "tokenizing";
  const open = () => onOpen(dataset.id);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the title is a button and does for the keyboard what the whole card does for the mouse
    // biome-ignore lint/a11y/noStaticElementInteractions: as above
    <div
      data-part={`card card.${status === "tokenizing" ? status : lookOf(status)}`}
      data-dataset-id={dataset.id}
      onClick={opens ? open : undefined}
      className={classes(
        "min-w-0 rounded-lg border border-slate-800 bg-slate-900/50 p-6 transition-all",
        "has-[h3_:focus-visible]:ring-2 has-[h3_:focus-visible]:ring-emerald-500",
        opens ? "cursor-pointer hover:border-slate-700 hover:bg-slate-900/70" : "cursor-default",
      )}
    >
      <div data-part="card.row" className="flex items-start gap-4">
        <div data-part="card.icon.wrap" className="flex-shrink-0">
          <Database data-part="card.icon" size={32} className="text-slate-400" aria-hidden="true" />
        </div>
        <div data-part="card.body" className="min-w-0 flex-1">
          <CardTop {...props} opens={opens} request={request} />
          <Facts dataset={dataset} />
          <Chips tokenizations={dataset.tokenizations} />
          {isActive(status) && <CardProgress dataset={dataset} job={job} />}
          <Errors dataset={dataset} />
          {request.failed && <ErrorBox {...request.failed} className="mt-3" />}
        </div>
      </div>
    </div>
  );
});

function isActive(status: string): boolean {
  return status === "downloading" || status === "processing" || status === "tokenizing";
}

interface CardTopProps extends DatasetCardProps {
  opens: boolean;
  request: ReturnType<typeof useRequest>;
}

function CardTop({ dataset, opens, ...rest }: CardTopProps) {
  const { name, source, repo_id, status } = dataset;
  return (
    <div
      data-part="card.top"
      className="flex flex-wrap items-start justify-between gap-4 @[480px]:flex-nowrap"
    >
      <div data-part="card.titleblock" className="min-w-0 flex-1 basis-full @[480px]:basis-[0%]">
        <h3
          data-part="card.title"
          title={name}
          className="truncate text-lg font-semibold text-slate-100"
        >
          {opens ? (
            <button type="button" className="block max-w-full truncate outline-none">
              <bdi>{name}</bdi>
            </button>
          ) : (
            <bdi>{name}</bdi>
          )}
        </h3>
        <p data-part="card.source" className="mt-1 truncate text-sm text-slate-400">
          Source: {formatSource(source)}
          {repo_id && (
            <>
              {" • "}
              <bdi>{repo_id}</bdi>
            </>
          )}
        </p>
      </div>
      <div data-part="card.status" className="flex flex-shrink-0 items-center gap-2">
        <StatusIcon status={status} />
        <Badge status={status} />
        {!rest.readOnly && <Actions dataset={dataset} {...rest} />}
      </div>
    </div>
  );
}

const STATUS_ICONS = {
  ready: CircleCheckBig,
  downloading: Loader,
  processing: Activity,
  error: Activity,
} as const;

function StatusIcon({ status }: { status: string }) {
  const look = lookOf(status);
  const Icon = STATUS_ICONS[look as keyof typeof STATUS_ICONS] ?? Database;
  return (
    <Icon
      data-part={`card.statusicon.${look}`}
      size={20}
      className={classes("text-slate-400", look === "downloading" && "animate-spin")}
      aria-hidden="true"
    />
  );
}

const CANCEL_LABELS = {
  download: "Cancel download",
  import: "Cancel import",
  tokenize: "Cancel tokenization",
} as const;

type ActionsProps = Omit<CardTopProps, "opens">;

function Actions({ dataset, job, disabled, request, ...on }: ActionsProps) {
  const { pending, run } = request;
  if (isActive(dataset.status)) {
    if (job === null) return null;
    const cancelling = pending || job.state === "cancelling";
    return (
      <IconButton
        part="card.cancel"
        label={cancelling ? "Cancelling…" : CANCEL_LABELS[job.kind]}
        icon={<X size={16} aria-hidden="true" />}
        disabled={disabled || cancelling}
        danger
        onPress={() => run(() => on.onCancel(job.id))}
      />
    );
  }
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

function Facts({ dataset }: { dataset: Card }) {
  const { size_bytes, num_samples, num_skipped_files } = dataset;
  return (
    <>
      {size_bytes !== null && size_bytes > 0 && (
        <p data-part="card.size" className="mt-2 text-sm text-slate-400">
          Size: {formatBytes(size_bytes)}
        </p>
      )}
      {num_samples !== null && num_samples > 0 && (
        <p data-part="card.samples" className="mt-1 text-sm text-slate-400">
          Samples: {formatCount(num_samples)}
        </p>
      )}
      {num_skipped_files > 0 && (
        <p data-part="card.skipped" className="mt-1 text-sm text-slate-400">
          Skipped: {plural(num_skipped_files, "file")}
        </p>
      )}
    </>
  );
}

function Chips({ tokenizations }: { tokenizations: readonly TokenizationChip[] }) {
  const ready = tokenizations.filter(({ status }) => status === "ready");
  if (ready.length === 0) return null;
  const hidden = ready.length - MAX_CHIPS;
  return (
    <div className="flex flex-wrap gap-x-2">
      {ready.slice(0, MAX_CHIPS).map((chip) => (
        <div key={chip.tokenization_id} className="min-w-0 max-w-full">
          <div
            data-part="chip.tokenized"
            title={chip.tokenizer_name}
            className={classes(
              "mt-2 inline-flex max-w-full items-center gap-1.5 rounded border px-2 py-1 align-top",
              "border-emerald-500/30 bg-emerald-500/10 text-xs text-emerald-400",
            )}
          >
            <Info
              data-part="chip.tokenized.icon"
              size={12}
              className="shrink-0"
              aria-hidden="true"
            />
            <span className="truncate">
              Tokenized • <bdi>{chip.tokenizer_name}</bdi>
            </span>
          </div>
        </div>
      ))}
      {hidden > 0 && <span className="mt-2 py-1 text-xs text-slate-400">+{hidden} more</span>}
    </div>
  );
}

function CardProgress({ dataset, job }: { dataset: Card; job: JobSnapshot | null }) {
  const { status, name } = dataset;
  const percent = job?.progress ?? dataset.progress;
  const look = lookOf(status);
  return (
    <ProgressBar
      part={look === "processing" ? "progress.fill progress.fill.processing" : "progress.fill"}
      percent={percent}
      label={`${name}: ${status}`}
      caption={describeProgress(percent, job, status)}
    />
  );
}

function Errors({ dataset }: { dataset: Card }) {
  const { error_message, hint, tokenizations } = dataset;
  const failed = tokenizations.filter(({ status }) => status === "error");
  const first = failed[0];
  const more = failed.length > 1 ? ` (and ${failed.length - 1} more)` : "";
  return (
    <>
      {error_message && <ErrorBox className="mt-3" message={error_message} hint={hint} />}
      {first !== undefined && (
        <ErrorBox
          className="mt-3"
          title={`Tokenization with ${first.tokenizer_name} failed${more}`}
          message={first.error_message ?? "No reason is known."}
          hint={first.hint}
        />
      )}
    </>
  );
}
