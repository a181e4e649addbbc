/** One sample: three lines of it, or all that is known. */

import { Check, ChevronDown, ChevronUp, Copy } from "lucide-react";
import { type MouseEvent, type ReactNode, useEffect, useState } from "react";
import type { Send } from "../kernel/requests";
import type { Cell, Sample } from "../protocol.gen";
import { copyText } from "../ui/copying";
import { formatBytes, formatCount, plural } from "../ui/format";
import { classes } from "../ui/ui";
import { SampleTokens } from "./SampleTokens";
import { type Piece, piecesOf, previewOf } from "./sampleText";

const COPIED_FOR_S = 2;

export interface SampleCardProps {
  sample: Sample;
  /** Whose tokens can be shown; null where there is none. */
  tokenization_id: string | null;
  /** Whether nothing can be asked of the kernel. */
  disabled: boolean;
  send: Send;
}

export function SampleCard({ sample, tokenization_id, ...rest }: SampleCardProps) {
  const [isOpen, setOpen] = useState(false);
  const [showsTokens, setShowsTokens] = useState(false);
  const { split, row } = sample;
  const name = `Sample #${formatCount(row + 1)}`;
  return (
    <li data-part="sample.card" className="rounded-lg bg-slate-800/30 p-4">
      <div data-part="sample.header" className="mb-2 flex items-center justify-between">
        <span data-part="sample.meta.id" className="break-anywhere text-xs text-slate-500">
          {name} • <bdi>{split}</bdi>
        </span>
        <div data-part="sample.actions" className="flex gap-2">
          <CopyButton text={sample.text ?? ""} />
          <button
            type="button"
            data-part={isOpen ? "sample.button.collapse" : "sample.button.expand"}
            aria-label={isOpen ? "Collapse" : "Expand"}
            aria-expanded={isOpen}
            title={isOpen ? "Collapse" : "Expand"}
            onClick={() => setOpen(!isOpen)}
            className="text-slate-400 hover:text-slate-200"
          >
            {isOpen ? (
              <ChevronUp size={16} aria-hidden="true" />
            ) : (
              <ChevronDown size={16} aria-hidden="true" />
            )}
          </button>
        </div>
      </div>
      <Text sample={sample} isOpen={isOpen} />
      {isOpen && <Columns columns={sample.columns} />}
      <div
        data-part="sample.meta.footer"
        className="mt-2 flex flex-wrap gap-x-3 text-xs text-slate-500"
      >
        <span>{describeLength(sample)}</span>
        {isOpen && tokenization_id !== null && (
          <button
            type="button"
            data-part="sample.button.tokens"
            aria-expanded={showsTokens}
            onClick={() => setShowsTokens(!showsTokens)}
            className="text-emerald-400 hover:text-emerald-300"
          >
            {showsTokens ? "Hide tokens" : "Show tokens"}
          </button>
        )}
      </div>
      {isOpen && showsTokens && tokenization_id !== null && (
        <SampleTokens tokenization_id={tokenization_id} split={split} row={row} {...rest} />
      )}
    </li>
  );
}

function describeLength({ num_chars, num_tokens, columns }: Sample): string {
  const source = columns["source"]?.value;
  const parts = [
    num_chars !== null && `Length: ${formatCount(num_chars)} ${num_chars === 1 ? "char" : "chars"}`,
    num_tokens !== null && plural(num_tokens, "token"),
    typeof source === "string" && source.length <= 100 && `Source: ${source}`,
  ];
  return parts.filter(Boolean).join(" • ");
}

function Text({ sample, isOpen }: { sample: Sample; isOpen: boolean }) {
  const { text, text_start, num_chars } = sample;
  if (text === null || text === "") {
    return (
      <p data-part="sample.text" className="text-sm italic text-slate-400">
        {text === null ? "No text" : "Empty text"}
      </p>
    );
  }
  const shown = Array.from(text).length;
  const isCut = num_chars !== null && shown < num_chars;
  return (
    <>
      <p
        dir="auto"
        data-part={isOpen ? "sample.text.expanded" : "sample.text"}
        className={classes(
          "break-anywhere text-sm text-slate-300",
          isOpen ? "whitespace-pre-wrap" : "line-clamp-3",
        )}
      >
        <Marked pieces={isOpen ? piecesOf(sample) : previewOf(sample)} />
      </p>
      {isOpen && isCut && (
        <p className="mt-1 text-xs text-slate-400">
          Characters {formatCount(text_start + 1)} to {formatCount(text_start + shown)} of{" "}
          {formatCount(num_chars)} are shown
        </p>
      )}
    </>
  );
}

function Marked({ pieces }: { pieces: readonly Piece[] }): ReactNode {
  return pieces.map(({ text, isHit }, at) => {
    // biome-ignore lint/suspicious/noArrayIndexKey: pieces of one text, in its order
    if (!isHit) return <span key={at}>{text}</span>;
    return (
      <mark
        // biome-ignore lint/suspicious/noArrayIndexKey: as above
        key={at}
        data-part="sample.highlight"
        className="rounded-sm bg-yellow-500/30 text-yellow-100"
      >
        {text}
      </mark>
    );
  });
}

function Columns({ columns }: { columns: Sample["columns"] }) {
  const names = Object.keys(columns);
  if (names.length === 0) return null;
  return (
    <dl data-part="sample.columns" className="mt-3 space-y-2">
      {names.map((name) => (
        <div key={name}>
          <dt className="break-anywhere text-xs font-medium text-emerald-400">
            <bdi>{name}</bdi>:
          </dt>
          <dd
            dir="auto"
            className="break-anywhere max-h-64 overflow-y-auto whitespace-pre-wrap font-mono text-sm text-slate-300"
          >
            <Value cell={columns[name]} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Value({ cell }: { cell: Cell | undefined }) {
  const { value, is_cut, size, unit } = cell ?? { value: null, is_cut: false };
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  return (
    <>
      {value === null || value === undefined ? <i className="text-slate-400">null</i> : text}
      {is_cut && (
        <span className="text-slate-400">
          {" "}
          (cut{size != null && unit != null && `, ${describeSize(size, unit)} in all`})
        </span>
      )}
    </>
  );
}

function describeSize(size: number, unit: "characters" | "bytes" | "items"): string {
  return unit === "bytes" ? formatBytes(size) : `${formatCount(size)} ${unit}`;
}

function CopyButton({ text }: { text: string }) {
  const [outcome, setOutcome] = useState<"copied" | "failed" | null>(null);
  useEffect(() => {
    if (outcome === null) return;
    const timer = setTimeout(() => setOutcome(null), COPIED_FOR_S * 1000);
    return () => clearTimeout(timer);
  }, [outcome]);
  const copy = async ({ currentTarget }: MouseEvent<HTMLButtonElement>) => {
    const isCopied = await copyText(text, currentTarget.parentElement ?? currentTarget);
    currentTarget.focus();
    setOutcome(isCopied ? "copied" : "failed");
  };
  return (
    <>
      <span
        role="status"
        className={classes("text-xs text-slate-400", outcome === null && "sr-only")}
      >
        {outcome === "copied" && "Copied"}
        {outcome === "failed" && "Could not copy"}
      </span>
      <button
        type="button"
        data-part="sample.button.copy"
        aria-label="Copy to clipboard"
        title="Copy to clipboard"
        disabled={text === ""}
        onClick={copy}
        className="text-slate-400 enabled:hover:text-slate-200 disabled:cursor-not-allowed disabled:opacity-50"
      >
        {outcome === "copied" ? (
          <Check size={16} className="text-emerald-400" aria-hidden="true" />
        ) : (
          <Copy data-part="sample.button.copy.icon" size={16} aria-hidden="true" />
        )}
      </button>
    </>
  );
}
