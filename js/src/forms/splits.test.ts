import { describe, expect, it } from "vitest";
import { parseShares } from "./splits";

describe("shares", () => {
  it.each([
    ["train 90, validation 5, test 5", { train: 0.9, validation: 0.05, test: 0.05 }],
    ["train 90%; test 10 %", { train: 0.9, test: 0.1 }],
    ["train: 0.75, test=.25", { train: 0.75, test: 0.25 }],
    ["train 100", { train: 1 }],
    ["all 1", { all: 1 }],
    [" , ", null],
    ["", null],
  ])("%j", (typed, shares) => {
    expect(parseShares(typed)).toEqual({ shares });
  });

  it.each(["a 33.3, b 33.3, c 33.3", "a 33.33, b 66.67", "a 14.3, b 85.8"])(
    "of %j add up to 1, whatever was rounded",
    (typed) => {
      const parsed = parseShares(typed);
      if (!("shares" in parsed) || parsed.shares === null) throw new Error(JSON.stringify(parsed));
      const total = Object.values(parsed.shares).reduce((sum, share) => sum + share, 0);
      expect(Math.abs(total - 1)).toBeLessThan(1e-9);
    },
  );

  it("may have any name, also one that objects know", () => {
    expect(JSON.stringify(parseShares("__proto__ 40, toString 60"))).toBe(
      '{"shares":{"__proto__":0.4,"toString":0.6}}',
    );
  });

  it.each([
    ["train", 'Give "train" a share, like "train 90"'],
    ["train 90, 10", 'Give "10" a share, like "train 90"'],
    ["train -5", 'Give "train -5" a share, like "train 90"'],
    ["my split 90, test 10", '"my split" cannot be the name of a split'],
    ["../x 100", '"../x" cannot be the name of a split'],
    ["train 100, test 0", 'The share of "test" must be above 0'],
    ["train 50, train 50", '"train" is named twice'],
    ["train 90, test 5", "The shares add up to 95, not to 100"],
    ["train 0.9, test 0.2", "The shares add up to 1.1, not to 100"],
  ])("%j: %s", (typed, problem) => {
    expect(parseShares(typed)).toEqual({ problem });
  });
});
