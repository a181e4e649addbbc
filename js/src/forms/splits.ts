/** "train 90, validation 5, test 5": how samples are divided into splits. */

export type Shares = Readonly<Record<string, number>>;

/** Shares that add up to 1, null when nothing was typed, or what is wrong with the text. */
export type ParsedShares = { shares: Shares | null } | { problem: string };

const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$/;
const PART = /^(.+?)\s*[\s:=]\s*(\d+(?:\.\d+)?|\.\d+)\s*%?$/;
// a third is 33.3 to most people, so three of them are 99.9
const TOLERANCE = 0.0015;

/** Read percent, or fractions when they add up to 1. */
export function parseShares(typed: string): ParsedShares {
  const parts = typed
    .split(/[,;\n]/)
    .map((part) => part.trim())
    .filter((part) => part !== "");
  if (parts.length === 0) return { shares: null };
  const entries: [string, number][] = [];
  for (const part of parts) {
    const [, name, digits] = PART.exec(part) ?? [];
    if (name === undefined) return { problem: `Give "${part}" a share, like "train 90"` };
    if (!NAME.test(name)) return { problem: `"${name}" cannot be the name of a split` };
    if (Number(digits) === 0) return { problem: `The share of "${name}" must be above 0` };
    if (entries.some(([other]) => other === name)) return { problem: `"${name}" is named twice` };
    entries.push([name, Number(digits)]);
  }
  return toFractions(entries);
}

function toFractions(entries: readonly [string, number][]): ParsedShares {
  const total = entries.reduce((sum, [, share]) => sum + share, 0);
  const whole = [1, 100].find((sum) => Math.abs(total / sum - 1) <= TOLERANCE);
  if (whole === undefined) {
    return { problem: `The shares add up to ${Number(total.toFixed(2))}, not to 100` };
  }
  return { shares: Object.fromEntries(entries.map(([name, share]) => [name, share / total])) };
}
