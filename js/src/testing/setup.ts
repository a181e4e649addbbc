import { cleanup } from "@testing-library/react";
import { afterEach, beforeEach, expect, vi } from "vitest";

// nothing is laid out here, so nothing else would say that a panel is on the screen
globalThis.ResizeObserver = class implements ResizeObserver {
  constructor(private readonly callback: ResizeObserverCallback) {}

  observe(): void {
    this.callback([{ contentRect: { width: 800 } } as ResizeObserverEntry], this);
  }

  unobserve(): void {}

  disconnect(): void {}
};

// the page has no top layer here; what is in it stays in the document all the same
HTMLElement.prototype.showPopover ??= function showPopover(this: HTMLElement): void {
  this.dataset["popoverOpen"] = "true";
};
HTMLElement.prototype.hidePopover ??= function hidePopover(this: HTMLElement): void {
  delete this.dataset["popoverOpen"];
};

// React reports its misuse on the console: whatever is said there fails the test
beforeEach(() => {
  vi.spyOn(console, "error");
  vi.spyOn(console, "warn");
});

afterEach(() => {
  cleanup();
  expect(console.error).not.toHaveBeenCalled();
  expect(console.warn).not.toHaveBeenCalled();
});
