/** Ties the panel to the bridge; everything below gets props. */

import { useSyncExternalStore } from "react";
import type { Bridge } from "./bridge";
import { DatasetsPanel } from "./DatasetsPanel";
import { useToasts } from "./toasts";

export interface AppProps {
  bridge: Bridge;
  fullHeight: boolean;
}

export function App({ bridge, fullHeight }: AppProps) {
  const state = useSyncExternalStore(bridge.subscribe, bridge.snapshot);
  const { toasts, dismiss } = useToasts(bridge);
  return (
    <DatasetsPanel
      state={state}
      send={bridge.request}
      toasts={toasts}
      onDismissToast={dismiss}
      fullHeight={fullHeight}
    />
  );
}
