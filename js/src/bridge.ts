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
  set(name: string, value: unknown): void;
  save_changes(): void;
  on(event: string, callback: (...args: never[]) => void): void;
  off(event: string, callback: (...args: never[]) => void): void;
  send(content: unknown): unknown;
}

export type KernelEvent = Protocol["event"];

/** What the kernel publishes, what is opened, and whether the kernel answers. */
export interface Snapshot extends PanelState {
  /** The dataset whose dialog is open; the one trait that both sides write. */
  readonly selected: string | null;
  readonly connected: boolean;
}

export interface Bridge {
  /** The same object until something changes; unchanged cards and jobs stay the same objects. */
  snapshot(): Snapshot;
  subscribe(callback: () => void): () => void;
  onEvent(callback: (event: KernelEvent) => void): () => void;
  request: Send;
  select(dataset_id: string | null): void;
  close(): void;
}

const TRAITS = ["datasets", "total", "jobs", "storage", "read_only", "version"] as const;

export function createBridge(model: Model): Bridge {
  const listeners = new Set<() => void>();
  const eventListeners = new Set<(event: KernelEvent) => void>();
  let snapshot: Snapshot = {
    ...readTraits(model, null),
    selected: readSelected(model),
    connected: true,
  };

  const update = (next: Snapshot) => {
    snapshot = next;
    for (const listener of listeners) listener();
  };
  const requests = createRequests((message) => quietly(() => model.send(message)));
  const heartbeat = startHeartbeat(
    () => quietly(() => model.send({ kind: "ping", request_id: newRequestId() })),
    (connected) => update({ ...snapshot, connected }),
  );

  const onTraits = () => {
    heartbeat.heard();
    const before = snapshot;
    update({ ...snapshot, ...readTraits(model, snapshot), selected: readSelected(model) });
    if (isGone(before, snapshot)) select(null);
  };
  // not a sign of life: we hear of what we set ourselves, too
  const onSelected = () => update({ ...snapshot, selected: readSelected(model) });
  const select = (dataset_id: string | null) => {
    model.set("selected", dataset_id);
    quietly(() => model.save_changes());
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
  model.on("change:selected", onSelected);
  model.on("msg:custom", onMessage);

  return {
    snapshot: () => snapshot,
    subscribe: (callback) => addTo(listeners, callback),
    onEvent: (callback) => addTo(eventListeners, callback),
    request: requests.request,
    select,
    close() {
      heartbeat.stop();
      for (const name of TRAITS) model.off(`change:${name}`, onTraits);
      model.off("change:selected", onSelected);
      model.off("msg:custom", onMessage);
      requests.close();
    },
  };
}

// a closed comm throws or rejects; either way no answer comes, and that is what counts
function quietly(send: () => unknown) {
  try {
    Promise.resolve(send()).catch(() => undefined);
  } catch {
    return;
  }
}

function readSelected(model: Model): string | null {
  const selected = model.get("selected");
  return typeof selected === "string" ? selected : null;
}

/**
 * Whether the selected dataset was there and is not any more. One still to come may wait, and
 * where not all are listed it may only be off the list.
 */
function isGone(before: Snapshot, { selected, datasets, total }: Snapshot): boolean {
  const has = (list: Snapshot["datasets"]) => list.some(({ id }) => id === selected);
  const areAllListed = datasets.length >= total;
  return selected !== null && areAllListed && has(before.datasets) && !has(datasets);
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
