/** The tokens of a preview, with their mask. */

import type { TokenPreview } from "../protocol.gen";
import { formatCount, plural } from "../ui/format";
import { classes } from "../ui/ui";
import { TokenChips, TokenLegend } from "./TokenChips";
import { describeDrop } from "./tokenizations";

const MASK_SHOWN = 1000;

export function PreviewResult({ preview, isOld }: { preview: TokenPreview; isOld: boolean }) {
  const { tokens, dropped, is_cut } = preview;
  return (
    <div
      data-part="preview.result"
      aria-busy={isOld}
      className={classes("rounded-lg bg-slate-800/30 p-4", isOld && "opacity-50")}
    >
      {tokens.length > 0 && (
        <div className="mb-3 max-h-64 overflow-y-auto">
          <TokenChips part="preview.chips" tokens={tokens} />
        </div>
      )}
      <p role="status" data-part="preview.count" className="text-xs text-slate-400">
        {dropped === null
          ? describeCounts(preview)
          : `This sample would be dropped: ${describeDrop(dropped)}`}
      </p>
      {is_cut && (
        <p className="mt-1 text-xs text-slate-400">
          Only the beginning of this sample is shown: it is longer.
        </p>
      )}
      {tokens.length > 0 && (
        <>
          <div className="mt-2">
            <TokenLegend />
          </div>
          <Mask preview={preview} />
        </>
      )}
    </div>
  );
}

function describeCounts(preview: TokenPreview): string {
  const { num_tokens, num_special, num_padding, num_beyond, num_chars, chars_cleaned } = preview;
  const parts = [
    plural(num_tokens, "token"),
    num_special > 0 && `${formatCount(num_special)} special`,
    num_padding > 0 && `${formatCount(num_padding)} padding`,
    num_beyond > 0 && `${formatCount(num_beyond)} more do not fit into this sequence`,
    plural(num_chars, "character"),
    chars_cleaned > 0 && `${formatCount(chars_cleaned)} cleaned`,
  ];
  return parts.filter(Boolean).join(" • ");
}

function Mask({ preview: { tokens } }: { preview: TokenPreview }) {
  const ones = tokens.filter(({ attention_mask }) => attention_mask === 1).length;
  return (
    <div className="mt-4">
      <p className="mb-2 text-xs text-slate-400">Attention Mask:</p>
      <div
        role="img"
        aria-label={`Attention mask: ${ones} ones, ${tokens.length - ones} zeros`}
        data-part="attention.mask.box"
        className="max-h-32 overflow-y-auto rounded border border-slate-700 bg-slate-900/50 p-3"
      >
        <div className="flex flex-wrap gap-1">
          {tokens.slice(0, MASK_SHOWN).map(({ position, attention_mask }) => (
            <span
              key={position}
              data-part={attention_mask === 1 ? "attention.mask.one" : "attention.mask.zero"}
              title={`Position ${position}: ${attention_mask === 1 ? "Attend" : "Ignore"}`}
              className={classes(
                "h-6 w-6 rounded text-center font-mono text-xs leading-6",
                attention_mask === 1
                  ? "bg-emerald-500/20 text-emerald-300"
                  : "bg-slate-700/50 text-slate-500",
              )}
            >
              {attention_mask}
            </span>
          ))}
        </div>
      </div>
      <p className="mt-2 text-xs text-slate-400">
        1 = attend to token, 0 = ignore (padding)
        {tokens.length > MASK_SHOWN && ` • the first ${formatCount(MASK_SHOWN)} are shown`}
      </p>
    </div>
  );
}
