/** The facts of one dataset's record. */

import type { ReactNode } from "react";
import type { Failed } from "../kernel/useRequest";
import type { DatasetCard as Card, DatasetRecord, TokenizationRecord } from "../protocol.gen";
import { nameTokenization } from "../tokenization/tokenizations";
import {
  formatBytes,
  formatCount,
  formatDecimal,
  formatSource,
  formatTime,
  plural,
  UNKNOWN,
} from "../ui/format";
import { classes, ErrorBox } from "../ui/ui";
import { FileList } from "./FileList";
import { VerifyFiles, type VerifyFilesProps } from "./VerifyFiles";

export interface OverviewTabProps extends VerifyFilesProps {
  /** null until the kernel has answered. */
  record: DatasetRecord | null;
  /** The newest first. */
  tokenizations: readonly TokenizationRecord[];
  failed: Failed | null;
}

export function OverviewTab(props: OverviewTabProps) {
  const { dataset, record, tokenizations, failed, verification } = props;
  const isReady = dataset.status === "ready" || dataset.status === "tokenizing";
  const canVerify = dataset.status === "ready" && !props.readOnly;
  return (
    <div data-part="overview.root" className="space-y-6">
      {dataset.error_message && (
        <ErrorBox title="Error" message={dataset.error_message} hint={dataset.hint} />
      )}
      {failed && <ErrorBox {...failed} />}
      <section>
        <SectionTitle>Dataset Information</SectionTitle>
        <div data-part="overview.info.grid" className="grid grid-cols-2 gap-4">
          <InfoTile label="Source" value={formatSource(dataset.source)} />
          <InfoTile label="Size" value={formatBytes(dataset.size_bytes)} />
          <InfoTile label="Format" value={dataset.status === "ready" ? "Parquet" : UNKNOWN} />
          <InfoTile label="Status" value={dataset.status} part="overview.info.value.status" />
        </div>
      </section>
      <section>
        <SectionTitle>Description</SectionTitle>
        <div data-part="overview.description.card" className="rounded-lg bg-slate-800/30 p-4">
          <p
            data-part="overview.description.text"
            className="break-anywhere whitespace-pre-line text-slate-300"
          >
            <bdi>{unwrapped(record?.description?.trim() ?? "") || UNKNOWN}</bdi>
          </p>
        </div>
      </section>
      <QuickStats dataset={dataset} tokenizations={tokenizations} />
      {(isReady || verification !== null) && (
        <section className="space-y-4">
          <SectionTitle>Files</SectionTitle>
          {isReady && <FileList {...props} />}
          {(canVerify || verification !== null) && <VerifyFiles {...props} />}
        </section>
      )}
      {record && <Details record={record} />}
    </div>
  );
}

/** Paragraphs that their author wrapped by hand are wrapped by the page instead; lists stay. */
function unwrapped(text: string): string {
  return text.replaceAll(/(?<=[^\n]{60})\n(?=[^\s\d*+>|-])/g, " ");
}

interface QuickStatsProps {
  dataset: Card;
  tokenizations: readonly TokenizationRecord[];
}

/** What the mock shows; the figures in tokens are those of the newest tokenization. */
function QuickStats({ dataset, tokenizations }: QuickStatsProps) {
  const ready = tokenizations.filter(({ status }) => status === "ready");
  const [newest] = ready;
  const used = newest?.unique_tokens ?? null;
  return (
    <section>
      <SectionTitle>Quick Stats</SectionTitle>
      <div data-part="overview.stats.grid" className="grid grid-cols-1 gap-4 @[480px]:grid-cols-3">
        <QuickStat label="Total Samples" tone="emerald" value={formatCount(dataset.num_samples)} />
        <QuickStat
          label="Avg Length"
          tone="blue"
          value={formatDecimal(newest?.avg_seq_length ?? null)}
          unit="tokens per sample"
        />
        <QuickStat
          label="Vocabulary"
          tone="purple"
          value={formatCount(newest?.vocab_size ?? null)}
          unit="tokens that the tokenizer knows"
          note={used === null ? undefined : `${formatCount(used)} of them occur here`}
        />
      </div>
      {newest && ready.length > 1 && (
        <p data-part="overview.stats.of" className="break-anywhere mt-2 text-xs text-slate-400">
          Length and vocabulary are those of the newest of {ready.length} tokenizations:{" "}
          <bdi>{nameTokenization(newest)}</bdi>
        </p>
      )}
    </section>
  );
}

function SectionTitle({ children }: { children: ReactNode }) {
  return (
    <h3 data-part="overview.section.title" className="mb-4 text-lg font-semibold">
      {children}
    </h3>
  );
}

function InfoTile({ label, value, part }: { label: string; value: string; part?: string }) {
  return (
    <div data-part="stat.card" className="rounded-lg bg-slate-800/30 p-4">
      <div data-part="stat.label" className="mb-1 text-sm text-slate-400">
        {label}
      </div>
      <div
        data-part={classes("overview.info.value", part)}
        className={classes("text-lg font-medium", part !== undefined && "capitalize")}
      >
        {value}
      </div>
    </div>
  );
}

const TONES = {
  emerald: "text-emerald-400",
  blue: "text-blue-400",
  purple: "text-purple-400",
} as const;

interface QuickStatProps {
  label: string;
  tone: keyof typeof TONES;
  value: string;
  unit?: string;
  note?: string | undefined;
}

function QuickStat({ label, tone, value, unit, note }: QuickStatProps) {
  return (
    <div data-part="stat.card stat.card.quick" className="rounded-lg bg-slate-800/30 p-4">
      <div data-part="stat.label" className="mb-1 text-sm text-slate-400">
        {label}
      </div>
      <div
        data-part={`stat.value stat.value.${tone}`}
        className={classes("text-2xl font-bold", TONES[tone])}
      >
        {value}
      </div>
      {unit && (
        <div data-part="stat.unit" className="text-xs text-slate-500">
          {unit}
        </div>
      )}
      {note && (
        <div data-part="stat.note" className="text-xs text-slate-400">
          {note}
        </div>
      )}
    </div>
  );
}

function Details({ record }: { record: DatasetRecord }) {
  return (
    <section>
      <SectionTitle>Details</SectionTitle>
      <dl className="grid grid-cols-1 gap-6 @[768px]:grid-cols-2">
        {detailsOf(record).map(([label, value]) => (
          <Detail key={label} label={label}>
            <bdi>{value}</bdi>
          </Detail>
        ))}
      </dl>
      <SkippedFiles record={record} />
    </section>
  );
}

function Detail({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div className="min-w-0">
      <dt data-part="info.label" className="mb-1 text-sm text-slate-500">
        {label}
      </dt>
      <dd data-part="info.value" className="break-anywhere font-mono text-sm text-slate-200">
        {children}
      </dd>
    </div>
  );
}

/** The files that were left out, each with its reason. */
function SkippedFiles({ record }: { record: DatasetRecord }) {
  const { num_skipped_files = 0, skipped_files } = record.metadata.download ?? {};
  if (!num_skipped_files) return null;
  const named = skipped_files ?? [];
  const rest = num_skipped_files - named.length;
  return (
    <dl data-part="overview.skipped" className="mt-6">
      <Detail label={`Skipped Files (${formatCount(num_skipped_files)})`}>
        <ul className="space-y-1">
          {named.map((file) => (
            <li key={file}>
              <bdi>{file}</bdi>
            </li>
          ))}
          {rest > 0 && <li>{formatCount(rest)} more</li>}
        </ul>
      </Detail>
    </dl>
  );
}

function detailsOf(record: DatasetRecord): [string, string][] {
  const { download } = record.metadata;
  const rows: [string, string | null][] = [
    ["Dataset ID", record.id],
    ["HuggingFace Repository", record.repo_id],
    ["Config", record.config],
    ["Revision", record.revision],
    ["Commit", record.commit],
    ["Downloaded", download?.downloaded_bytes ? formatBytes(download.downloaded_bytes) : null],
    ["Splits Asked For", record.splits?.join(", ") ?? null],
    ["Splits", listPairs(record.split_info, (rows) => plural(rows, "sample"))],
    ["Columns", listPairs(record.columns, (type) => type)],
    ["Text Column", record.text_column],
    ["Created", formatTime(record.created_at)],
    ["Last Updated", formatTime(record.updated_at)],
    ["Path", record.file_path],
    ["Tokenizations Path", record.tokenized_path],
    ["In Use By", record.in_use_by.join(", ")],
  ];
  return rows.filter((row): row is [string, string] => Boolean(row[1]));
}

function listPairs<Value>(pairs: Record<string, Value>, write: (value: Value) => string): string {
  return Object.entries(pairs)
    .map(([name, value]) => `${name}: ${write(value)}`)
    .join(", ");
}
