/** One dataset in the list. */

import { Activity, CircleCheckBig, CirclePause, Database, Info, Loader } from "lucide-react";
import { memo, useLayoutEffect, useRef } from "react";
import { useRequest } from "../kernel/useRequest";
import type { DatasetCard as Card, JobSnapshot, TokenizationChip } from "../protocol.gen";
import { describeDifference, readyChips } from "../tokenization/tokenizations";
import { formatBytes, formatCount, formatSource, plural } from "../ui/format";
import { JobProgress } from "../ui/JobProgress";
import { Badge, classes, ErrorBox, lookOf, passFocusOn } from "../ui/ui";
import { CardActions, type CardActionsProps, isActive } from "./CardActions";

const MAX_CHIPS = 4;

export interface DatasetCardProps extends Omit<CardActionsProps, "request"> {
  /** Whether the kernel would refuse every change. */
  readOnly: boolean;
  onOpen: (dataset_id: string) => void;
}

export const DatasetCard = memo(function DatasetCard(props: DatasetCardProps) {
  const { dataset, job, onOpen } = props;
  const request = useRequest();
  const element = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const card = element.current;
    return () => {
      if (card !== null) passFocusOn(card);
    };
  }, []);
  const { status } = dataset;
  const opens = status === "ready" || status === "error" || status === "tokenizing";
  const open = () => onOpen(dataset.id);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the title is a button and does for the keyboard what the whole card does for the mouse
    // biome-ignore lint/a11y/noStaticElementInteractions: as above
    <div
      ref={element}
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
        <div data-part="card.body" className="@container min-w-0 flex-1">
          <CardTop {...props} opens={opens} request={request} />
          <Facts dataset={dataset} />
          <Chips tokenizations={readyChips(dataset)} />
          {(isActive(status) || job?.kind === "verify") && (
            <CardProgress dataset={dataset} job={job} />
          )}
          <Errors dataset={dataset} />
          {request.failed && <ErrorBox {...request.failed} className="mt-3" />}
        </div>
      </div>
    </div>
  );
});

interface CardTopProps extends DatasetCardProps {
  opens: boolean;
  request: ReturnType<typeof useRequest>;
}

function CardTop({ dataset, opens, ...rest }: CardTopProps) {
  const { name, source, repo_id } = dataset;
  const status = rest.job?.state === "paused" ? "paused" : dataset.status;
  return (
    <div
      data-part="card.top"
      className="flex flex-wrap items-start justify-between gap-x-4 gap-y-2 @[400px]:flex-nowrap @[400px]:gap-4"
    >
      <div data-part="card.titleblock" className="min-w-0 flex-auto">
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
        <p
          data-part="card.source"
          title={repo_id ?? undefined}
          className="mt-1 truncate text-sm text-slate-400"
        >
          Source: {formatSource(source)}
          {repo_id && (
            <>
              {" • "}
              <bdi>{repo_id}</bdi>
            </>
          )}
        </p>
      </div>
      <div
        data-part="card.status"
        className="flex max-w-full flex-shrink-0 flex-wrap items-center gap-2"
      >
        <StatusIcon status={status} />
        <Badge status={status} />
        {!rest.readOnly && <CardActions dataset={dataset} {...rest} />}
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
  const isPaused = status === "paused";
  const Icon = isPaused
    ? CirclePause
    : (STATUS_ICONS[look as keyof typeof STATUS_ICONS] ?? Database);
  return (
    <Icon
      data-part={`card.statusicon.${look}`}
      size={20}
      className={classes("text-slate-400", look === "downloading" && !isPaused && "animate-spin")}
      aria-hidden="true"
    />
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
  if (tokenizations.length === 0) return null;
  const hidden = tokenizations.length - MAX_CHIPS;
  const detailOf = ({ tokenizer_name, settings }: TokenizationChip) => {
    const twins = tokenizations.filter((other) => other.tokenizer_name === tokenizer_name);
    if (twins.length === 1) return null;
    return describeDifference(
      settings,
      twins.map((twin) => twin.settings),
    );
  };
  return (
    <div className="flex flex-wrap gap-x-2">
      {tokenizations.slice(0, MAX_CHIPS).map((chip) => (
        <Chip key={chip.tokenization_id} name={chip.tokenizer_name} detail={detailOf(chip)} />
      ))}
      {hidden > 0 && <span className="mt-2 py-1 text-xs text-slate-400">+{hidden} more</span>}
    </div>
  );
}

interface ChipProps {
  name: string;
  /** What tells it apart from others of the same name. */
  detail: string | null;
}

function Chip({ name, detail }: ChipProps) {
  return (
    <div className="min-w-0 max-w-full">
      <div
        data-part="chip.tokenized"
        title={["Tokenized", name, detail].filter(Boolean).join(" • ")}
        className={classes(
          "mt-2 inline-flex max-w-full flex-wrap items-center gap-1.5 rounded border px-2 py-1",
          "align-top @[320px]:flex-nowrap",
          "border-emerald-500/30 bg-emerald-500/10 text-xs text-emerald-400",
        )}
      >
        <span className="flex min-w-0 max-w-full items-center gap-1.5">
          <Info data-part="chip.tokenized.icon" size={12} className="shrink-0" aria-hidden="true" />
          <span className="truncate">
            {detail === null && "Tokenized • "}
            <bdi>{name}</bdi>
          </span>
        </span>
        {detail !== null && (
          <span className="max-w-full shrink-0 truncate @[320px]:max-w-[75%]">• {detail}</span>
        )}
      </div>
    </div>
  );
}

function CardProgress({ dataset, job }: { dataset: Card; job: JobSnapshot | null }) {
  const { status, name, progress } = dataset;
  const isProcessing = lookOf(status) === "processing";
  return (
    <JobProgress
      part={isProcessing ? "progress.fill progress.fill.processing" : "progress.fill"}
      name={name}
      status={status}
      job={job}
      percent={progress}
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
