/** Short messages for what happened in the background. */

import { useCallback, useEffect, useRef, useState } from "react";
import type { Bridge, KernelEvent } from "../kernel/bridge";
import type { CompletedEvent, ErrorEvent } from "../protocol.gen";
import { capitalize, plural } from "./format";
import { claim } from "./pageEvents";
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

/**
 * The messages to show now: one for each job that ended, gone after a while. Of all the views
 * of a page that are on the screen, one tells.
 */
export function useToasts(bridge: Bridge, host: Element, isShown: boolean) {
  const [toasts, setToasts] = useState<ToastMessage[]>([]);
  const mayTell = useRef(isShown);
  const timers = useRef(new Set<ReturnType<typeof setTimeout>>());

  const dismiss = useCallback((id: string) => {
    setToasts((shown) => shown.filter((toast) => toast.id !== id));
  }, []);

  useEffect(() => {
    mayTell.current = isShown;
  }, [isShown]);

  useEffect(() => {
    const running = timers.current;
    const stop = bridge.onEvent((event) => {
      const toast = describeEvent(event, nameOf(bridge, event.dataset_id));
      if (toast === null || !mayTell.current) return;
      if (!claim(host.ownerDocument, `${event.job_id} ${event.event}`)) return;
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
  }, [bridge, host, dismiss]);

  return { toasts, dismiss };
}

/** Not known while its card is still to come, or off the list. */
function nameOf(bridge: Bridge, dataset_id: string): string | null {
  return bridge.snapshot().datasets.find(({ id }) => id === dataset_id)?.name ?? null;
}

const JOBS = {
  download: "download",
  import: "import",
  tokenize: "tokenization",
  index: "index",
  verify: "verification",
} as const;

function describeEvent(event: KernelEvent, name: string | null): ToastMessage | null {
  if (event.event === "error") return describeFailure(event, name);
  if (event.event !== "completed") return null;
  const text = `${name ?? "A dataset"} is ${describeSuccess(event)}`;
  return { id: event.job_id, text, hint: null, isError: false };
}

function describeSuccess({ kind, num_tokens, num_samples }: CompletedEvent): string {
  if (kind === "verify") return "verified: all files are whole";
  if (kind === "index") return "indexed: searches take moments now";
  const [done, count, unit] =
    kind === "tokenize" ? ["tokenized", num_tokens, "token"] : ["ready", num_samples, "sample"];
  return count === null ? done : `${done}: ${plural(count, unit)}`;
}

function describeFailure(event: ErrorEvent, name: string | null): ToastMessage {
  const { job_id, kind, error_message, hint } = event;
  const failed = capitalize(`${JOBS[kind]} failed`);
  const isNamed = name === null || error_message.includes(name);
  const parts =
    name === null ? [failed, error_message] : [!isNamed && name, error_message || failed];
  return { id: job_id, text: parts.filter(Boolean).join(": "), hint, isError: true };
}

export interface ToastsProps {
  toasts: readonly ToastMessage[];
  onDismiss: (id: string) => void;
}

/**
 * At the bottom right of the page, wherever the panel is scrolled to: JupyterLab's outputs trap
 * what is merely sticky or fixed, so they are in the browser's top layer. Beside an open dialog
 * they would be under it, and dead: they belong inside.
 */
export function Toasts({ toasts, onDismiss }: ToastsProps) {
  const layer = useRef<HTMLDivElement>(null);
  const isEmpty = toasts.length === 0;
  useEffect(() => {
    const element = layer.current;
    if (isEmpty || !element?.isConnected) return;
    element.showPopover();
    return () => element.hidePopover();
  }, [isEmpty]);
  return (
    <div role="status" aria-live="polite">
      <div
        ref={layer}
        popover="manual"
        className={classes(
          "pointer-events-none visible fixed inset-auto bottom-10 right-6 m-0 flex-col items-end gap-2",
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
