/**
 * The one file that touches the widget's model: traits come in as one store, requests go out
 * and are matched with their replies, events are passed on.
 */

import { startHeartbeat } from "./heartbeat";
import type { PanelState, Protocol } from "./protocol.gen";
import { createRequests, newRequestId, type Send } from "./requests";

/** What we use of anywidget's model. */
export interface Model {
  get(name: string): unknown;
  on(event: string, callback: (...args: never[]) => void): void;
  off(event: string, callback: (...args: never[]) => void): void;
  send(content: unknown): unknown;
}

export type KernelEvent = Protocol["event"];

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

export function createBridge(model: Model): Bridge {
  const listeners = new Set<() => void>();
  const eventListeners = new Set<(event: KernelEvent) => void>();
  let snapshot: Snapshot = { ...readTraits(model, null), connected: true };

  const update = (next: Snapshot) => {
    snapshot = next;
    for (const listener of listeners) listener();
  };
  const requests = createRequests((message) => post(model, message));
  const heartbeat = startHeartbeat(
    () => post(model, { kind: "ping", request_id: newRequestId() }),
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
      requests.settle(content["request_id"], content);
    }
  };

  for (const name of TRAITS) model.on(`change:${name}`, onTraits);
  model.on("msg:custom", onMessage);

  return {
    snapshot: () => snapshot,
    subscribe: (callback) => addTo(listeners, callback),
    onEvent: (callback) => addTo(eventListeners, callback),
    request: requests.request,
    close() {
      heartbeat.stop();
      for (const name of TRAITS) model.off(`change:${name}`, onTraits);
      model.off("msg:custom", onMessage);
      requests.close();
    },
  };
}

// a closed comm throws or rejects; either way no answer comes, and that is what counts
function post(model: Model, message: object) {
  try {
    Promise.resolve(model.send(message)).catch(() => undefined);
  } catch {
    return;
  }
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

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function addTo<Item>(set: Set<Item>, item: Item): () => void {
  set.add(item);
  return () => set.delete(item);
}
