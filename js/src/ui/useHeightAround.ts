/** How much of a page the panel leaves to what is around it. */

import { useLayoutEffect, useState } from "react";

/**
 * The height of all that scrolls together with `host`, a page's heading and margins; 0 until
 * it is on the screen, and where nothing scrolls.
 */
export function useHeightAround(host: Element, isShown: boolean): number {
  const [height, setHeight] = useState(0);
  useLayoutEffect(() => {
    if (isShown) setHeight(measure(host));
  }, [host, isShown]);
  return height;
}

function measure(host: Element): number {
  let scroller = host.parentElement;
  while (scroller !== null && scroller.scrollHeight <= scroller.clientHeight) {
    scroller = scroller.parentElement;
  }
  return scroller === null ? 0 : scroller.scrollHeight - host.clientHeight;
}
