import { act, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { RequestError } from "../kernel/requests";
import type { DownloadPlan } from "../protocol.gen";
import { aPlan } from "../testing/wire";
import { DownloadForm } from "./DownloadForm";

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

interface Asked {
  kind: string;
  params: Record<string, unknown>;
  signal: AbortSignal;
  answer: (plan?: Partial<DownloadPlan>) => Promise<void>;
  refuse: (code: string, hint?: string, choices?: string[]) => Promise<void>;
}

function show(disabled = false) {
  const asked: Asked[] = [];
  const send = (kind: string, params: Asked["params"], options?: { signal: AbortSignal }) =>
    new Promise((resolve, reject) => {
      const signal = options?.signal ?? new AbortController().signal;
      signal.addEventListener("abort", () => reject(signal.reason));
      asked.push({
        kind,
        params,
        signal,
        answer: (change) => act(async () => resolve(aPlan({ ...params, ...change }))),
        refuse: (code, hint = "Do this.", choices = []) =>
          act(async () => {
            const message = `It is ${code}.`;
            reject(new RequestError({ code, message, hint, field: null, choices }));
          }),
      });
    });
  const form = (isDisabled: boolean) => (
    <DownloadForm
      autoTokenize={null}
      knownTokenizers={[]}
      send={send as never}
      disabled={isDisabled}
    />
  );
  const { container, rerender } = render(form(disabled));
  const part = (name: string) => container.querySelector<HTMLElement>(`[data-part~="${name}"]`);
  const field = (name: string) => part(`form.input.${name}`) as HTMLInputElement;
  return {
    asked,
    part,
    field,
    type: (name: string, value: string) => fireEvent.change(field(name), { target: { value } }),
    suggested: (name: string) => [...(field(name).list?.options ?? [])].map(({ value }) => value),
    connect: (isConnected: boolean) => rerender(form(!isConnected)),
    last: () => asked.at(-1) as Asked,
  };
}

const wait = (seconds: number) => act(() => void vi.advanceTimersByTime(seconds * 1000));

it("asks when the typing has stopped, for all that the form holds", async () => {
  const { asked, type, part } = show();
  expect(part("plan")).toBeNull();
  for (const text of ["a", "ac", "acme/", "acme/b", "acme/bo"]) {
    type("repo", text);
    wait(0.5);
  }
  expect(asked).toEqual([]);
  wait(0.1);
  expect(asked.map(({ kind, params }) => [kind, params])).toEqual([
    ["plan_download", { repo_id: "acme/bo" }],
  ]);
  expect(part("plan")?.getAttribute("aria-busy")).toBe("true");
  type("config", "en");
  type("split", " test, train,");
  type("token", "hf_x");
  wait(1);
  const all = { repo_id: "acme/bo", hf_token: "hf_x", split: ["test", "train"], config: "en" };
  expect(asked.slice(1).map(({ params }) => params)).toEqual([all]);
});

it("asks at once when a field is left, and only once", async () => {
  const { asked, type, field } = show();
  type("repo", "a/b");
  fireEvent.blur(field("repo"));
  expect(asked).toHaveLength(1);
  fireEvent.blur(field("split"));
  wait(5);
  expect(asked).toHaveLength(1);
});

it("shows what would be downloaded", async () => {
  const { last, type, part, suggested } = show();
  type("repo", "a/b");
  wait(1);
  const configs = { en: ["train", "test"], fr: ["train"] };
  await last().answer({ configs, config: "en", splits: ["train"], description: "Tales.\n\nMore." });
  const facts = ["config", "splits", "files", "samples", "download", "disk", "access"];
  expect(facts.map((name) => part(`plan.${name}`)?.textContent)).toEqual([
    "Configen1 of 2: en, fr",
    "Splitstrain1 of 2: train, test",
    "Files1at commit f54c09f",
    "Samples2,141,709",
    "Download957.86 MB237.46 MB of it from your HuggingFace cache",
    "On Disk957.86 MB49.19 GB free",
    "Not gated",
  ]);
  expect(part("plan.description")?.textContent).toBe("Tales.\n\nMore.");
  expect(part("plan.unfit")).toBeNull();
  expect(part("plan")?.getAttribute("aria-busy")).toBe("false");
  expect([suggested("config"), suggested("split")]).toEqual([
    ["en", "fr"],
    ["train", "test"],
  ]);
  type("config", "fr");
  expect([suggested("config"), suggested("split")]).toEqual([["en", "fr"], ["train"]]);
});

it("offers what there is when what was asked for is not there, also while typing on", async () => {
  const { last, type, suggested } = show();
  type("repo", "a/b");
  wait(1);
  await last().refuse("config_not_found", "Choose one config: en, fr.", ["en", "fr"]);
  expect([suggested("config"), suggested("split")]).toEqual([["en", "fr"], []]);
  type("config", "f");
  expect(suggested("config")).toEqual(["en", "fr"]);
  wait(1);
  await last().refuse("hub_unavailable");
  expect(suggested("config")).toEqual(["en", "fr"]);
  type("config", "fr");
  type("split", "dev");
  wait(1);
  await last().refuse("split_not_found", "It has: train, test.", ["train", "test"]);
  expect([suggested("config"), suggested("split")]).toEqual([
    ["en", "fr"],
    ["train", "test"],
  ]);
  type("config", "en");
  expect(suggested("split")).toEqual([]);
  type("repo", "a/c");
  wait(1);
  await last().refuse("split_not_found", "It has: all.", ["all"]);
  expect([suggested("config"), suggested("split")]).toEqual([[], ["all"]]);
  type("config", "");
  wait(1);
  await last().refuse("split_not_found", "It has: all.", ["all"]);
  expect(suggested("split")).toEqual(["all"]);
});

it("says what is not known, and what does not fit", async () => {
  const { last, type, part } = show();
  type("repo", "a/b");
  wait(1);
  const change = { num_samples: null, cached_bytes: 0, gated: true, fits: false, free_bytes: 1 };
  await last().answer(change);
  expect(part("plan.samples")?.textContent).toBe("Samples–");
  expect(part("plan.splits")?.textContent).toContain("all of them");
  expect(part("plan.config")?.textContent).toBe("Configdefault");
  expect(part("plan.download")?.textContent).toBe("Download957.86 MB");
  expect(part("plan.access")?.textContent).toBe("Gated, you have access");
  expect(part("plan.unfit")?.textContent).toMatch(/Delete .* needed, or choose one split\.$/);
  expect(part("plan.disk")?.querySelector(".text-red-400")).not.toBeNull();
});

it("never shows a plan under what was typed later", async () => {
  const { asked, last, type, part, suggested } = show();
  type("repo", "a/b");
  wait(1);
  const first = last();
  type("repo", "a/bc");
  expect(first.signal.aborted).toBe(true);
  await first.answer();
  expect(part("plan.files")?.textContent).toBe("Files–");
  wait(1);
  await last().answer();
  expect(part("plan.files")?.textContent).toContain("1");
  expect(suggested("config")).toEqual(["default"]);
  type("repo", "a/bcd");
  expect(part("plan.files")?.textContent).toBe("Files–");
  expect(suggested("config")).toEqual([]);
  type("repo", "");
  expect(part("plan")).toBeNull();
  wait(5);
  expect(asked).toHaveLength(2);
});

it.each([
  ["repo_not_found", "repo"],
  ["gated", "token"],
  ["hub_auth", "token"],
  ["config_not_found", "config"],
  ["split_not_found", "split"],
])("says in its place that it is %s, and marks the field %s", async (code, name) => {
  const { last, type, part, field } = show();
  type("repo", "a/b");
  wait(1);
  await last().refuse(code, "See https://hub.example/a/b.");
  expect(part("error.box")?.textContent).toBe(`It is ${code}.See https://hub.example/a/b.`);
  expect(screen.getByRole("link").getAttribute("href")).toBe("https://hub.example/a/b");
  expect(field(name).getAttribute("aria-invalid")).toBe("true");
  type(name, "a/c");
  expect(part("error.box")).toBeNull();
  expect(field(name).getAttribute("aria-invalid")).toBeNull();
});

it("lets a download start without a plan", async () => {
  const { asked, last, type, part } = show();
  type("repo", "a/b");
  wait(1);
  await last().refuse("hub_unavailable");
  const button = part("form.button") as HTMLButtonElement;
  expect(button.disabled).toBe(false);
  fireEvent.click(button);
  expect(asked.map(({ kind }) => kind)).toEqual(["plan_download", "download"]);
  await last().answer();
  expect(part("plan")).toBeNull();
  wait(5);
  expect(asked).toHaveLength(2);
});

it("asks nothing while the kernel does not answer", async () => {
  const { asked, type, connect } = show(true);
  type("repo", "a/b");
  wait(5);
  expect(asked).toEqual([]);
  connect(true);
  wait(1);
  expect(asked).toHaveLength(1);
  connect(false);
  expect(asked[0]?.signal.aborted).toBe(true);
});
