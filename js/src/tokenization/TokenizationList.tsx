/** The tokenizations that a dataset has. */

import { Trash2, X } from "lucide-react";
import { useLayoutEffect, useRef } from "react";
import type { Send } from "../kernel/requests";
import { useRequest } from "../kernel/useRequest";
import type { JobSnapshot, TokenizationRecord } from "../protocol.gen";
import { formatBytes, formatCount, formatDecimal, formatDuration, plural } from "../ui/format";
import { JobProgress } from "../ui/JobProgress";
import { Badge, ErrorBox, IconButton, passFocusOn } from "../ui/ui";
import { describeSettings, nameTokenization } from "./tokenizations";

export interface TokenizationListProps {
  records: readonly TokenizationRecord[];
  jobs: readonly JobSnapshot[];
  readOnly: boolean;
  disabled: boolean;
  emptyText: string;
  send: Send;
  onDelete: (tokenization_id: string) => void;
}

export function TokenizationList({ records, jobs, emptyText, ...rest }: TokenizationListProps) {
  return (
    <section data-part="tokenization.list">
      <h3 tabIndex={-1} data-takes-focus className="mb-4 font-semibold">
        Tokenizations ({formatCount(records.length)})
      </h3>
      {records.length === 0 && <p className="text-sm text-slate-400">{emptyText}</p>}
      <ul className="space-y-3">
        {records.map((record) => (
          <Item
            key={record.id}
            record={record}
            job={jobs.find(({ tokenization_id }) => tokenization_id === record.id) ?? null}
            {...rest}
          />
        ))}
      </ul>
    </section>
  );
}

interface ItemProps {
  record: TokenizationRecord;
  job: JobSnapshot | null;
  readOnly: boolean;
  disabled: boolean;
  send: Send;
  onDelete: (tokenization_id: string) => void;
}

function Item({ record, job, onDelete, ...rest }: ItemProps) {
  const request = useRequest();
  const element = useRef<HTMLLIElement>(null);
  useLayoutEffect(() => {
    const item = element.current;
    return () => {
      if (item !== null) passFocusOn(item);
    };
  }, []);
  return (
    <li
      ref={element}
      data-part="tokenization.item"
      data-tokenization-id={record.id}
      className="rounded-lg bg-slate-800/30 p-4"
    >
      <div className="flex items-start justify-between gap-4">
        <div className="min-w-0">
          <p className="break-anywhere font-mono text-sm text-slate-200">
            <bdi>{record.tokenizer_name}</bdi> • {describeSettings(record.settings)}
          </p>
          <p className="mt-1 text-xs text-slate-400 empty:hidden">{describeRun(record)}</p>
        </div>
        <div className="flex shrink-0 items-center gap-2">
          <Badge status={record.status} />
          {!rest.readOnly && (
            <ItemAction {...rest} job={job} request={request} onAsk={() => onDelete(record.id)} />
          )}
        </div>
      </div>
      {record.status === "ready" && <Figures record={record} />}
      {job !== null && (
        <JobProgress
          part="progress.fill progress.fill.processing"
          name={nameTokenization(record)}
          status="tokenizing"
          job={job}
          percent={record.progress}
        />
      )}
      {record.error_message && (
        <ErrorBox className="mt-3" message={record.error_message} hint={record.hint} />
      )}
      {request.failed && <ErrorBox className="mt-3" {...request.failed} />}
    </li>
  );
}

interface ItemActionProps {
  job: JobSnapshot | null;
  disabled: boolean;
  send: Send;
  request: ReturnType<typeof useRequest>;
  onAsk: () => void;
}

function ItemAction({ job, disabled, send, request, onAsk }: ItemActionProps) {
  if (job === null) {
    return (
      <IconButton
        part="tokenization.delete"
        label="Delete tokenization"
        icon={<Trash2 size={16} aria-hidden="true" />}
        disabled={disabled || request.pending}
        danger
        onPress={onAsk}
      />
    );
  }
  const cancelling = request.pending || job.state === "cancelling";
  return (
    <IconButton
      part="tokenization.cancel"
      label={cancelling ? "Cancelling…" : "Cancel tokenization"}
      icon={<X size={16} aria-hidden="true" />}
      disabled={disabled || cancelling}
      danger
      onPress={() => request.run(() => send("cancel", { job_id: job.id }))}
    />
  );
}

function Figures({ record }: { record: TokenizationRecord }) {
  const figures: [string, string][] = [
    ["Tokens", formatCount(record.num_tokens)],
    ["Sequences", formatCount(record.num_sequences)],
    ["Samples", formatCount(record.num_samples)],
    ["Avg Length", formatDecimal(record.avg_seq_length)],
    ["Unique Tokens", formatCount(record.unique_tokens)],
    ["Vocabulary", formatCount(record.vocab_size)],
    ["Size", formatBytes(record.size_bytes)],
    ["Time", formatDuration(record.elapsed_s)],
  ];
  return (
    <dl className="mt-3 grid grid-cols-2 gap-4 text-sm @[768px]:grid-cols-4">
      {figures.map(([label, value]) => (
        <div key={label} className="min-w-0">
          <dt className="text-slate-400">{label}</dt>
          <dd className="break-anywhere font-mono text-slate-200">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function describeRun({ engine, tokens_per_s }: TokenizationRecord): string {
  const speed = tokens_per_s !== null && `${plural(Math.round(tokens_per_s), "token")}/s`;
  return [engine && `by ${engine}`, speed].filter(Boolean).join(" • ");
}
