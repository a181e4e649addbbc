import { expect, it } from "vitest";
import { aTokenization } from "../testing/wire";
import { describeDifference, describeSettings } from "./tokenizations";

const plain = {
  ...aTokenization().settings,
  stride: 0,
  begin_sequence_token: null,
  drop_tail: false,
  shuffle_seed: null,
  min_chars: 0,
};

it.each([
  [{}, "packed 1,024"],
  [{ mode: "per_sample", padding: "max_length" }, "per sample 1,024 • padded"],
  [
    { mode: "per_sample", padding: "longest", truncation: "do_not_truncate" },
    "per sample 1,024 • padded to the longest • not truncated",
  ],
  [{ add_special_tokens: true }, "packed 1,024 • special tokens"],
  [{ add_special_tokens: false }, "packed 1,024 • no special tokens"],
  [{ begin_sequence_token: 0, drop_tail: true }, "packed 1,024 • begins with 0 • tail dropped"],
  [{ stride: 16, shuffle_seed: 0 }, "packed 1,024 • stride 16 • shuffled with 0"],
  [{ text_column: "body", min_chars: 20 }, "packed 1,024 • column body • at least 20 characters"],
  [{ splits: ["train", "test"] }, "packed 1,024 • train, test"],
] as const)("names what is not as by default: %o", (change, text) => {
  expect(describeSettings({ ...plain, ...change } as typeof plain)).toBe(text);
});

it("names of a difference the mode and length, and what is not shared where these are", () => {
  const first = { ...plain, stride: 16, shuffle_seed: 1 };
  const second = { ...plain, stride: 16, shuffle_seed: 2 };
  expect(describeDifference(first, [first, second])).toBe("packed 1,024 • shuffled with 1");
  const longer = { ...first, max_length: 2048 };
  expect(describeDifference(longer, [first, second, longer])).toBe("packed 2,048");
});
