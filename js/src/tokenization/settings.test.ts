import { describe, expect, it } from "vitest";
import {
  addsSpecialTokens,
  changed,
  checkForm,
  DEFAULT_FORM,
  returnsMask,
  type SettingsForm,
  settingsOf,
} from "./settings";

const form = (change: Partial<SettingsForm> = {}): SettingsForm => ({
  ...DEFAULT_FORM,
  tokenizer: " gpt2 ",
  ...change,
});

it("sends no defaults, so that the same settings are found again", () => {
  expect(settingsOf(form())).toEqual({ tokenizer: "gpt2", max_length: 512 });
});

it("sends everything that was set and can take effect when packing", () => {
  const set = form({
    max_length: "1024",
    stride: "16",
    begin: "bos",
    separator: "50256",
    drop_tail: true,
    shuffle_seed: "0",
    text_column: " body ",
    min_chars: "5",
    skip_invalid: true,
    add_special_tokens: true,
    return_attention_mask: false,
  });
  expect(checkForm(set)).toEqual({});
  expect(settingsOf(set)).toEqual({
    tokenizer: "gpt2",
    max_length: 1024,
    stride: 16,
    begin_sequence_token: "bos",
    sequence_separator_token: 50256,
    drop_tail: true,
    shuffle_seed: 0,
    text_column: "body",
    min_chars: 5,
    skip_invalid: true,
    add_special_tokens: true,
    return_attention_mask: false,
  });
});

it("sends no separator as null", () => {
  expect(settingsOf(form({ separator: " " }))).toMatchObject({ sequence_separator_token: null });
});

it("sends pairs with what they make possible", () => {
  const set = form({
    mode: "per_sample",
    pair_column: " context ",
    truncation: "only_second",
    stride: "8",
    cleaning: "safe",
    splits: " train, test ,",
  });
  expect(settingsOf(set)).toEqual({
    tokenizer: "gpt2",
    max_length: 512,
    mode: "per_sample",
    pair_column: "context",
    truncation: "only_second",
    stride: 8,
    cleaning: "safe",
    splits: ["train", "test"],
  });
});

it("sends a chat template, which rules out pairs and special tokens", () => {
  const set = form({
    mode: "per_sample",
    chat_template: "{{ messages }}",
    pair_column: "context",
    add_special_tokens: true,
  });
  expect(settingsOf(set)).toEqual({
    tokenizer: "gpt2",
    max_length: 512,
    mode: "per_sample",
    chat_template: "{{ messages }}",
  });
  expect(addsSpecialTokens(set)).toBe(false);
});

describe("fields that cannot take effect are never sent", () => {
  it("packed: padding and truncation", () => {
    const set = form({ padding: "longest", truncation: "do_not_truncate" });
    expect(settingsOf(set)).toEqual({ tokenizer: "gpt2", max_length: 512 });
  });

  it("per sample: separator and drop tail", () => {
    const set = form({ mode: "per_sample", separator: "sep", drop_tail: true });
    expect(settingsOf(set)).toEqual({ tokenizer: "gpt2", max_length: 512, mode: "per_sample" });
  });

  it("packed: pairs", () => {
    expect(settingsOf(form({ pair_column: "b" }))).toEqual({ tokenizer: "gpt2", max_length: 512 });
  });

  it("pairs of which both are cut: stride", () => {
    const set = form({ mode: "per_sample", pair_column: "b", stride: "8" });
    expect(settingsOf(set)).not.toHaveProperty("stride");
  });

  it("without pairs: a truncation of one side", () => {
    const pairs = form({ mode: "per_sample", pair_column: "b", truncation: "only_first" });
    expect(changed(pairs, { pair_column: "" }).truncation).toBe("longest_first");
    expect(changed(pairs, { mode: "packed" }).truncation).toBe("longest_first");
  });

  it("without truncation: stride and padding to max_length", () => {
    const padded = form({ mode: "per_sample", padding: "max_length", stride: "8" });
    const set = changed(padded, { truncation: "do_not_truncate" });
    expect(settingsOf(set)).toEqual({
      tokenizer: "gpt2",
      max_length: 512,
      mode: "per_sample",
      padding: "longest",
      truncation: "do_not_truncate",
    });
  });

  it("padded: no mask is no choice", () => {
    const set = form({ mode: "per_sample", padding: "longest", return_attention_mask: false });
    expect(returnsMask(set)).toBe(true);
    expect(settingsOf(set)).not.toHaveProperty("return_attention_mask");
    expect(settingsOf({ ...set, return_attention_mask: true })).toHaveProperty(
      "return_attention_mask",
      true,
    );
  });
});

it("shows what the kernel will decide", () => {
  expect(addsSpecialTokens(form())).toBe(false);
  expect(addsSpecialTokens(form({ mode: "per_sample" }))).toBe(true);
  expect(addsSpecialTokens(form({ add_special_tokens: true }))).toBe(true);
  expect(returnsMask(form({ return_attention_mask: false }))).toBe(false);
});

it.each<[Partial<SettingsForm>, keyof SettingsForm]>([
  [{ tokenizer: "  " }, "tokenizer"],
  [{ max_length: "0" }, "max_length"],
  [{ max_length: "131073" }, "max_length"],
  [{ max_length: "" }, "max_length"],
  [{ max_length: "1.5" }, "max_length"],
  [{ max_length: "1", begin: "bos" }, "max_length"],
  [{ stride: "512" }, "stride"],
  [{ stride: "511", begin: "bos" }, "stride"],
  [{ stride: "-1" }, "stride"],
  [{ shuffle_seed: "x" }, "shuffle_seed"],
  [{ min_chars: "-3" }, "min_chars"],
])("%o is refused at %s", (change, field) => {
  expect(Object.keys(checkForm(form(change)))).toContain(field);
});

it("accepts the limits", () => {
  expect(checkForm(form({ max_length: "131072", stride: "131071" }))).toEqual({});
  expect(checkForm(form({ max_length: "1" }))).toEqual({});
});
