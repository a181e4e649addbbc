/** Whether a view has a place on the screen. */

import { useEffect, useState } from "react";

/**
 * False while `element` is in a tab that is not shown. A modal dialog in there would be
 * invisible and yet keep the whole page from being used.
 */
export function useIsShown(element: Element): boolean {
  const [isShown, setIsShown] = useState(false);
  useEffect(() => {
    const observer = new ResizeObserver((entries) => {
      const last = entries.at(-1);
      if (last !== undefined) setIsShown(last.contentRect.width > 0);
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, [element]);
  return isShown;
}
