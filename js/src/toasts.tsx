/** Short messages for what happened in the background. */

import { useCallback, useEffect, useRef, useState } from "react";
import type { Bridge, KernelEvent } from "./bridge";
import { formatCount, plural } from "./format";
import { classes, Toast } from "./ui";

const SHOWN_S = 6;
const ERROR_SHOWN_S = 15;
const MAX_SHOWN = 4;

export interface ToastMessage {
  id: string;
  text: string;
  hint: string | null;
  isError: boolean;
}

/** The messages to show now: one for each job that ended, gone after a while. */
export function useToasts(bridge: Bridge) {
  const [toasts, setToasts] = useState<ToastMessage[]>([]);
  const timers = useRef(new Set<ReturnType<typeof setTimeout>>());

  const dismiss = useCallback((id: string) => {
    setToasts((shown) => shown.filter((toast) => toast.id !== id));
  }, []);

  useEffect(() => {
    const running = timers.current;
    const stop = bridge.onEvent((event) => {
      const toast = describeEvent(event, nameOf(bridge, event.dataset_id));
      if (toast === null) return;
      setToasts((shown) => [...shown.filter(({ id }) => id !== toast.id), toast].slice(-MAX_SHOWN));
      const timer = setTimeout(
        () => {
          running.delete(timer);
          dismiss(toast.id);
        },
        (toast.isError ? ERROR_SHOWN_S : SHOWN_S) * 1000,
      );
      running.add(timer);
    });
    return () => {
      stop();
      for (const timer of running) clearTimeout(timer);
    };
  }, [bridge, dismiss]);

  return { toasts, dismiss };
}

function nameOf(bridge: Bridge, dataset_id: string): string {
  return bridge.snapshot().datasets.find(({ id }) => id === dataset_id)?.name ?? "Dataset";
}

function describeEvent(event: KernelEvent, name: string): ToastMessage | null {
  if (event.event === "error") {
    const text = `${name}: ${event.error_message}`;
    return { id: event.job_id, text, hint: event.hint, isError: true };
  }
  if (event.event !== "completed") return null;
  const text =
    event.kind === "tokenize"
      ? `${name} is tokenized${event.num_tokens === null ? "" : `: ${plural(event.num_tokens, "token")}`}`
      : `${name} is ready${event.num_samples === null ? "" : `: ${formatCount(event.num_samples)} samples`}`;
  return { id: event.job_id, text, hint: null, isError: false };
}

export interface ToastsProps {
  toasts: readonly ToastMessage[];
  onDismiss: (id: string) => void;
}

/**
 * At the bottom right of the page, wherever the panel is scrolled to: JupyterLab's outputs trap
 * what is merely sticky or fixed, so they are in the browser's top layer.
 */
export function Toasts({ toasts, onDismiss }: ToastsProps) {
  const layer = useRef<HTMLDivElement>(null);
  const isEmpty = toasts.length === 0;
  useEffect(() => {
    const element = layer.current;
    if (isEmpty || element === null) return;
    element.showPopover();
    return () => element.hidePopover();
  }, [isEmpty]);
  return (
    <div role="status" aria-live="polite">
      <div
        ref={layer}
        popover="manual"
        className={classes(
          "pointer-events-none fixed inset-auto bottom-10 right-6 m-0 flex-col items-end gap-2",
          "overflow-visible border-0 bg-transparent p-0 [&:popover-open]:flex",
        )}
      >
        {toasts.map(({ id, ...toast }) => (
          <Toast key={id} {...toast} onDismiss={() => onDismiss(id)} />
        ))}
      </div>
    </div>
  );
}
