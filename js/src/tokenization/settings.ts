/** What the tokenization form holds, and the settings that it means. */

import type { TokenizationSettingsInput } from "../protocol.gen";

export const MAX_LENGTH_LIMIT = 131_072;

export interface SettingsForm {
  tokenizer: string;
  mode: "packed" | "per_sample";
  max_length: string;
  stride: string;
  padding: "do_not_pad" | "max_length" | "longest";
  truncation: "longest_first" | "only_first" | "only_second" | "do_not_truncate";
  /** The column with the second text of each pair; empty for no pairs. */
  pair_column: string;
  /** null: the kernel decides. */
  add_special_tokens: boolean | null;
  return_attention_mask: boolean | null;
  begin: string;
  separator: string;
  drop_tail: boolean;
  shuffle_seed: string;
  text_column: string;
  chat_template: string;
  cleaning: "off" | "safe";
  min_chars: string;
  skip_invalid: boolean;
  /** Names with commas between them; empty for all. */
  splits: string;
}

export const DEFAULT_FORM: SettingsForm = {
  tokenizer: "",
  mode: "packed",
  max_length: "512",
  stride: "0",
  padding: "do_not_pad",
  truncation: "longest_first",
  pair_column: "",
  add_special_tokens: null,
  return_attention_mask: null,
  begin: "",
  separator: "auto",
  drop_tail: false,
  shuffle_seed: "",
  text_column: "",
  chat_template: "",
  cleaning: "off",
  min_chars: "0",
  skip_invalid: false,
  splits: "",
};

/** Which fields can take effect with the others; the rest is disabled and never sent. */
export function effective(form: SettingsForm) {
  const perSample = form.mode === "per_sample";
  const truncates = !perSample || form.truncation !== "do_not_truncate";
  const hasTemplate = form.chat_template.trim() !== "";
  const hasPairs = perSample && !hasTemplate && form.pair_column.trim() !== "";
  return {
    padding: perSample,
    truncation: perSample,
    // a pair is made of two texts, not of a conversation
    pair_column: perSample && !hasTemplate,
    truncateOne: hasPairs,
    padToMaxLength: truncates,
    // of a pair, one text alone can be cut into overlapping sequences
    stride: truncates && !(hasPairs && form.truncation === "longest_first"),
    // a template writes the special tokens itself
    specials: !hasTemplate,
    separator: !perSample,
    drop_tail: !perSample,
    // padding without a mask would be trained on
    noMask: !perSample || form.padding === "do_not_pad",
  };
}

/** Special tokens as they will be: the kernel adds them to single samples, not when packing. */
export function addsSpecialTokens(form: SettingsForm): boolean {
  if (!effective(form).specials) return false;
  return form.add_special_tokens ?? form.mode === "per_sample";
}

export function returnsMask(form: SettingsForm): boolean {
  return !effective(form).noMask || (form.return_attention_mask ?? true);
}

/** A change of one field, with what it makes impossible put back. */
export function changed(form: SettingsForm, change: Partial<SettingsForm>): SettingsForm {
  const next = { ...form, ...change };
  const may = effective(next);
  const isOfPairs = next.truncation === "only_first" || next.truncation === "only_second";
  if (!may.truncateOne && isOfPairs) next.truncation = "longest_first";
  if (!may.padToMaxLength && next.padding === "max_length") next.padding = "longest";
  return next;
}

export type FormErrors = Partial<Record<keyof SettingsForm, string>>;

/** What is wrong, by field; empty when the form can be sent. */
export function checkForm(form: SettingsForm): FormErrors {
  const may = effective(form);
  const errors: FormErrors = {};
  const need = (field: keyof SettingsForm, problem: string | null) => {
    if (problem !== null) errors[field] = problem;
  };
  need("tokenizer", form.tokenizer.trim() === "" ? "A tokenizer is required" : null);
  need("max_length", checkInteger(form.max_length, 1, MAX_LENGTH_LIMIT));
  need("min_chars", checkInteger(form.min_chars, 0, Number.MAX_SAFE_INTEGER));
  if (form.shuffle_seed.trim() !== "") {
    need("shuffle_seed", checkInteger(form.shuffle_seed, 0, Number.MAX_SAFE_INTEGER));
  }
  if (errors.max_length !== undefined) return errors;
  const room = Number(form.max_length) - (form.begin.trim() === "" ? 1 : 2);
  if (may.stride) need("stride", checkInteger(form.stride, 0, Math.max(room, 0)));
  if (room < 0) need("max_length", "Leaves no room beside the begin token");
  return errors;
}

function checkInteger(text: string, min: number, max: number): string | null {
  if (!/^\d+$/.test(text.trim())) return "Must be a whole number";
  const value = Number(text);
  if (value < min) return `Must be at least ${min}`;
  return value > max ? `Must be at most ${max}` : null;
}

/** The settings that a form without errors means, defaults left out. */
export function settingsOf(form: SettingsForm): TokenizationSettingsInput {
  const may = effective(form);
  const begin = tokenOf(form.begin);
  const separator = tokenOf(form.separator);
  const splits = form.splits
    .split(",")
    .map((name) => name.trim())
    .filter(Boolean);
  return {
    tokenizer: form.tokenizer.trim(),
    ...(form.mode !== "packed" && { mode: form.mode }),
    max_length: Number(form.max_length),
    ...(may.stride && Number(form.stride) > 0 && { stride: Number(form.stride) }),
    ...(may.padding && form.padding !== "do_not_pad" && { padding: form.padding }),
    ...(may.truncation && form.truncation !== "longest_first" && { truncation: form.truncation }),
    ...(may.truncateOne && { pair_column: form.pair_column.trim() }),
    ...(may.specials &&
      form.add_special_tokens !== null && { add_special_tokens: form.add_special_tokens }),
    ...maskSetting(form),
    ...(begin !== null && { begin_sequence_token: begin }),
    ...(may.separator && separator !== "auto" && { sequence_separator_token: separator }),
    ...(may.drop_tail && form.drop_tail && { drop_tail: true }),
    ...(form.shuffle_seed.trim() !== "" && { shuffle_seed: Number(form.shuffle_seed) }),
    ...(form.text_column.trim() !== "" && { text_column: form.text_column.trim() }),
    ...(form.chat_template.trim() !== "" && { chat_template: form.chat_template }),
    ...(form.cleaning !== "off" && { cleaning: form.cleaning }),
    ...(Number(form.min_chars) > 0 && { min_chars: Number(form.min_chars) }),
    ...(form.skip_invalid && { skip_invalid: true }),
    ...(splits.length > 0 && { splits }),
  };
}

function maskSetting(form: SettingsForm): Pick<TokenizationSettingsInput, "return_attention_mask"> {
  const wanted = form.return_attention_mask;
  if (wanted === null || (!wanted && !effective(form).noMask)) return {};
  return { return_attention_mask: wanted };
}

// digits are an id; "bos", "eos", "sep" and "auto" are the kernel's words; the rest is a token
function tokenOf(text: string): string | number | null {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  return /^\d+$/.test(trimmed) ? Number(trimmed) : trimmed;
}
