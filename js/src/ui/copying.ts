/** Puts a text on the clipboard. */

/** Returns whether it is there. `near` is an element that may hold the focus for a moment. */
export async function copyText(text: string, near: Element): Promise<boolean> {
  const { clipboard } = near.ownerDocument.defaultView?.navigator ?? {};
  try {
    if (clipboard === undefined) return copySelected(text, near);
    await clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text, near);
  }
}

// browsers have no clipboard where a notebook is reached over plain http, and this still works
function copySelected(text: string, near: Element): boolean {
  const field = near.ownerDocument.createElement("textarea");
  field.value = text;
  field.style.position = "absolute";
  field.style.opacity = "0";
  near.append(field);
  field.select();
  const isCopied = near.ownerDocument.execCommand("copy");
  field.remove();
  return isCopied;
}
