/** Where every token went. */

import type { Accounting } from "../protocol.gen";
import { describeDrop } from "../tokenization/tokenizations";
import { formatCount } from "../ui/format";
import { classes } from "../ui/ui";
import { StatisticsBox } from "./StatisticsBox";

type Row = [label: string, count: number];

/** Where every token went: the two sums are equal. */
export function TokenAccounting({ accounting }: { accounting: Accounting }) {
  const came: Row[] = [
    ["From the texts", accounting.tokens_in],
    ["Inserted (begin, separator, template)", accounting.tokens_inserted],
    ["Repeated by the stride", accounting.tokens_repeated],
  ];
  const went: Row[] = [
    ["Kept", accounting.tokens_kept],
    ["Truncated", accounting.tokens_truncated],
    ["Dropped with the tail", accounting.tokens_tail],
  ];
  const beside: Row[] = [["Padding", accounting.tokens_padding]];
  for (const [reason, count] of Object.entries(accounting.samples_dropped)) {
    beside.push([`Samples dropped: ${describeDrop(reason)}`, count]);
  }
  if (accounting.samples_cleaned > 0) {
    beside.push(["Samples cleaned", accounting.samples_cleaned]);
    beside.push(["Characters cleaned", accounting.chars_cleaned]);
  }
  return (
    <StatisticsBox part="stats.accounting" title="Where Every Token Went">
      <Sum rows={came} label="Came" />
      <Sum rows={went} label="Went" />
      <dl className="mt-3 space-y-1 border-t border-slate-700 pt-3 text-sm">
        {beside.map((row) => (
          <Line key={row[0]} row={row} />
        ))}
      </dl>
    </StatisticsBox>
  );
}

function Sum({ rows, label }: { rows: readonly Row[]; label: string }) {
  const total = rows.reduce((sum, [, count]) => sum + count, 0);
  return (
    <dl className="mb-3 space-y-1 text-sm">
      {rows.map((row) => (
        <Line key={row[0]} row={row} />
      ))}
      <Line row={[label, total]} isSum />
    </dl>
  );
}

function Line({ row: [label, count], isSum }: { row: Row; isSum?: boolean }) {
  return (
    <div className={classes("flex justify-between gap-4", isSum && "font-semibold")}>
      <dt className={isSum ? "text-slate-200" : "text-slate-400"}>{label}</dt>
      <dd className="font-mono text-slate-200">{formatCount(count)}</dd>
    </div>
  );
}
