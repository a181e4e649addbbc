/** Tokens side by side. */

import { classes } from "../ui/ui";

export interface ChipToken {
  id: number;
  /** null where the tokenizer is not there any more; then the id is shown. */
  text: string | null;
  type: "special" | "regular" | null;
}

const LOOKS = {
  special: "border border-emerald-500/30 bg-emerald-500/20 text-xs text-emerald-300",
  regular: "border border-slate-600 bg-slate-700/50 text-xs text-slate-300",
  unknown: "bg-slate-700 text-sm",
} as const;

export interface TokenChipsProps {
  tokens: readonly ChipToken[];
  part: string;
}

/** In the order of the tokens; their positions start with 0. */
export function TokenChips({ tokens, part }: TokenChipsProps) {
  return (
    <ol data-part={part} aria-label="Tokens" className="flex flex-wrap gap-1">
      {tokens.map((token, position) => (
        <Chip
          // biome-ignore lint/suspicious/noArrayIndexKey: a token is the one at its position
          key={position}
          token={token}
          position={position}
        />
      ))}
    </ol>
  );
}

function Chip({ token, position }: { token: ChipToken; position: number }) {
  const { id, text, type } = token;
  const title = `Position: ${position}, ID: ${id}${type === null ? "" : `, Type: ${type}`}`;
  return (
    <li
      data-part={type === null ? "token.chip" : `token.chip.${type}`}
      title={title}
      className={classes(
        "break-anywhere relative max-w-full whitespace-pre-wrap rounded px-2 py-1 font-mono",
        LOOKS[type ?? "unknown"],
      )}
    >
      <bdi>{text === null ? `#${id}` : visible(text)}</bdi>
      {type === "special" && <span className="sr-only"> (special)</span>}
    </li>
  );
}

/** Line ends and tabs as signs: they are most of some texts. */
function visible(text: string): string {
  return text.replaceAll("\n", "↵").replaceAll("\r", "␍").replaceAll("\t", "⇥");
}

export function TokenLegend() {
  return (
    <p data-part="preview.legend" className="flex flex-wrap gap-3 text-xs text-slate-500">
      <span className="flex items-center gap-1">
        <Swatch look="border-emerald-500/30 bg-emerald-500/20" />
        Special tokens (BOS, EOS, PAD, etc.)
      </span>
      <span className="flex items-center gap-1">
        <Swatch look="border-slate-600 bg-slate-700/50" />
        Regular tokens
      </span>
    </p>
  );
}

function Swatch({ look }: { look: string }) {
  return <span aria-hidden="true" className={classes("h-3 w-3 rounded border", look)} />;
}
