/** How many have which length. */

import type { HistogramBucket } from "../protocol.gen";
import { formatCount, formatShare } from "./format";
import { classes } from "./ui";

/** A bar of less than this share of the track has no room for its count. */
const NARROW_PERCENT = 8;

export interface HistogramProps {
  title: string;
  buckets: readonly HistogramBucket[];
  /** What is measured, as "tokens". */
  unit: string;
  summary: string;
}

export function Histogram({ title, buckets, unit, summary }: HistogramProps) {
  const most = Math.max(...buckets.map(({ count }) => count), 1);
  return (
    <section
      data-part="histogram.card"
      className="rounded-lg border border-slate-800 bg-slate-900/50 p-6"
    >
      <h4 data-part="histogram.title" className="mb-4 font-semibold">
        {title}
      </h4>
      <ul data-part="histogram.rows" className="space-y-2">
        {buckets.map((bucket) => (
          <Row key={bucket.min} bucket={bucket} most={most} unit={unit} />
        ))}
      </ul>
      <p data-part="histogram.summary" className="mt-4 text-sm text-slate-400">
        {summary}
      </p>
    </section>
  );
}

function Row({ bucket, most, unit }: { bucket: HistogramBucket; most: number; unit: string }) {
  const { range, count, percentage } = bucket;
  const percent = (100 * count) / most;
  const isNarrow = percent < NARROW_PERCENT;
  const figure = (
    <span
      data-part="histogram.bar.count"
      className={classes("text-xs font-medium text-white", isNarrow && "ml-2 self-center")}
    >
      {formatCount(count)}
    </span>
  );
  return (
    <li
      data-part="histogram.row"
      title={`${range} ${unit}: ${formatCount(count)} samples, ${formatShare(percentage)}`}
      className="group flex items-center gap-3"
    >
      <span data-part="histogram.label" className="w-24 shrink-0 text-sm text-slate-400">
        {range}
      </span>
      <div
        data-part="histogram.track"
        className="relative h-8 flex-1 overflow-hidden rounded bg-slate-800 group-hover:ring-1 group-hover:ring-emerald-500"
      >
        <div className="flex h-full">
          <div
            data-part={classes("histogram.bar", count === most && "histogram.bar.max")}
            className={classes(
              "flex h-full items-center justify-end bg-gradient-to-r from-emerald-500 to-emerald-400",
              !isNarrow && "min-w-fit pr-2",
              count > 0 && "min-w-1",
            )}
            style={{ width: `${percent}%` }}
          >
            {!isNarrow && figure}
          </div>
          {isNarrow && figure}
        </div>
        <span
          data-part="histogram.share"
          className="absolute right-2 top-2 rounded bg-slate-900/80 px-1 text-xs text-slate-200 opacity-0 group-hover:opacity-100"
        >
          {formatShare(percentage)}
        </span>
      </div>
    </li>
  );
}
