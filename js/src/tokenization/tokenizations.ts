/** What tokenizations are called: a tokenizer may have made several of one dataset. */

import type {
  DatasetCard,
  TokenizationChip,
  TokenizationRecord,
  TokenizationSettingsOutput,
} from "../protocol.gen";
import type { Suggestion } from "../ui/fields";
import { formatCount, plural } from "../ui/format";

const PADDINGS = {
  do_not_pad: null,
  max_length: "padded",
  longest: "padded to the longest",
} as const;

const TRUNCATIONS = {
  longest_first: null,
  only_first: "first text cut",
  only_second: "second text cut",
  do_not_truncate: "not truncated",
} as const;

/** "packed 512", "per sample 128 • stride 16": everything that was not left as it is by default. */
export function describeSettings(settings: TokenizationSettingsOutput): string {
  return partsOf(settings).join(" • ");
}

/** Of the same only what it takes to tell it from its `twins`. */
export function describeDifference(
  settings: TokenizationSettingsOutput,
  twins: readonly TokenizationSettingsOutput[],
): string {
  const others = twins.map(partsOf);
  const [main = "", ...rest] = partsOf(settings);
  if (others.filter((parts) => parts.includes(main)).length <= 1) return main;
  const isShared = (part: string) => others.every((parts) => parts.includes(part));
  return [main, ...rest.filter((part) => !isShared(part))].join(" • ");
}

function partsOf(settings: TokenizationSettingsOutput): string[] {
  const { mode, max_length, stride, padding, shuffle_seed, min_chars, text_column } = settings;
  const { begin_sequence_token, add_special_tokens, splits } = settings;
  const parts = [
    `${mode === "packed" ? "packed" : "per sample"} ${formatCount(max_length)}`,
    stride > 0 && `stride ${formatCount(stride)}`,
    PADDINGS[padding],
    TRUNCATIONS[settings.truncation],
    settings.pair_column !== null && `pairs with ${settings.pair_column}`,
    settings.chat_template !== null && "own chat template",
    settings.cleaning === "safe" && "cleaned",
    add_special_tokens !== null && (add_special_tokens ? "special tokens" : "no special tokens"),
    begin_sequence_token !== null && `begins with ${begin_sequence_token}`,
    settings.drop_tail && "tail dropped",
    shuffle_seed !== null && `shuffled with ${shuffle_seed}`,
    text_column !== null && `column ${text_column}`,
    min_chars > 1 && `at least ${plural(min_chars, "character")}`,
    splits?.join(", "),
  ];
  return parts.filter((part) => typeof part === "string");
}

export function nameTokenization({ tokenizer_name, settings }: TokenizationRecord): string {
  return `${tokenizer_name} • ${describeSettings(settings)}`;
}

export function readyChips({ tokenizations }: DatasetCard): TokenizationChip[] {
  return tokenizations.filter(({ status }) => status === "ready");
}

/** What a kernel can load again, with the names that cards show. */
export function usedTokenizers(datasets: readonly DatasetCard[]): Suggestion[] {
  const byTokenizer = new Map<string, Suggestion>();
  for (const { settings, tokenizer_name } of datasets.flatMap(readyChips)) {
    if (byTokenizer.has(settings.tokenizer)) continue;
    byTokenizer.set(settings.tokenizer, { value: settings.tokenizer, label: tokenizer_name });
  }
  return [...byTokenizer.values()];
}

const DROPS: Readonly<Record<string, string>> = {
  too_short: "too short",
  null: "no text",
  not_text: "not text",
  not_rendered: "refused by the chat template",
  too_long: "too long to fit",
};

/** Why a sample is not in a tokenization, in words. */
export function describeDrop(reason: string): string {
  return DROPS[reason] ?? reason;
}
