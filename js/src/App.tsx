/** Ties the panel to the bridge; everything below gets props. */

import { useSyncExternalStore } from "react";
import type { Bridge } from "./bridge";
import { DatasetsPanel } from "./DatasetsPanel";
import { useToasts } from "./toasts";
import { useIsShown } from "./useIsShown";

export interface AppProps {
  bridge: Bridge;
  /** The element that the page gave us. */
  host: Element;
  fullHeight: boolean;
}

export function App({ bridge, host, fullHeight }: AppProps) {
  const state = useSyncExternalStore(bridge.subscribe, bridge.snapshot);
  const { toasts, dismiss } = useToasts(bridge);
  const isShown = useIsShown(host);
  return (
    <DatasetsPanel
      state={state}
      openId={isShown ? state.selected : null}
      onOpen={bridge.select}
      send={bridge.request}
      toasts={toasts}
      onDismissToast={dismiss}
      fullHeight={fullHeight}
    />
  );
}
