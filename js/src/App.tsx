/** Ties the panel to the bridge; everything below gets props. */

import { useSyncExternalStore } from "react";
import { DatasetsPanel } from "./DatasetsPanel";
import type { Bridge } from "./kernel/bridge";
import { useToasts } from "./ui/toasts";
import { useHeightAround } from "./ui/useHeightAround";
import { useIsShown } from "./ui/useIsShown";
import { useOpenHere } from "./ui/useOpenHere";

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
