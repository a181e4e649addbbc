/** Tokenizations of one dataset: a new one, and those that are there. */

import type { Suggestion } from "./fields";
import type { DatasetCard as Card, JobSnapshot, TokenizationRecord } from "./protocol.gen";
import type { Send } from "./requests";
import { TokenizationForm } from "./TokenizationForm";
import { TokenizationList } from "./TokenizationList";
import { readyChips } from "./tokenizations";
import { ErrorBox } from "./ui";
import type { Failed } from "./useRequest";

export interface TokenizationTabProps {
  dataset: Card;
  /** All that the panel shows: what tokenized one of them can tokenize this one. */
  datasets: readonly Card[];
  /** This dataset's tokenizations, the newest first; null until the kernel has answered. */
  records: readonly TokenizationRecord[] | null;
  failed: Failed | null;
  jobs: readonly JobSnapshot[];
  readOnly: boolean;
  disabled: boolean;
  columns: readonly string[];
  send: Send;
}

export function TokenizationTab(props: TokenizationTabProps) {
  const { dataset, datasets, records, failed, jobs, readOnly, disabled, send } = props;
  const canTokenize = !readOnly && (dataset.status === "ready" || dataset.status === "tokenizing");
  const known = suggestionsOf([dataset, ...datasets]);
  return (
    <div data-part="tokenization.root" className="space-y-6">
      {canTokenize && <TokenizationForm {...props} knownTokenizers={known} />}
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

/** What a kernel can load again, with the names that cards show. */
function suggestionsOf(datasets: readonly Card[]): Suggestion[] {
  const byTokenizer = new Map<string, Suggestion>();
  for (const { settings, tokenizer_name } of datasets.flatMap(readyChips)) {
    if (byTokenizer.has(settings.tokenizer)) continue;
    byTokenizer.set(settings.tokenizer, { value: settings.tokenizer, label: tokenizer_name });
  }
  return [...byTokenizer.values()];
}

function emptyText(dataset: Card, canTokenize: boolean): string {
  if (canTokenize) return "Not tokenized yet";
  return dataset.status === "ready"
    ? "This dataset is not tokenized"
    : "This dataset can be tokenized once it is ready";
}
