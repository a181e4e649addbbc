/** What a download would fetch, below the fields that ask for it. */

import type { ReactNode } from "react";
import type { DownloadPlan } from "../protocol.gen";
import { formatBytes, formatCount, UNKNOWN } from "../ui/format";
import { classes, ErrorBox, Spinner } from "../ui/ui";
import type { Planned } from "./usePlan";

const COMMIT_CHARS = 7;

/** As high whether it waits, shows a plan or says why there is none: nothing below it jumps. */
export function PlanBox({ plan, failed, isAsking }: Pick<Planned, "plan" | "failed" | "isAsking">) {
  return (
    <div
      data-part="plan"
      aria-live="polite"
      aria-busy={isAsking}
      className="grid rounded-lg bg-slate-800/30 p-4 text-xs"
    >
      <div className={classes("min-w-0 [grid-area:1/1]", failed !== null && "invisible")}>
        <Heading plan={plan} isAsking={isAsking} />
        <Figures plan={plan} />
        <p
          data-part="plan.description"
          className="break-anywhere mt-3 line-clamp-2 h-8 text-slate-400"
        >
          <bdi>{plan?.description?.trim()}</bdi>
        </p>
        {plan?.fits === false && (
          <p data-part="plan.unfit" className="mt-3 text-red-400">
            This does not fit: less than the reserve would stay free on the disk. Delete datasets
            that are no longer needed{plan.splits.length > 1 && ", or choose one split"}.
          </p>
        )}
      </div>
      {failed && <ErrorBox {...failed} className="self-start [grid-area:1/1]" />}
    </div>
  );
}

function Heading({ plan, isAsking }: { plan: DownloadPlan | null; isAsking: boolean }) {
  return (
    <p className="flex items-center justify-between gap-4 text-slate-400">
      <span className="truncate text-sm text-slate-200">
        {plan === null ? "What this downloads" : <bdi>{plan.repo_id}</bdi>}
      </span>
      {isAsking && (
        <span className="flex shrink-0 items-center gap-1.5">
          <Spinner size={12} />
          Asking the hub…
        </span>
      )}
      {plan && (
        <span data-part="plan.access" className="shrink-0">
          {plan.gated ? "Gated, you have access" : "Not gated"}
        </span>
      )}
    </p>
  );
}

function Figures({ plan }: { plan: DownloadPlan | null }) {
  const splits = plan?.configs[plan.config ?? ""] ?? [];
  const configs = Object.keys(plan?.configs ?? {});
  return (
    <dl className="mt-3 grid grid-cols-2 gap-4 @[640px]:grid-cols-3 @[1024px]:grid-cols-6">
      <Figure part="plan.config" label="Config" note={choice(configs, 1)}>
        {plan?.config}
      </Figure>
      <Figure part="plan.splits" label="Splits" note={choice(splits, plan?.splits.length ?? 0)}>
        {plan?.splits.join(", ")}
      </Figure>
      <Figure
        part="plan.files"
        label="Files"
        note={plan && `at commit ${plan.commit.slice(0, COMMIT_CHARS)}`}
      >
        {plan && formatCount(plan.files.length)}
      </Figure>
      <Figure part="plan.samples" label="Samples">
        {plan && formatCount(plan.num_samples)}
      </Figure>
      <Figure
        part="plan.download"
        label="Download"
        note={
          plan !== null && plan.cached_bytes > 0
            ? `${formatBytes(plan.cached_bytes)} of it from your HuggingFace cache`
            : null
        }
      >
        {plan && formatBytes(plan.download_bytes)}
      </Figure>
      <Figure
        part="plan.disk"
        label="On Disk"
        isBad={plan?.fits === false}
        note={plan && `${formatBytes(plan.free_bytes)} free`}
      >
        {plan && formatBytes(plan.disk_bytes)}
      </Figure>
    </dl>
  );
}

interface FigureProps {
  part: string;
  label: string;
  note?: string | null | undefined;
  isBad?: boolean;
  children: ReactNode;
}

function Figure({ part, label, note, isBad, children }: FigureProps) {
  return (
    <div data-part={part} className="min-w-0">
      <dt className="text-slate-400">{label}</dt>
      <dd
        className={classes("truncate font-mono text-sm", isBad ? "text-red-400" : "text-slate-200")}
      >
        <bdi>{children ?? UNKNOWN}</bdi>
      </dd>
      <dd
        title={note ?? undefined}
        className={classes("h-4 truncate", isBad ? "text-red-400" : "text-slate-400")}
      >
        <bdi>{note}</bdi>
      </dd>
    </div>
  );
}

/** "1 of 3: de, en, fr", or null where there is no choice. */
function choice(names: readonly string[], chosen: number): string | null {
  if (names.length < 2) return null;
  return chosen === names.length
    ? "all of them"
    : `${chosen} of ${names.length}: ${names.join(", ")}`;
}
