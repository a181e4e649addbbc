import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Started } from "../protocol.gen";
import { FakeModel } from "../testing/model";
import { aCard, golden, goldenNames, goldenState } from "../testing/wire";
import { type Bridge, createBridge } from "./bridge";
import { RequestError } from "./requests";

let model: FakeModel;
let bridge: Bridge;

beforeEach(() => {
  vi.useFakeTimers();
  model = new FakeModel(goldenState());
  bridge = createBridge(model);
});

afterEach(() => {
  bridge.close();
  vi.useRealTimers();
});

function answer(kind: string, at = 0) {
  const { request_id } = model.requests(kind)[at] ?? {};
  model.reply({ ...golden(`reply_${kind}`), request_id });
}

describe("what was started", () => {
  const started = golden("reply_import_files");
  const { dataset, job } = started["result"] as Started;
  const ask = () => {
    model.publish({ datasets: goldenState().datasets.slice(1), total: 1, jobs: [] });
    const asked = bridge.request("import_files", { paths: ["/a.txt"] });
    answer("import_files");
    return asked;
  };
  const shown = () => bridge.snapshot().datasets.map(({ id }) => id);

  it("has its card from the reply, until the kernel publishes it", async () => {
    await ask();
    expect(shown()).toEqual([dataset.id, goldenState().datasets[1]?.id]);
    expect(bridge.snapshot()).toMatchObject({ total: 2, jobs: [job] });
    // made before it was started, and arriving after it
    model.publish({ storage: null });
    expect(shown()).toContain(dataset.id);
    model.publish({ datasets: goldenState().datasets, total: 2 });
    expect(shown()).toEqual(goldenState().datasets.map(({ id }) => id));
    model.publish({ datasets: goldenState().datasets.slice(1), total: 1 });
    expect(shown()).not.toContain(dataset.id);
  });

  it("is taken away again when the kernel never publishes it", async () => {
    await ask();
    vi.advanceTimersByTime(2_900);
    expect(shown()).toContain(dataset.id);
    vi.advanceTimersByTime(200);
    expect(shown()).not.toContain(dataset.id);
    expect(bridge.snapshot()).toMatchObject({ total: 1, jobs: [] });
  });

  it("of a dataset that was there before is left to the kernel", async () => {
    model.publish({ datasets: [], total: 51 });
    const asked = bridge.request("retry", { dataset_id: dataset.id });
    answer("retry");
    await asked;
    expect(shown()).toEqual([]);
  });

  it("by another view is left to the kernel", () => {
    model.publish({ datasets: [], total: 0 });
    model.reply({ ...started, request_id: "of another view" });
    expect(shown()).toEqual([]);
  });
});

describe("traits", () => {
  it("are one snapshot, the same until something changes", () => {
    expect(bridge.snapshot()).toBe(bridge.snapshot());
    expect(bridge.snapshot()).toMatchObject({ ...goldenState(), connected: true });
  });

  it("keep the objects of what did not change", () => {
    const before = bridge.snapshot();
    const [first, second] = goldenState().datasets;
    if (first === undefined || second === undefined) throw new Error("two datasets are needed");
    const heard = vi.fn();
    bridge.subscribe(heard);
    model.publish({ datasets: [{ ...first, progress: 50 }, second] });
    const after = bridge.snapshot();
    expect(heard).toHaveBeenCalledOnce();
    expect(after.datasets[0]).not.toBe(before.datasets[0]);
    expect(after.datasets[0]?.progress).toBe(50);
    expect(after.datasets[1]).toBe(before.datasets[1]);
    expect(after.jobs).toBe(before.jobs);
  });

  it("follow removal and a new order", () => {
    const [first, second] = bridge.snapshot().datasets;
    model.publish({ datasets: [...goldenState().datasets].reverse(), total: 2 });
    expect(bridge.snapshot().datasets).toEqual([second, first]);
    expect(bridge.snapshot().datasets[1]).toBe(first);
    model.publish({ datasets: [], total: 0 });
    expect(bridge.snapshot()).toMatchObject({ datasets: [], total: 0 });
  });

  it("that are missing make an empty panel that offers nothing", () => {
    const empty = createBridge(new FakeModel({}));
    expect(empty.snapshot()).toMatchObject({ datasets: [], jobs: [], total: 0, read_only: true });
    empty.close();
  });

  it("stop being followed when the view is closed", () => {
    bridge.close();
    expect(model.listenerCount).toBe(0);
  });

  it("stop calling who unsubscribed", () => {
    const heard = vi.fn();
    bridge.subscribe(heard)();
    model.publish({ total: 7 });
    expect(heard).not.toHaveBeenCalled();
  });
});

describe("the selected dataset", () => {
  it("is written through to the kernel", () => {
    bridge.select(aCard().id);
    expect(bridge.snapshot().selected).toBe(aCard().id);
    bridge.select(null);
    expect(bridge.snapshot().selected).toBeNull();
    expect(model.saved).toEqual([aCard().id, null]);
  });

  it("follows the kernel, and is none where the kernel knows no such trait", () => {
    expect(bridge.snapshot().selected).toBeNull();
    model.publish({ selected: aCard().id });
    expect(bridge.snapshot().selected).toBe(aCard().id);
    expect(model.saved).toEqual([]);
  });

  it("is given up when its dataset goes", () => {
    bridge.select(aCard().id);
    model.publish({ datasets: [], total: 0 });
    expect(bridge.snapshot().selected).toBeNull();
    expect(model.saved).toEqual([aCard().id, null]);
  });

  it("may be one that is still to come, and outlives the going of others", () => {
    const [first, second] = goldenState().datasets;
    if (first === undefined || second === undefined) throw new Error("two datasets are needed");
    model.publish({ datasets: [second], total: 1 });
    model.publish({ selected: first.id });
    model.publish({ datasets: [], total: 0 });
    expect(bridge.snapshot().selected).toBe(first.id);
    model.publish({ datasets: [first], total: 1 });
    expect(bridge.snapshot().selected).toBe(first.id);
    expect(model.saved).toEqual([]);
  });

  it("is no sign of life", () => {
    vi.advanceTimersByTime(9_000);
    bridge.select(aCard().id);
    vi.advanceTimersByTime(1_000);
    expect(bridge.snapshot()).toMatchObject({ connected: false, selected: aCard().id });
  });

  it("is opened also when the kernel cannot be told", () => {
    vi.spyOn(model, "save_changes").mockImplementation(() => {
      throw new Error("the comm is closed");
    });
    bridge.select(aCard().id);
    expect(bridge.snapshot().selected).toBe(aCard().id);
  });
});

describe("requests", () => {
  it("carry kind, id and parameters, and resolve with their own reply", async () => {
    const first = bridge.request("delete_dataset", { dataset_id: aCard().id });
    const second = bridge.request("storage", {});
    const [request] = model.requests("delete_dataset");
    expect(request).toEqual({
      kind: "delete_dataset",
      request_id: expect.stringMatching(/^[0-9a-f]{32}$/),
      dataset_id: aCard().id,
    });
    answer("storage");
    answer("delete_dataset");
    expect(await first).toEqual({ freed_bytes: 1004388437 });
    expect(await second).toMatchObject({ num_datasets: 2 });
  });

  it("reject with what the kernel says", async () => {
    const request = bridge.request("retry", { dataset_id: aCard().id });
    const { request_id } = model.requests("retry")[0] ?? {};
    model.reply({ ...golden("failure"), request_id });
    const error = await request.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RequestError);
    expect(error).toMatchObject(golden("failure")["error"] as object);
  });

  it("ignore replies to other views, and what is no message", async () => {
    const request = bridge.request("storage", {});
    for (const noise of [golden("reply_storage"), golden("failure_without_id"), null, "x", [1]]) {
      model.reply(noise);
    }
    answer("storage");
    expect(await request).toMatchObject({ num_datasets: 2 });
    answer("storage");
  });

  it("give up after a minute", async () => {
    const request = bridge.request("storage", {});
    const rejected = expect(request).rejects.toMatchObject({ code: "timeout" });
    await vi.advanceTimersByTimeAsync(60_000);
    await rejected;
  });

  it("wait as long as it takes when they are patient", async () => {
    const request = bridge.request("storage", {}, { isPatient: true });
    await vi.advanceTimersByTimeAsync(600_000);
    answer("storage");
    expect(await request).toMatchObject({ num_datasets: 2 });
  });

  it("can be aborted, before and after they were sent", async () => {
    const abort = new AbortController();
    const request = bridge.request("storage", {}, { signal: abort.signal });
    abort.abort();
    await expect(request).rejects.toMatchObject({ name: "AbortError" });
    const [aborted] = model.requests("storage");
    const [told] = model.requests("abort");
    expect(told).toEqual({
      kind: "abort",
      request_id: expect.stringMatching(/^[0-9a-f]{32}$/),
      aborted_id: aborted?.["request_id"],
    });
    model.reply({ ...golden("failure_cancelled"), request_id: aborted?.["request_id"] });
    answer("abort");
    const late = bridge.request("storage", {}, { signal: abort.signal });
    await expect(late).rejects.toMatchObject({ name: "AbortError" });
    expect(model.requests("storage")).toHaveLength(1);
    expect(model.requests("abort")).toHaveLength(1);
  });

  it("that have their reply are not aborted", async () => {
    const abort = new AbortController();
    const request = bridge.request("storage", {}, { signal: abort.signal });
    answer("storage");
    await request;
    abort.abort();
    expect(model.requests("abort")).toEqual([]);
  });

  it("that are open when the view is closed are rejected", async () => {
    const request = bridge.request("storage", {});
    bridge.close();
    await expect(request).rejects.toMatchObject({ code: "closed" });
  });

  it("through a closed comm end as a lost connection, not as an exception", async () => {
    vi.spyOn(model, "send").mockImplementation(() => {
      throw new Error("Comm is closed");
    });
    const request = bridge.request("storage", {});
    const rejected = expect(request).rejects.toMatchObject({ code: "timeout" });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(bridge.snapshot().connected).toBe(false);
    await vi.advanceTimersByTimeAsync(50_000);
    await rejected;
  });
});

it.each(goldenNames("event_"))("%s is passed on as it came", (name) => {
  const heard = vi.fn();
  const stop = bridge.onEvent(heard);
  model.reply(golden(name));
  expect(heard).toHaveBeenCalledExactlyOnceWith(golden(name));
  stop();
  model.reply(golden(name));
  expect(heard).toHaveBeenCalledOnce();
});

describe("the heartbeat", () => {
  const answerPings = () => {
    for (let at = 0; at < model.requests("ping").length; at += 1) answer("ping", at);
  };

  it("asks at once, then only when nothing was heard for five seconds", () => {
    vi.advanceTimersByTime(0);
    expect(model.requests("ping")).toHaveLength(1);
    answerPings();
    vi.advanceTimersByTime(4_000);
    model.publish({ total: 3 });
    vi.advanceTimersByTime(4_900);
    expect(model.requests("ping")).toHaveLength(1);
    vi.advanceTimersByTime(100);
    expect(model.requests("ping")).toHaveLength(2);
  });

  it("calls the kernel lost after ten seconds without an answer", () => {
    vi.advanceTimersByTime(9_999);
    expect(bridge.snapshot().connected).toBe(true);
    vi.advanceTimersByTime(1);
    expect(bridge.snapshot().connected).toBe(false);
  });

  it("tries again after 1, 2, 4 .. 30 seconds", () => {
    vi.advanceTimersByTime(10_000);
    const counts = [];
    for (const seconds of [1, 2, 4, 8, 16, 30, 30]) {
      model.sent.length = 0;
      vi.advanceTimersByTime(seconds * 1000 - 1);
      const early = model.requests("ping").length;
      vi.advanceTimersByTime(1);
      counts.push([early, model.requests("ping").length]);
    }
    expect(counts).toEqual(Array.from({ length: 7 }, () => [0, 1]));
  });

  it("recovers by itself, and starts over with its patience", () => {
    vi.advanceTimersByTime(25_000);
    answerPings();
    expect(bridge.snapshot().connected).toBe(true);
    vi.advanceTimersByTime(14_999);
    expect(bridge.snapshot().connected).toBe(true);
    vi.advanceTimersByTime(1);
    expect(bridge.snapshot().connected).toBe(false);
    model.publish({ total: 9 });
    expect(bridge.snapshot()).toMatchObject({ connected: true, total: 9 });
  });

  it("stops with the view", () => {
    bridge.close();
    model.sent.length = 0;
    vi.advanceTimersByTime(60_000);
    expect(model.sent).toEqual([]);
  });
});
