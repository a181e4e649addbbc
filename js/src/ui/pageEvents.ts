/** One page may show several panels, of one manager or of more: each event is told once. */

const CLAIMS = Symbol.for("mistudio_widgets.claims");
const REMEMBERED_S = 10;

interface Page extends Document {
  // every panel has its own copy of this module: what they share is the page
  [CLAIMS]?: Map<string, number>;
}

/** Whether the caller is the first of its page who wants to tell of `event`. */
export function claim(page: Page, event: string): boolean {
  const claims = page[CLAIMS] ?? new Map<string, number>();
  page[CLAIMS] = claims;
  const now = performance.now();
  for (const [claimed, at] of claims) {
    if (now - at > REMEMBERED_S * 1000) claims.delete(claimed);
  }
  if (claims.has(event)) return false;
  claims.set(event, now);
  return true;
}
