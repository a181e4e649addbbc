/**
 * The one file that touches the widget's model: traits come in as one store, requests go out
 * and are matched with their replies, events are passed on.
 */

import type { PanelState, Protocol, Started } from "../protocol.gen";
import { startHeartbeat } from "./heartbeat";
import { createRequests, type Kind, newRequestId, type Send } from "./requests";

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

const TRAITS = [
  "datasets",
  "total",
  "jobs",
  "storage",
  "read_only",
  "auto_tokenize",
  "error",
  "version",
] as const;

/** Requests that make a dataset which was not there before. */
const ADDING: ReadonlySet<Kind> = new Set<Kind>(["download", "import_files"]);
const CONFIRMED_AFTER_S = 3;

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
  /** What replies say was started and the kernel publishes in a moment: its cards are there at once. */
  const started = new Map<string, Started>();
  const requests = createRequests((message) => quietly(() => model.send(message)));
  const heartbeat = startHeartbeat(
    () => quietly(() => model.send({ kind: "ping", request_id: newRequestId() })),
    (connected) => update({ ...snapshot, connected }),
  );

  const onTraits = () => {
    heartbeat.heard();
    readAgain();
  };
  const readAgain = () => {
    const before = snapshot;
    const published = readTraits(model, snapshot);
    for (const { id } of published.datasets) started.delete(id);
    const traits = withStarted(published, [...started.values()]);
    update({ ...snapshot, ...traits, selected: readSelected(model) });
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
  const showStarted = (result: Started) => {
    const { id } = result.dataset;
    if (snapshot.datasets.some((dataset) => dataset.id === id)) return;
    started.set(id, result);
    readAgain();
    // what the kernel has not published by then was gone before it could be
    setTimeout(() => started.delete(id) && readAgain(), CONFIRMED_AFTER_S * 1000);
  };

  for (const name of TRAITS) model.on(`change:${name}`, onTraits);
  model.on("change:selected", onSelected);
  model.on("msg:custom", onMessage);

  return {
    snapshot: () => snapshot,
    subscribe: (callback) => addTo(listeners, callback),
    onEvent: (callback) => addTo(eventListeners, callback),
    async request(kind, params, options) {
      const result = await requests.request(kind, params, options);
      if (ADDING.has(kind)) showStarted(result as Started);
      return result;
    },
    select,
    close() {
      started.clear();
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
    auto_tokenize: read("auto_tokenize", null),
    error: read("error", null),
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

function withStarted(published: PanelState, started: readonly Started[]): PanelState {
  if (started.length === 0) return published;
  const { datasets, total, jobs } = published;
  return {
    ...published,
    datasets: [...started.map(({ dataset }) => dataset), ...datasets],
    total: total + started.length,
    jobs: [...jobs, ...started.map(({ job }) => job)],
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function addTo<Item>(set: Set<Item>, item: Item): () => void {
  set.add(item);
  return () => set.delete(item);
}
