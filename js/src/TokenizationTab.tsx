/** Tokenizations of one dataset: a new one, and those that are there. */

import { useEffect, useState } from "react";
import type { DatasetCard as Card, JobSnapshot, TokenizationRecord } from "./protocol.gen";
import type { Send } from "./requests";
import { TokenizationForm } from "./TokenizationForm";
import { TokenizationList } from "./TokenizationList";
import { ErrorBox } from "./ui";
import { describeError, type Failed } from "./useRequest";

export interface TokenizationTabProps {
  dataset: Card;
  jobs: readonly JobSnapshot[];
  readOnly: boolean;
  disabled: boolean;
  columns: readonly string[];
  send: Send;
}

export function TokenizationTab(props: TokenizationTabProps) {
  const { dataset, jobs, readOnly, disabled, send } = props;
  const { records, failed } = useTokenizations(dataset, jobs, send);
  const canTokenize = !readOnly && (dataset.status === "ready" || dataset.status === "tokenizing");
  // the form starts with what was used last, so it waits for the answer
  const isAsked = records !== null || failed !== null;
  return (
    <div data-part="tokenization.root" className="space-y-6">
      {canTokenize && isAsked && (
        <TokenizationForm {...props} knownTokenizers={tokenizersOf(records ?? [])} />
      )}
      {failed && <ErrorBox {...failed} />}
      {records && (
        <TokenizationList
          records={records}
          jobs={jobs}
          readOnly={readOnly}
          disabled={disabled}
          emptyText={emptyText(dataset, canTokenize)}
          send={send}
        />
      )}
    </div>
  );
}

/** What a kernel can load again: the names on the cards are for people. */
function tokenizersOf(records: readonly TokenizationRecord[]): string[] {
  const ready = records.filter(({ status }) => status === "ready");
  return [...new Set(ready.map(({ settings }) => settings.tokenizer))];
}

function emptyText(dataset: Card, canTokenize: boolean): string {
  if (canTokenize) return "Not tokenized yet";
  return dataset.status === "ready"
    ? "This dataset is not tokenized"
    : "This dataset can be tokenized once it is ready";
}

/** All tokenizations; asked for again when the card or a job says that they changed. */
function useTokenizations(dataset: Card, jobs: readonly JobSnapshot[], send: Send) {
  const [records, setRecords] = useState<TokenizationRecord[] | null>(null);
  const [failed, setFailed] = useState<Failed | null>(null);
  const { id } = dataset;
  const running = jobs.filter(({ dataset_id }) => dataset_id === id).map((job) => job.id);
  const version = JSON.stringify([dataset.tokenizations, dataset.updated_at, running]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the version says when to look again
  useEffect(() => {
    const abort = new AbortController();
    send("list_tokenizations", { dataset_id: id }, { signal: abort.signal }).then(
      (found) => {
        setRecords(found);
        setFailed(null);
      },
      (error: unknown) => {
        if (!abort.signal.aborted) setFailed(describeError(error));
      },
    );
    return () => abort.abort();
  }, [id, version, send]);
  return { records, failed };
}
