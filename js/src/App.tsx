/** Ties the panel to the bridge; everything below gets props. */

import { useSyncExternalStore } from "react";
import type { Bridge } from "./bridge";
import { DatasetsPanel } from "./DatasetsPanel";
import { useToasts } from "./toasts";
import { useHeightAround } from "./useHeightAround";
import { useIsShown } from "./useIsShown";
import { useOpenHere } from "./useOpenHere";

export interface AppProps {
  bridge: Bridge;
  /** The element that the page gave us. */
  host: Element;
  /** Whether the panel is the page, as in Voila. */
  isPage: boolean;
}

export function App({ bridge, host, isPage }: AppProps) {
  const state = useSyncExternalStore(bridge.subscribe, bridge.snapshot);
  const isShown = useIsShown(host);
  const around = useHeightAround(host, isShown && isPage);
  const { openId, onOpen } = useOpenHere(bridge, isShown);
  const { toasts, dismiss } = useToasts(bridge, host, isShown);
  return (
    <DatasetsPanel
      state={state}
      openId={openId}
      onOpen={onOpen}
      send={bridge.request}
      toasts={toasts}
      onDismissToast={dismiss}
      fillsPage={isPage ? { around } : null}
    />
  );
}
