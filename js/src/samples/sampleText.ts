/** The text of a sample, cut where the search's hits begin and end. */

import type { Sample } from "../protocol.gen";

export interface Piece {
  text: string;
  isHit: boolean;
}

const PREVIEW_CHARS = 800;
const BEFORE_HIT_CHARS = 60;
/** A hit that begins further on is not among the first three lines. */
const SEEN_CHARS = 200;

/** All that there is of the text. */
export function piecesOf({ text, highlights }: Pick<Sample, "text" | "highlights">): Piece[] {
  return cut(charactersOf(text ?? ""), rangesOf(highlights));
}

/** What fits into three lines, the first hit among it. */
export function previewOf({ text, highlights }: Pick<Sample, "text" | "highlights">): Piece[] {
  const characters = charactersOf(text ?? "");
  const ranges = rangesOf(highlights);
  const hit = ranges[0]?.[0] ?? 0;
  const start = hit > SEEN_CHARS ? hit - BEFORE_HIT_CHARS : 0;
  const shown = characters.slice(start, start + PREVIEW_CHARS);
  const moved = ranges
    .map(([low, high]) => [low - start, Math.min(high - start, shown.length)] as const)
    .filter(([low]) => low < shown.length);
  const pieces = cut(shown, moved);
  if (start > 0) pieces.unshift({ text: "…", isHit: false });
  return pieces;
}

type Range = readonly [start: number, end: number];

// the kernel counts code points, JavaScript's strings count UTF-16 units
function charactersOf(text: string): string[] {
  return Array.from(text);
}

// the schema's pairs come out of the generator as lists
function rangesOf(highlights: Sample["highlights"]): Range[] {
  return highlights as unknown as Range[];
}

function cut(characters: readonly string[], ranges: readonly Range[]): Piece[] {
  const pieces: Piece[] = [];
  const add = (start: number, end: number, isHit: boolean) => {
    if (end > start) pieces.push({ text: characters.slice(start, end).join(""), isHit });
  };
  let at = 0;
  for (const [start, end] of ranges) {
    add(at, start, false);
    add(start, end, true);
    at = end;
  }
  add(at, characters.length, false);
  return pieces;
}
