/** The small parts that everything is built from. Their looks are those of the mock. */

import { Loader, X } from "lucide-react";
import {
  type ButtonHTMLAttributes,
  type MouseEvent,
  type ReactNode,
  useEffect,
  useLayoutEffect,
  useRef,
} from "react";
import { capitalize, clampPercent, formatPercent } from "./format";
import { Linked } from "./Linked";

/** Joins class names, leaving out what is false. */
export function classes(...names: (string | false | null | undefined)[]): string {
  return names.filter(Boolean).join(" ");
}

const BUTTON_LOOKS = {
  primary: "bg-emerald-600 text-white font-medium hover:bg-emerald-700",
  neutral: "bg-slate-800 text-slate-100 hover:bg-slate-700",
  danger: "bg-red-600 text-white font-medium hover:bg-red-700",
} as const;

export interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  look?: keyof typeof BUTTON_LOOKS;
  /** Whether it works already: it does no more, but keeps the focus, which one that is disabled loses. */
  isBusy?: boolean;
  /** Name for tests, see the list of parts. */
  part?: string;
}

export function Button({
  look = "primary",
  part,
  className,
  type = "button",
  isBusy = false,
  onClick,
  ...rest
}: ButtonProps) {
  return (
    <button
      type={type}
      data-part={part}
      aria-disabled={isBusy || undefined}
      onClick={isBusy ? undefined : onClick}
      className={classes(
        "flex items-center justify-center gap-2 rounded px-4 py-2 transition-colors",
        "disabled:cursor-not-allowed disabled:bg-slate-700",
        "aria-disabled:cursor-not-allowed aria-disabled:bg-slate-700",
        BUTTON_LOOKS[look],
        className,
      )}
      {...rest}
    />
  );
}

export interface IconButtonProps {
  label: string;
  icon: ReactNode;
  onPress: () => void;
  disabled?: boolean;
  danger?: boolean;
  part?: string;
}

/** A small icon with a name; pressing it does not press the card around it. */
export function IconButton({ label, icon, onPress, disabled, danger, part }: IconButtonProps) {
  const press = (event: MouseEvent) => {
    event.stopPropagation();
    onPress();
  };
  return (
    <button
      type="button"
      data-part={part}
      aria-label={label}
      title={label}
      disabled={disabled}
      onClick={press}
      className={classes(
        "-my-px ml-2 rounded p-1.5 text-slate-500 transition-colors",
        "disabled:cursor-not-allowed disabled:opacity-50",
        danger
          ? "enabled:hover:bg-red-500/10 enabled:hover:text-red-400"
          : "enabled:hover:bg-slate-800 enabled:hover:text-slate-200",
      )}
    >
      {icon}
    </button>
  );
}

const BADGES: Readonly<Record<string, string>> = {
  downloading: "bg-blue-500/20 text-blue-400 border-blue-500/30",
  processing: "bg-yellow-500/20 text-yellow-400 border-yellow-500/30",
  error: "bg-red-500/20 text-red-400 border-red-500/30",
};
const READY_BADGE = "bg-emerald-500/20 text-emerald-400 border-emerald-500/30";

/** Which of the mock's looks a status has; "tokenizing" and "queued" look like processing. */
export function lookOf(status: string): string {
  if (status === "paused") return "downloading";
  if (status === "tokenizing" || status === "queued") return "processing";
  return status === "ready" || status in BADGES ? status : "unknown";
}

export function Badge({ status }: { status: string }) {
  const look = lookOf(status);
  return (
    <span
      data-part={`badge.${look}`}
      className={classes(
        "inline-flex items-center rounded-full border px-3 py-1 text-xs font-medium",
        BADGES[look] ?? READY_BADGE,
      )}
    >
      {capitalize(status)}
    </span>
  );
}

export interface ProgressBarProps {
  percent: number;
  caption: string;
  label: string;
  part: string;
  /** Whether nothing moves until a person says so. */
  isPaused?: boolean;
}

export function ProgressBar({ percent, caption, label, part, isPaused }: ProgressBarProps) {
  const value = clampPercent(percent);
  return (
    <>
      <div data-part="progress.wrap" className="mt-4">
        <div
          data-part="progress.track"
          role="progressbar"
          aria-label={label}
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={Number(value.toFixed(1))}
          aria-valuetext={formatPercent(value)}
          className="h-2 w-full overflow-hidden rounded-full bg-slate-800"
        >
          <div
            data-part={part}
            className={classes(
              "h-full transition-all duration-300",
              isPaused ? "bg-slate-500" : "bg-gradient-to-r from-blue-500 to-blue-400",
            )}
            style={{ width: `${value}%` }}
          />
        </div>
      </div>
      <p data-part="progress.caption" className="mt-1 text-xs tabular-nums text-slate-400">
        {caption}
      </p>
    </>
  );
}

export interface ErrorBoxProps {
  message: string;
  hint?: string | null | undefined;
  title?: string;
  className?: string;
}

/** What went wrong, and under it what would work. */
export function ErrorBox({ message, hint, title, className }: ErrorBoxProps) {
  return (
    <div
      data-part="error.box"
      className={classes(
        "break-anywhere rounded border border-red-500/30 bg-red-500/10 p-3 text-sm text-red-400",
        className,
      )}
    >
      {title !== undefined && <p className="font-semibold">{title}</p>}
      <bdi>{message}</bdi>
      {hint && (
        <p className="mt-1 text-red-300">
          <Linked text={hint} />
        </p>
      )}
    </div>
  );
}

export function Spinner({ size = 16, part }: { size?: number; part?: string }) {
  return <Loader data-part={part} size={size} className="animate-spin" aria-hidden="true" />;
}

/** Something takes a moment; said to those who do not see it, too. */
export function Loading({ children }: { children: ReactNode }) {
  return (
    <div role="status" data-part="loading" className="py-12 text-center text-slate-400">
      <div
        aria-hidden="true"
        className="mx-auto mb-4 h-8 w-8 animate-spin rounded-full border-4 border-slate-700 border-t-emerald-500"
      />
      {children}
    </div>
  );
}

/** In place of what is read as soon as the kernel can be asked again. */
export function Unanswered({ children }: { children: ReactNode }) {
  return (
    <p role="status" data-part="unanswered" className="text-sm text-slate-400">
      {children} cannot be read now: why stands above
    </p>
  );
}

export interface EmptyStateProps {
  icon: ReactNode;
  title: string;
  children: ReactNode;
}

/** Nothing is here, and why. */
export function EmptyState({ icon, title, children }: EmptyStateProps) {
  return (
    <div data-part="nothing" className="py-12 text-center">
      <div aria-hidden="true" className="mb-4 flex justify-center text-slate-600">
        {icon}
      </div>
      <p className="text-lg text-slate-400">{title}</p>
      <p data-part="nothing.text" className="mt-2 text-slate-500">
        {children}
      </p>
    </div>
  );
}

export interface DialogProps {
  labelledBy: string;
  describedBy?: string;
  onClose: () => void;
  children: ReactNode;
  role?: "dialog" | "alertdialog";
  panelClassName: string;
  /** Whether it is closed already, and only fades away. */
  isLeaving?: boolean;
  /** What stands above the panel, and stays usable while all else of the page is not. */
  above?: ReactNode;
}

/**
 * A modal dialog over the whole page. It is a native one: JupyterLab's panels trap whatever is
 * merely `position: fixed`. Escape and a press beside the panel close it, and the focus goes
 * back to where it was.
 */
export function Dialog(props: DialogProps) {
  const { labelledBy, describedBy, onClose, children, role, panelClassName, above } = props;
  const isLeaving = props.isLeaving ?? false;
  const dialog = useRef<HTMLDialogElement>(null);
  const pressed = useRef<EventTarget | null>(null);
  const close = useRef(onClose);
  useEffect(() => {
    close.current = onClose;
  }, [onClose]);

  useLayoutEffect(() => {
    const element = dialog.current;
    if (element === null) return;
    const root = element.getRootNode();
    const before = focusedIn(element);
    element.showModal();
    return () => {
      element.close();
      if (before?.isConnected) before.focus();
      else focusHeading(root);
    };
  }, []);

  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape does for the keyboard what a press beside the panel does
    <dialog
      ref={dialog}
      role={role}
      aria-modal="true"
      aria-labelledby={labelledBy}
      aria-describedby={describedBy}
      data-part="modal.backdrop"
      onCancel={(event) => {
        event.preventDefault();
        close.current();
      }}
      // the browser itself closes at a second Escape, whatever was said to the first
      onClose={() => close.current()}
      // JupyterLab's own menu would open below the dialog, and the browser's would not open
      onContextMenu={(event) => event.stopPropagation()}
      onPointerDown={(event) => {
        pressed.current = event.target;
      }}
      onClick={(event) => {
        // a selection dragged out of the panel ends on the backdrop but did not begin there
        const outside = event.target === event.currentTarget;
        if (outside && pressed.current === event.target) close.current();
      }}
      className={classes(
        "fixed inset-0 z-50 m-0 h-full max-h-none w-full max-w-none items-center justify-center",
        "bg-black/50 p-4 text-slate-100 open:flex",
        isLeaving ? "animate-backdrop-out" : "animate-backdrop-in",
      )}
    >
      <div
        data-part="modal.panel"
        className={classes(
          "flex max-h-[90vh] w-full flex-col overflow-hidden rounded-lg bg-slate-900 shadow-2xl",
          isLeaving ? "pointer-events-none animate-dialog-out" : "animate-dialog-in",
          panelClassName,
        )}
      >
        {children}
      </div>
      {above}
    </dialog>
  );
}

function focusedIn(element: Element): HTMLElement | null {
  const root = element.getRootNode();
  const scope = root instanceof ShadowRoot ? root : element.ownerDocument;
  return scope.activeElement as HTMLElement | null;
}

/** Give the focus that is in `leaving` to a heading: it would be lost with what had it. */
export function passFocusOn(leaving: Element): void {
  const root = leaving.getRootNode();
  const focused = root instanceof ShadowRoot ? root.activeElement : null;
  if (leaving.contains(focused)) focusHeading(root);
}

/**
 * Go on where something was that had the focus and is gone, as the card of a deleted dataset. Below
 * a modal dialog nothing takes the focus; what is in it comes last.
 */
function focusHeading(root: Node): void {
  if (!(root instanceof ShadowRoot)) return;
  for (const heading of root.querySelectorAll<HTMLElement>("[data-takes-focus]")) heading.focus();
}

export interface ToastProps {
  text: string;
  hint?: string | null;
  isError: boolean;
  onDismiss: () => void;
}

export function Toast({ text, hint, isError, onDismiss }: ToastProps) {
  return (
    <div
      data-part="toast"
      className={classes(
        "pointer-events-auto flex max-w-sm items-start gap-3 rounded-lg border bg-slate-900 p-3",
        "text-sm shadow-2xl",
        isError ? "border-red-500/30 text-red-400" : "border-slate-700 text-slate-200",
      )}
    >
      <div className="break-anywhere min-w-0">
        <p className="line-clamp-4">{text}</p>
        {hint && <p className="mt-1 line-clamp-4 text-slate-400">{hint}</p>}
      </div>
      <button
        type="button"
        aria-label="Dismiss"
        onClick={onDismiss}
        className="shrink-0 text-slate-400 hover:text-slate-200"
      >
        <X size={16} aria-hidden="true" />
      </button>
    </div>
  );
}
