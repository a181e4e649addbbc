/** How long the texts are in characters, and how many say nothing new. */

import { useState } from "react";
import type { Send } from "../kernel/requests";
import type { DatasetCard as Card, ColumnStatistics, SplitColumns } from "../protocol.gen";
import { DetailSelect } from "../ui/fields";
import { formatCount, formatDecimal } from "../ui/format";
import { Histogram } from "../ui/Histogram";
import { Button, ErrorBox, Loading, Unanswered } from "../ui/ui";
import { useColumnStatistics } from "./useColumnStatistics";

export interface CharactersSectionProps {
  dataset: Card;
  disabled: boolean;
  send: Send;
}

export function CharactersSection({ dataset, disabled, send }: CharactersSectionProps) {
  const isReady = dataset.status === "ready" || dataset.status === "tokenizing";
  const isEnabled = isReady && !disabled;
  const { statistics, failed, again } = useColumnStatistics({ dataset, isEnabled, send });
  if (!isReady) return null;
  return (
    <section data-part="characters" className="space-y-6">
      <h3 className="text-lg font-semibold">Characters</h3>
      {failed && (
        <>
          <ErrorBox {...failed} />
          <Button look="neutral" disabled={disabled} onClick={again}>
            Try again
          </Button>
        </>
      )}
      {!failed && statistics === null && disabled && <Unanswered>The texts</Unanswered>}
      {!failed && statistics === null && !disabled && (
        <Loading>Reading all texts once. You can close this dialog.</Loading>
      )}
      {statistics && <Splits statistics={statistics} />}
    </section>
  );
}

function Splits({ statistics }: { statistics: ColumnStatistics }) {
  const names = Object.keys(statistics.splits);
  const [chosen, setChosen] = useState("");
  const split = names.includes(chosen) ? chosen : (names[0] ?? "");
  const found = statistics.splits[split];
  if (found === undefined) return <p className="text-slate-400">This dataset has no splits</p>;
  return (
    <>
      {names.length > 1 && (
        <DetailSelect
          id="statistics-split"
          part="characters.split"
          label="Split"
          value={split}
          options={names.map((name) => [name, name] as const)}
          onChange={setChosen}
        />
      )}
      <Figures split={found} />
      {found.characters && (
        <Histogram
          title="Text Length Distribution"
          unit="characters"
          buckets={found.characters.histogram}
          summary={`Min: ${formatCount(found.characters.min)} • Median: ${formatDecimal(found.characters.median)} • Mean: ${formatDecimal(found.characters.mean)} • Max: ${formatCount(found.characters.max)} characters`}
        />
      )}
    </>
  );
}

function Figures({ split }: { split: SplitColumns }) {
  const figures: [label: string, value: number, help: string][] = [
    ["Rows", split.num_rows, "in this split"],
    ["Duplicates", split.num_duplicates, "whose text stands in a row before"],
    ["Empty", split.num_empty, "whose text has no character"],
    ["Without Text", split.num_null, "null, or no text at all"],
  ];
  return (
    <dl className="grid grid-cols-2 gap-4 @[640px]:grid-cols-4">
      {figures.map(([label, value, help]) => (
        <div key={label} className="rounded-lg bg-slate-800/30 p-4">
          <dt className="mb-1 text-sm text-slate-400">{label}</dt>
          <dd className="text-2xl font-bold">{formatCount(value)}</dd>
          <dd className="mt-1 text-xs text-slate-400">{help}</dd>
        </div>
      ))}
    </dl>
  );
}
