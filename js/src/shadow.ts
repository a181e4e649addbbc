/** What a shadow root needs again after its host was moved, or shown in another document. */

import styles from "./styles.css";

const sheets = new WeakMap<Document, CSSStyleSheet>();

/** Adopt our stylesheet; a sheet belongs to one document, and the list is emptied by a move. */
export function adoptStyles(shadow: ShadowRoot): void {
  const page = shadow.ownerDocument;
  const Sheet = page.defaultView?.CSSStyleSheet;
  if (Sheet === undefined) return;
  let sheet = sheets.get(page);
  if (sheet === undefined) {
    sheet = new Sheet();
    sheet.replaceSync(styles);
    sheets.set(page, sheet);
  }
  if (!shadow.adoptedStyleSheets.includes(sheet)) shadow.adoptedStyleSheets = [sheet];
}

/**
 * What was detached with its view has left the browser's top layer: a dialog is still open, but
 * no longer modal, and a popover with something in it is hidden.
 */
export function showOnTopAgain(shadow: ShadowRoot): void {
  for (const dialog of shadow.querySelectorAll("dialog")) {
    if (!dialog.open || dialog.matches(":modal")) continue;
    // close() would tell that somebody closed it
    dialog.removeAttribute("open");
    dialog.showModal();
  }
  for (const layer of shadow.querySelectorAll<HTMLElement>("[popover]")) {
    if (layer.childElementCount > 0 && !layer.matches(":popover-open")) layer.showPopover();
  }
}

/**
 * From outside, whatever is typed here seems to be typed into the host. In a cell JupyterLab
 * takes a new line, and undo, for its own and prevents them.
 */
export function keepTypingInside(shadow: ShadowRoot): void {
  shadow.addEventListener("beforeinput", stop);
}

function stop(event: Event): void {
  event.stopPropagation();
}

let elementName: string | null = null;
const callbacks = new WeakMap<Element, () => void>();

/**
 * An empty element that calls back whenever it is put into a document. Only custom elements
 * are told: a move within one task changes nothing that an observer would see.
 */
export function watchConnection(page: Document, onConnect: () => void): HTMLElement {
  const element = page.createElement(elementName ?? defineElement());
  element.hidden = true;
  callbacks.set(element, onConnect);
  return element;
}

function defineElement(): string {
  class Connection extends HTMLElement {
    connectedCallback(): void {
      callbacks.get(this)?.();
    }
  }
  // a name can be taken once in a page, and this module may be loaded twice
  elementName = `mistudio-connection-${crypto.getRandomValues(new Uint32Array(1))[0]}`;
  customElements.define(elementName, Connection);
  return elementName;
}
