/** A page may show one panel in several views: the dialog of what is selected opens in one. */

import { useCallback, useEffect, useSyncExternalStore } from "react";
import type { Bridge } from "../kernel/bridge";

/** Those on the screen: the one where a dataset was opened or closed last, then the oldest. */
let views: readonly Bridge[] = [];
const listeners = new Set<() => void>();

function change(next: readonly Bridge[]): void {
  views = next;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The view that shows the dialog of `dataset_id`, of all that would. */
const firstFor = (dataset_id: string | null): Bridge | undefined =>
  views.find((view) => view.snapshot().selected === dataset_id);

/** What is open in this view, and the way to open another here; `isShown`: on the screen. */
export function useOpenHere(bridge: Bridge, isShown: boolean) {
  const { selected } = useSyncExternalStore(bridge.subscribe, bridge.snapshot);
  const chosen = useSyncExternalStore(subscribe, () => firstFor(selected));
  useEffect(() => {
    if (!isShown) return;
    change([...views, bridge]);
    return () => change(views.filter((view) => view !== bridge));
  }, [bridge, isShown]);
  const onOpen = useCallback(
    (dataset_id: string | null) => {
      if (views.includes(bridge)) change([bridge, ...views.filter((view) => view !== bridge)]);
      bridge.select(dataset_id);
    },
    [bridge],
  );
  return { openId: chosen === bridge ? selected : null, onOpen };
}
