/** Keeps what is going away for as long as its leave takes. */

import { useEffect, useState } from "react";

/** As long as the animations in tailwind.config.mjs. */
export const LEAVE_MS = 150;

export interface Presence<Item> {
  /** What is there, or was until a moment ago. */
  shown: Item | null;
  isLeaving: boolean;
}

/** Who wants no motion does not wait for it. */
export function usePresence<Item>(item: Item | null): Presence<Item> {
  const [last, setLast] = useState(item);
  if (item !== null && item !== last) setLast(item);
  const isLeaving = item === null && last !== null && !wantsNoMotion();
  useEffect(() => {
    if (item !== null) return;
    const timer = setTimeout(() => setLast(null), LEAVE_MS);
    return () => clearTimeout(timer);
  }, [item]);
  return { shown: isLeaving ? last : item, isLeaving };
}

function wantsNoMotion(): boolean {
  return window.matchMedia("(prefers-reduced-motion: reduce)").matches;
}
