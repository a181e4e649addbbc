/** What a typed text, or a row of the dataset, becomes with the settings as they are. */

import { type KeyboardEvent, type ReactNode, useId, useState } from "react";
import type { Send } from "../kernel/requests";
import type { DatasetCard as Card, TokenizationSettingsInput } from "../protocol.gen";
import { formatCount } from "../ui/format";
import { classes, ErrorBox } from "../ui/ui";
import { PreviewResult } from "./PreviewResult";
import { type Previewed, usePreview } from "./usePreview";

const MAX_CHARS = 1000;

const FIELD = classes(
  "rounded-lg border border-slate-700 bg-slate-900 px-4 py-2 text-slate-100",
  "placeholder:text-gray-400 focus:border-emerald-500 focus:outline-none",
);

export interface TokenPreviewProps {
  dataset: Card;
  /** Names and rows of its splits. */
  splits: Readonly<Record<string, number>>;
  /** null: they cannot be used as they are. */
  settings: TokenizationSettingsInput | null;
  disabled: boolean;
  send: Send;
}

export function TokenPreview({ dataset, splits, settings, disabled, send }: TokenPreviewProps) {
  const id = useId();
  const [isRow, setIsRow] = useState(false);
  const [text, setText] = useState("");
  const [split, setSplit] = useState("");
  const [number, setNumber] = useState("1");
  const known = Object.keys(splits);
  const chosen = known.includes(split) ? split : known[0];
  const row = rowOf(number, chosen === undefined ? undefined : splits[chosen]);
  const previewed = isRow ? previewedRow(dataset.id, chosen, row) : previewedText(text);
  const { preview, failed, isAsking, ask } = usePreview({
    previewed,
    settings,
    isEnabled: !disabled,
    send,
  });
  // Enter would submit the form around, and begin a tokenization
  const askOnEnter = (event: KeyboardEvent) => {
    if (event.key !== "Enter") return;
    event.stopPropagation();
    event.preventDefault();
    ask();
  };
  return (
    <div data-part="preview.section" className="mt-6 border-t border-slate-700 pt-6">
      <h4 data-part="preview.title" id={`${id}-title`} className="mb-3 font-semibold">
        Preview
      </h4>
      {known.length > 0 && (
        <div role="radiogroup" aria-labelledby={`${id}-title`} className="mb-3 flex gap-4 text-sm">
          <Choice
            name={id}
            isChosen={!isRow}
            onChoose={() => setIsRow(false)}
            onKeyDown={askOnEnter}
          >
            Typed text
          </Choice>
          <Choice name={id} isChosen={isRow} onChoose={() => setIsRow(true)} onKeyDown={askOnEnter}>
            A sample of this dataset
          </Choice>
        </div>
      )}
      {isRow ? (
        <div className="mb-3 flex flex-wrap items-center gap-3 text-sm text-slate-400">
          <select
            aria-label="Split of the sample"
            value={chosen}
            onChange={(event) => setSplit(event.target.value)}
            className={FIELD}
          >
            {known.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
          <label className="flex items-center gap-2">
            Sample #
            <input
              type="text"
              inputMode="numeric"
              autoComplete="off"
              value={number}
              aria-invalid={row === null || undefined}
              onChange={(event) => setNumber(event.target.value)}
              onKeyDown={askOnEnter}
              className={classes("w-32", FIELD)}
            />
          </label>
          {chosen !== undefined && <span>of {formatCount(splits[chosen] ?? null)}</span>}
        </div>
      ) : (
        <>
          <textarea
            rows={3}
            data-part="preview.textarea"
            aria-label="Text to preview tokenization"
            aria-describedby={`${id}-help`}
            placeholder="Enter text to preview tokenization..."
            value={text}
            onChange={(event) => setText(beginOf(event.target.value))}
            className={classes("mb-3 w-full resize-y", FIELD)}
          />
          <p
            id={`${id}-help`}
            data-part="preview.counter"
            className="-mt-3 mb-3 text-xs text-slate-500"
          >
            Shown as you type • {formatCount([...text].length)} / {formatCount(MAX_CHARS)}
          </p>
        </>
      )}
      <button
        type="button"
        data-part="preview.button"
        disabled={disabled || settings === null || previewed === null}
        onClick={ask}
        className="mb-3 rounded bg-slate-700 px-4 py-2 enabled:hover:bg-slate-600 disabled:cursor-not-allowed disabled:opacity-50"
      >
        Tokenize Preview
      </button>
      {settings === null && (
        <p className="text-xs text-slate-400">The settings above cannot be used yet.</p>
      )}
      {failed && <ErrorBox {...failed} />}
      {!failed && preview === null && isAsking && (
        <p role="status" className="text-xs text-slate-400">
          Tokenizing…
        </p>
      )}
      {!failed && preview !== null && <PreviewResult preview={preview} isOld={isAsking} />}
    </div>
  );
}

/** What may be previewed of a text, in characters as the kernel counts them: an emoji is one. */
function beginOf(text: string): string {
  return text.length <= MAX_CHARS ? text : [...text].slice(0, MAX_CHARS).join("");
}

function previewedText(text: string): Previewed | null {
  return text === "" ? null : { text };
}

function previewedRow(
  dataset_id: string,
  split: string | undefined,
  row: number | null,
): Previewed | null {
  return split === undefined || row === null ? null : { dataset_id, split, row };
}

/** People count samples from 1; null for what is no sample. */
function rowOf(number: string, rows: number | undefined): number | null {
  if (!/^\d{1,15}$/.test(number.trim())) return null;
  const row = Number(number) - 1;
  return row >= 0 && (rows === undefined || row < rows) ? row : null;
}

interface ChoiceProps {
  name: string;
  isChosen: boolean;
  onChoose: () => void;
  onKeyDown: (event: KeyboardEvent) => void;
  children: ReactNode;
}

function Choice({ name, isChosen, onChoose, onKeyDown, children }: ChoiceProps) {
  return (
    <label className="flex items-center gap-2 text-slate-300">
      <input
        type="radio"
        name={name}
        checked={isChosen}
        onChange={onChoose}
        onKeyDown={onKeyDown}
        className="accent-emerald-600"
      />
      {children}
    </label>
  );
}
