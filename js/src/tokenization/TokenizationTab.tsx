/** Tokenizations of one dataset: a new one, and those that are there. */

import { useState } from "react";
import type { Send } from "../kernel/requests";
import type { Failed } from "../kernel/useRequest";
import type { DatasetCard as Card, JobSnapshot, TokenizationRecord } from "../protocol.gen";
import { DetailSelect } from "../ui/fields";
import { ErrorBox } from "../ui/ui";
import { TokenizationForm } from "./TokenizationForm";
import { TokenizationList } from "./TokenizationList";
import { TokenPreview } from "./TokenPreview";
import { nameTokenization, usedTokenizers } from "./tokenizations";

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
  /** Names and rows of the splits. */
  splits: Readonly<Record<string, number>>;
  send: Send;
  onDelete: (tokenization_id: string) => void;
}

export function TokenizationTab(props: TokenizationTabProps) {
  const { dataset, datasets, records, failed, jobs, readOnly, disabled, send } = props;
  const canTokenize = !readOnly && (dataset.status === "ready" || dataset.status === "tokenizing");
  const known = usedTokenizers([dataset, ...datasets]);
  return (
    <div data-part="tokenization.root" className="space-y-6">
      {canTokenize && <TokenizationForm {...props} knownTokenizers={known} />}
      {!canTokenize && <PreviewAsMade {...props} />}
      {failed && <ErrorBox {...failed} />}
      {records && (
        <TokenizationList
          records={records}
          jobs={jobs}
          readOnly={readOnly}
          disabled={disabled}
          emptyText={emptyText(dataset, canTokenize)}
          send={send}
          onDelete={props.onDelete}
        />
      )}
    </div>
  );
}

/** Who cannot tokenize can see what a text becomes with what was tokenized. */
function PreviewAsMade({ dataset, splits, records, disabled, send }: TokenizationTabProps) {
  const [chosen, setChosen] = useState("");
  const ready = records?.filter(({ status }) => status === "ready") ?? [];
  const record = ready.find(({ id }) => id === chosen) ?? ready[0];
  if (record === undefined) return null;
  // a reader may name no template; the tokenizer's own is used where there is one
  const { chat_template: _, ...settings } = record.settings;
  return (
    <section>
      <DetailSelect
        id="tokenization-preview"
        part="tokenization.select.preview"
        label="Preview With"
        value={record.id}
        options={ready.map((item) => [item.id, nameTokenization(item)] as const)}
        onChange={setChosen}
      />
      <TokenPreview
        dataset={dataset}
        splits={splits}
        settings={settings}
        disabled={disabled}
        send={send}
      />
    </section>
  );
}

function emptyText(dataset: Card, canTokenize: boolean): string {
  if (canTokenize) return "Not tokenized yet";
  return dataset.status === "ready"
    ? "This dataset is not tokenized"
    : "This dataset can be tokenized once it is ready";
}
