/**
 * The one file that touches the widget's model: traits come in as one store, requests go out
 * and are matched with their replies, events are passed on.
 */

import { startHeartbeat } from "./heartbeat";
import type { ErrorInfo, PanelState, Protocol, Results } from "./protocol.gen";

/** What we use of anywidget's model. */
export interface Model {
  get(name: string): unknown;
  on(event: string, callback: (...args: never[]) => void): void;
  off(event: string, callback: (...args: never[]) => void): void;
  send(content: unknown): unknown;
}

export type Kind = keyof Results;
export type KernelEvent = Protocol["event"];
/** The parameters of a request, without the two fields that the bridge adds. */
export type Params<K extends Kind> = Omit<
  Extract<Protocol["request"], { kind: K }>,
  "kind" | "request_id"
>;
export type Send = <K extends Kind>(
  kind: K,
  params: Params<K>,
  options?: { signal?: AbortSignal },
) => Promise<Results[K]>;

/** A request that was not done, with what would work. */
export class RequestError extends Error {
  readonly code: string;
  readonly hint: string | null;
  readonly field: string | null;

  constructor({ code, message, hint, field }: ErrorInfo) {
    super(message);
    this.name = "RequestError";
    this.code = code;
    this.hint = hint;
    this.field = field;
  }
}

/** The traits, and whether the kernel answers. */
export interface Snapshot extends PanelState {
  readonly connected: boolean;
}

export interface Bridge {
  /** The same object until something changes; unchanged cards and jobs stay the same objects. */
  snapshot(): Snapshot;
  subscribe(callback: () => void): () => void;
  onEvent(callback: (event: KernelEvent) => void): () => void;
  request: Send;
  close(): void;
}

const TRAITS = ["datasets", "total", "jobs", "storage", "read_only", "version"] as const;
const REQUEST_TIMEOUT_S = 60;

interface Pending {
  resolve(result: never): void;
  reject(error: unknown): void;
}

export function createBridge(model: Model): Bridge {
  const listeners = new Set<() => void>();
  const eventListeners = new Set<(event: KernelEvent) => void>();
  const pending = new Map<string, Pending>();
  let snapshot: Snapshot = { ...readTraits(model, null), connected: true };

  const update = (next: Snapshot) => {
    snapshot = next;
    for (const listener of listeners) listener();
  };
  const post = (kind: Kind, request_id: string, params: object) => {
    // a closed comm throws or rejects; either way no answer comes, and that is what counts
    try {
      Promise.resolve(model.send({ kind, request_id, ...params })).catch(() => undefined);
    } catch {
      return;
    }
  };
  const heartbeat = startHeartbeat(
    () => post("ping", newRequestId(), {}),
    (connected) => update({ ...snapshot, connected }),
  );

  const onTraits = () => {
    heartbeat.heard();
    update({ ...readTraits(model, snapshot), connected: snapshot.connected });
  };
  const onMessage = (content: unknown) => {
    if (!isObject(content)) return;
    heartbeat.heard();
    if (typeof content["event"] === "string") {
      for (const listener of eventListeners) listener(content as unknown as KernelEvent);
    } else if (typeof content["request_id"] === "string") {
      settle(pending.get(content["request_id"]), content);
    }
  };

  const request: Send = (kind, params, { signal } = {}) =>
    new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const request_id = newRequestId();
      const abort = () => entry.reject(signal?.reason);
      const timer = setTimeout(() => entry.reject(timeoutError()), REQUEST_TIMEOUT_S * 1000);
      const forget = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
        pending.delete(request_id);
      };
      const entry: Pending = {
        resolve: (result) => {
          forget();
          resolve(result);
        },
        reject: (error) => {
          forget();
          reject(error);
        },
      };
      signal?.addEventListener("abort", abort);
      pending.set(request_id, entry);
      post(kind, request_id, params);
    });

  for (const name of TRAITS) model.on(`change:${name}`, onTraits);
  model.on("msg:custom", onMessage);

  return {
    snapshot: () => snapshot,
    subscribe: (callback) => addTo(listeners, callback),
    onEvent: (callback) => addTo(eventListeners, callback),
    request,
    close() {
      heartbeat.stop();
      for (const name of TRAITS) model.off(`change:${name}`, onTraits);
      model.off("msg:custom", onMessage);
      for (const entry of pending.values()) entry.reject(closedError());
    },
  };
}

// every view of a model gets every reply: those that nobody here waits for belong to another view
function settle(entry: Pending | undefined, reply: Record<string, unknown>) {
  if (entry === undefined) return;
  if (reply["ok"] === true) entry.resolve(reply["result"] as never);
  else entry.reject(new RequestError(reply["error"] as ErrorInfo));
}

function readTraits(model: Model, old: PanelState | null): PanelState {
  const read = <K extends keyof PanelState>(name: K, missing: PanelState[K]) =>
    (model.get(name) ?? missing) as PanelState[K];
  return {
    datasets: keepEqual(old?.datasets, read("datasets", [])),
    jobs: keepEqual(old?.jobs, read("jobs", [])),
    total: read("total", 0),
    storage: read("storage", null),
    read_only: read("read_only", true),
    version: read("version", ""),
  };
}

/** The new list, with the old object wherever an item says the same: React skips those. */
function keepEqual<Item extends { id: string }>(old: Item[] | undefined, fresh: Item[]): Item[] {
  if (old === undefined) return fresh;
  const byId = new Map(old.map((item) => [item.id, item]));
  const kept = fresh.map((item) => {
    const known = byId.get(item.id);
    return known !== undefined && JSON.stringify(known) === JSON.stringify(item) ? known : item;
  });
  return kept.length === old.length && kept.every((item, at) => item === old[at]) ? old : kept;
}

function newRequestId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function timeoutError(): RequestError {
  return new RequestError({
    code: "timeout",
    message: `The kernel did not answer within ${REQUEST_TIMEOUT_S} seconds.`,
    hint: "It may be busy with a cell, or gone. What it was asked to do may still happen.",
    field: null,
  });
}

function closedError(): RequestError {
  return new RequestError({
    code: "closed",
    message: "The panel was closed before the kernel answered.",
    hint: null,
    field: null,
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function addTo<Item>(set: Set<Item>, item: Item): () => void {
  set.add(item);
  return () => set.delete(item);
}
