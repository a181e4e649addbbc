/** What a tokenization made of one sample. */

import { useEffect, useState } from "react";
import type { Send } from "../kernel/requests";
import { describeError, type Failed } from "../kernel/useRequest";
import type { SampleSpan, TokenView } from "../protocol.gen";
import { TokenChips, TokenLegend } from "../tokenization/TokenChips";
import { formatCount, plural } from "../ui/format";
import { ErrorBox, Spinner, Unanswered } from "../ui/ui";

const SPANS_SHOWN = 5;

export interface SampleTokensProps {
  tokenization_id: string;
  split: string;
  /** Within its split, from 0. */
  row: number;
  disabled: boolean;
  send: Send;
}

export function SampleTokens(props: SampleTokensProps) {
  const { tokenization_id, split, row, disabled, send } = props;
  const [view, setView] = useState<TokenView | null>(null);
  const [failed, setFailed] = useState<Failed | null>(null);
  useEffect(() => {
    if (disabled) return;
    const abort = new AbortController();
    const asked = { tokenization_id, split, row };
    setView(null);
    setFailed(null);
    send("sample_tokens", asked, { signal: abort.signal }).then(setView, (error: unknown) => {
      if (!abort.signal.aborted) setFailed(describeError(error));
    });
    return () => abort.abort();
  }, [tokenization_id, split, row, disabled, send]);
  return (
    <section data-part="sample.tokens" aria-label="Tokens of the sample" className="mt-3 space-y-2">
      {failed && <ErrorBox {...failed} />}
      {!failed && view === null && disabled && <Unanswered>The tokens</Unanswered>}
      {!failed && view === null && !disabled && (
        <p role="status" className="flex items-center gap-2 text-xs text-slate-400">
          <Spinner size={12} /> Reading tokens…
        </p>
      )}
      {view && <Shown view={view} />}
    </section>
  );
}

function Shown({ view }: { view: TokenView }) {
  const { tokenizer_name, tokens, num_tokens, is_dropped, spans } = view;
  if (is_dropped) {
    return (
      <p className="text-xs text-slate-400">
        The tokenization with <bdi>{tokenizer_name}</bdi> dropped this sample.
      </p>
    );
  }
  const isSpelled = tokens.every(({ text }) => text !== null);
  return (
    <>
      <div className="max-h-64 overflow-y-auto rounded border border-slate-700 bg-slate-900/50 p-4">
        <TokenChips part="sample.chips" tokens={tokens} />
      </div>
      {isSpelled ? (
        <TokenLegend />
      ) : (
        <p className="text-xs text-slate-400">
          The tokenizer is not there any more as it was: ids are shown instead.
        </p>
      )}
      <p className="text-xs text-slate-400">
        {plural(num_tokens, "token")} by <bdi>{tokenizer_name}</bdi>
        {tokens.length < num_tokens && `, the first ${formatCount(tokens.length)} are shown`}
        {spans.length > 0 && ` • ${describeSpans(spans)}`}
      </p>
    </>
  );
}

/** Sequences and positions count from 0, as in the tensors. */
function describeSpans(spans: readonly SampleSpan[]): string {
  const named = spans
    .slice(0, SPANS_SHOWN)
    .map(({ sequence, start, end }) => `${formatCount(sequence)} [${start}:${end}]`);
  const more = spans.length > SPANS_SHOWN ? `, and ${spans.length - SPANS_SHOWN} more` : "";
  return `${spans.length === 1 ? "Sequence" : "Sequences"} ${named.join(", ")}${more}`;
}
