/**
 * The entry that anywidget calls, once for each view.
 *
 * The folders, each of which knows only those before it: `kernel` (requests, and the only file
 * that touches the model), `ui` (what every part is made of), `tokenization`, then `samples`,
 * `statistics`, `list` (the cards) and `forms`, which do not know each other, and `detail` (the
 * dialog of a dataset). `protocol.gen.ts` is the wire, generated from the kernel's records.
 */

import { createRoot } from "react-dom/client";
import { App } from "./App";
import { createBridge, type Model } from "./kernel/bridge";
import { adoptStyles, keepTypingInside, showOnTopAgain, watchConnection } from "./shadow";

// slate-950, of which panel.root is
const SURFACE = "#020617";

export interface RenderProps {
  model: Model;
  el: HTMLElement;
}

function render({ model, el }: RenderProps): () => void {
  // JupyterLab looks for the attribute on the focused element, which from outside a shadow root
  // is its host: without it, typing "dd" in a field deletes notebook cells
  el.dataset["lmSuppressShortcuts"] = "true";
  el.tabIndex = -1;

  const shadow = el.shadowRoot ?? el.attachShadow({ mode: "open" });
  const container = el.ownerDocument.createElement("div");
  container.className = "panel-container";
  const connection = watchConnection(el.ownerDocument, () => {
    adoptStyles(shadow);
    showOnTopAgain(shadow);
  });
  shadow.replaceChildren(container, connection);
  adoptStyles(shadow);
  keepTypingInside(shadow);

  const bridge = createBridge(model);
  const root = createRoot(container);
  const inVoila = isInVoila(el.ownerDocument);
  if (inVoila) blendIn(el.ownerDocument.body);
  root.render(<App bridge={bridge} host={el} isPage={inVoila} />);

  return () => {
    root.unmount();
    bridge.close();
    shadow.replaceChildren();
  };
}

// Voila's page templates mark their body, also below a JupyterHub or a proxy
function isInVoila(page: Document): boolean {
  return page.body.dataset["voila"] !== undefined;
}

/** Give a dark page the panel's own surface; a light one has dark text, which must stay legible. */
function blendIn(body: HTMLElement): void {
  if (body.dataset["jpThemeLight"] !== "false") return;
  for (const layer of ["--jp-layout-color0", "--jp-layout-color1"]) {
    body.style.setProperty(layer, SURFACE);
  }
}

export default { render };
