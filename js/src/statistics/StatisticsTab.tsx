/** What tokenizations made of a dataset, in figures. */

import { ChartNoAxesColumnIncreasing } from "lucide-react";
import { useState } from "react";
import type { Send } from "../kernel/requests";
import type { Failed } from "../kernel/useRequest";
import type { DatasetCard as Card, JobSnapshot, TokenizationRecord } from "../protocol.gen";
import { nameTokenization } from "../tokenization/tokenizations";
import { DetailSelect } from "../ui/fields";
import { capitalize, formatCount, formatDecimal, formatShare } from "../ui/format";
import { Histogram } from "../ui/Histogram";
import { JobProgress } from "../ui/JobProgress";
import { classes, EmptyState, ErrorBox, Loading, Unanswered } from "../ui/ui";
import { CharactersSection } from "./CharactersSection";
import { StatisticsBox } from "./StatisticsBox";
import { TokenAccounting } from "./TokenAccounting";

export interface StatisticsTabProps {
  dataset: Card;
  /** The newest first; null until the kernel has answered. */
  records: readonly TokenizationRecord[] | null;
  failed: Failed | null;
  jobs: readonly JobSnapshot[];
  disabled: boolean;
  send: Send;
}

export function StatisticsTab(props: StatisticsTabProps) {
  const { dataset, records, failed, jobs, disabled, send } = props;
  const [chosen, setChosen] = useState("");
  const ready = records?.filter(({ status }) => status === "ready") ?? [];
  const record = ready.find(({ id }) => id === chosen) ?? ready[0];
  return (
    <div data-part="stats.root" className="space-y-6">
      {failed && <ErrorBox {...failed} />}
      {records === null && !failed && disabled && <Unanswered>The statistics</Unanswered>}
      {records === null && !failed && !disabled && <Loading>Loading statistics...</Loading>}
      <Running records={records ?? []} jobs={jobs} />
      {ready.length > 1 && record && (
        <DetailSelect
          id="statistics-tokenization"
          part="stats.tokenization"
          label="Tokenization"
          value={record.id}
          options={ready.map((item) => [item.id, nameTokenization(item)] as const)}
          onChange={setChosen}
        />
      )}
      {record && <TokenStatistics record={record} isNamed={ready.length === 1} />}
      {records !== null && record === undefined && (
        <EmptyState
          icon={<ChartNoAxesColumnIncreasing size={48} />}
          title="No tokenization statistics available"
        >
          {dataset.status === "tokenizing"
            ? "The tokenization is running: its figures come with its end"
            : "Tokenize this dataset to view detailed statistics"}
        </EmptyState>
      )}
      <CharactersSection dataset={dataset} disabled={disabled} send={send} />
    </div>
  );
}

interface RunningProps {
  records: readonly TokenizationRecord[];
  jobs: readonly JobSnapshot[];
}

/** Tokenizations whose figures are still to come. */
function Running({ records, jobs }: RunningProps) {
  return records.map((record) => {
    const job = jobs.find(({ tokenization_id }) => tokenization_id === record.id);
    if (job === undefined) return null;
    const name = nameTokenization(record);
    return (
      <div key={record.id} data-part="stats.running" className="rounded-lg bg-slate-800/30 p-4">
        <p className="break-anywhere text-sm text-slate-400">
          Tokenizing: <bdi>{name}</bdi>
        </p>
        <JobProgress
          part="progress.fill progress.fill.processing"
          name={name}
          status="tokenizing"
          job={job}
          percent={record.progress}
        />
      </div>
    );
  });
}

function TokenStatistics({ record, isNamed }: { record: TokenizationRecord; isNamed: boolean }) {
  const { median_seq_length, min_seq_length, max_seq_length } = record;
  const summary = [
    `Min: ${formatCount(min_seq_length)}`,
    `Median: ${formatDecimal(median_seq_length)}`,
    `Max: ${formatCount(max_seq_length)} tokens per sample`,
  ];
  return (
    <>
      {isNamed && (
        <p data-part="stats.of" className="break-anywhere text-sm text-slate-400">
          <bdi>{nameTokenization(record)}</bdi>
        </p>
      )}
      <div data-part="stats.grid" className="grid grid-cols-2 gap-4 @[640px]:grid-cols-4">
        <Metric label="Total Samples" tone="emerald" value={formatCount(record.num_samples)} />
        <Metric label="Total Tokens" tone="blue" value={formatCount(record.num_tokens)} />
        <Metric
          label="Avg Tokens/Sample"
          tone="purple"
          value={formatDecimal(record.avg_seq_length)}
        />
        <Metric label="Unique Tokens" tone="yellow" value={formatCount(record.unique_tokens)} />
      </div>
      <Histogram
        title="Sequence Length Distribution"
        unit="tokens"
        buckets={record.histogram}
        summary={summary.join(" • ")}
      />
      <SplitDistribution record={record} />
      <div className="grid grid-cols-1 gap-6 @[768px]:grid-cols-2">
        <SpecialTokens record={record} />
        {record.accounting && <TokenAccounting accounting={record.accounting} />}
      </div>
    </>
  );
}

const TONES = {
  emerald: "text-emerald-400",
  blue: "text-blue-400",
  purple: "text-purple-400",
  yellow: "text-yellow-400",
} as const;

interface MetricProps {
  label: string;
  tone: keyof typeof TONES;
  value: string;
}

function Metric({ label, tone, value }: MetricProps) {
  return (
    <div data-part="stats.metric.card" className="min-w-0 rounded-lg bg-slate-800/30 p-4">
      <div data-part="stats.metric.label" className="mb-1 text-sm text-slate-400">
        {label}
      </div>
      <div
        data-part={`stat.value.${tone} stats.metric.value.${tone}`}
        className={classes("break-anywhere text-2xl font-bold", TONES[tone])}
      >
        {value}
      </div>
    </div>
  );
}

const SPLITS: Readonly<Record<string, { name: string; tone: keyof typeof TONES }>> = {
  train: { name: "train", tone: "emerald" },
  validation: { name: "validation", tone: "blue" },
  valid: { name: "validation", tone: "blue" },
  test: { name: "test", tone: "purple" },
};

function SplitDistribution({ record }: { record: TokenizationRecord }) {
  return (
    <StatisticsBox part="split.card" title="Split Distribution" titlePart="split.title">
      <div data-part="split.grid" className="grid grid-cols-1 gap-4 @[480px]:grid-cols-3">
        {Object.entries(record.splits).map(([split, { samples, tokens, percentage }]) => {
          const look = SPLITS[split] ?? { name: "other", tone: "emerald" };
          return (
            <div
              key={split}
              data-part="split.tile"
              className="min-w-0 rounded-lg bg-slate-800/30 p-4"
            >
              <div data-part="split.label" className="break-anywhere mb-1 text-sm text-slate-400">
                <bdi>{capitalize(split)}</bdi>
              </div>
              <div
                data-part={`split.value.${look.name}`}
                className={classes("break-anywhere text-2xl font-bold", TONES[look.tone])}
              >
                {formatCount(samples)}
              </div>
              <div data-part="split.percent" className="mt-1 text-xs text-slate-500">
                {formatShare(percentage)} of total • {formatCount(tokens)} tokens
              </div>
            </div>
          );
        })}
      </div>
    </StatisticsBox>
  );
}

function SpecialTokens({ record }: { record: TokenizationRecord }) {
  const tokens = Object.entries(record.special_tokens);
  return (
    <StatisticsBox part="stats.special" title="Special Tokens">
      {tokens.length === 0 && (
        <p className="text-sm text-slate-400">No special token occurs in it</p>
      )}
      <ul className="flex flex-wrap gap-x-4 gap-y-2">
        {tokens.map(([token, count]) => (
          <li key={token} className="flex min-w-0 items-center gap-2 text-sm">
            <span className="break-anywhere rounded border border-emerald-500/30 bg-emerald-500/20 px-2 py-1 font-mono text-xs text-emerald-300">
              <bdi>{token}</bdi>
            </span>
            <span className="font-mono text-slate-200">{formatCount(count)}</span>
          </li>
        ))}
      </ul>
    </StatisticsBox>
  );
}
