import { act, render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, it, vi } from "vitest";
import { RequestError } from "../kernel/requests";
import type { DatasetCard as Card, JobSnapshot } from "../protocol.gen";
import { deferred } from "../testing/deferred";
import { aCard, aChip, aJob } from "../testing/wire";
import { DatasetCard, type DatasetCardProps } from "./DatasetCard";

function show(dataset: Card, change: Partial<DatasetCardProps> = {}) {
  const props: DatasetCardProps = {
    dataset,
    job: null,
    readOnly: false,
    disabled: false,
    onOpen: vi.fn(),
    onDelete: vi.fn(),
    onPause: vi.fn(async () => aJob()),
    onCancel: vi.fn(async () => aJob({ state: "cancelling" })),
    onRetry: vi.fn(async () => undefined),
    ...change,
  };
  const { container, rerender } = render(<DatasetCard {...props} />);
  const part = (name: string) => container.querySelector(`[data-part~="${name}"]`);
  return { props, container, part, rerender };
}

it("shows the facts of a ready dataset", () => {
  const { part } = show(aCard());
  expect(screen.getByRole("heading", { level: 3 }).textContent).toBe("TinyStories");
  expect(part("card.source")?.textContent).toBe("Source: HuggingFace • roneneldan/TinyStories");
  expect(part("card.size")?.textContent).toBe("Size: 957.86 MB");
  expect(part("card.samples")?.textContent).toBe("Samples: 2,141,709");
  expect(part("chip.tokenized")?.textContent).toBe("Tokenized • gpt2");
  expect(part("badge.ready")?.textContent).toBe("Ready");
  expect(part("card.statusicon.ready")).not.toBeNull();
  expect(part("progress.track")).toBeNull();
  expect(part("error.box")).toBeNull();
});

it.each([
  ["downloading", "card.downloading", "badge.downloading", "Downloading", true],
  ["processing", "card.processing", "badge.processing", "Processing", true],
  ["tokenizing", "card.tokenizing", "badge.processing", "Tokenizing", true],
  ["error", "card.error", "badge.error", "Error", false],
  ["ingesting", "card.unknown", "badge.unknown", "Ingesting", false],
])("a dataset that is %s", (status, card, badge, word, hasProgress) => {
  const { part } = show(aCard({ status: status as Card["status"] }));
  expect(part(card)).not.toBeNull();
  expect(part(badge)?.textContent).toBe(word);
  expect(part("progress.track") !== null).toBe(hasProgress);
});

it("leaves out what is not known", () => {
  const { part } = show(
    aCard({
      repo_id: null,
      source: "local",
      size_bytes: null,
      num_samples: null,
      tokenizations: [],
    }),
  );
  expect(part("card.source")?.textContent).toBe("Source: local");
  expect(part("card.size")).toBeNull();
  expect(part("card.samples")).toBeNull();
  expect(part("chip.tokenized")).toBeNull();
});

it("has a progress bar that tells its value, with amount and speed under it", () => {
  const { part } = show(aCard({ status: "tokenizing" }), { job: aJob() });
  const bar = screen.getByRole("progressbar", { name: "TinyStories: tokenizing" });
  expect(bar.getAttribute("aria-valuenow")).toBe("45.2");
  expect(bar.getAttribute("aria-valuemin")).toBe("0");
  expect(bar.getAttribute("aria-valuemax")).toBe("100");
  expect(part("progress.fill")?.getAttribute("style")).toContain("45.2%");
  expect(part("progress.caption")?.textContent).toBe(
    "45.2% • 968,000 / 2,141,709 samples • 52,346 samples/s",
  );
});

it("explains an error, and what would work", async () => {
  const { props, part } = show(
    aCard({ status: "error", error_message: "It broke.", hint: "Do this.", num_skipped_files: 3 }),
  );
  expect(part("error.box")?.textContent).toBe("It broke.Do this.");
  expect(part("card.skipped")?.textContent).toBe("Skipped: 3 files");
  await userEvent.click(screen.getByRole("button", { name: "Retry" }));
  expect(props.onRetry).toHaveBeenCalledExactlyOnceWith(aCard().id);
  expect(props.onOpen).not.toHaveBeenCalled();
});

it("shows a failed tokenization beside those that are ready", () => {
  const chip = aChip({ tokenization_id: "tok_1" });
  const { container } = show(
    aCard({
      tokenizations: [
        ...["a", "b", "c", "d", "e"].map((name) => ({
          ...chip,
          tokenization_id: name,
          tokenizer_name: name,
          status: "ready" as const,
        })),
        {
          ...chip,
          tokenizer_name: "bad",
          status: "error",
          error_message: "Broken.",
          hint: "Fix it.",
        },
        { ...chip, tokenization_id: "tok_2", tokenizer_name: "worse", status: "error" },
      ],
    }),
  );
  expect(container.querySelectorAll('[data-part~="chip.tokenized"]')).toHaveLength(4);
  expect(screen.getByText("+1 more")).toBeTruthy();
  expect(screen.getByText("Tokenization with bad failed (and 1 more)")).toBeTruthy();
  expect(screen.getByText("Broken.")).toBeTruthy();
  expect(screen.getByText("Fix it.")).toBeTruthy();
});

it.each(["ready", "error", "tokenizing"] as const)(
  "opens when it is %s, by mouse and keys",
  async (status) => {
    const { props, part } = show(aCard({ status }));
    const card = part("card");
    if (card === null) throw new Error("no card");
    await userEvent.click(card);
    expect(props.onOpen).toHaveBeenCalledTimes(1);
    screen.getByRole("button", { name: "TinyStories" }).focus();
    await userEvent.keyboard("{Enter}");
    expect(props.onOpen).toHaveBeenCalledTimes(2);
    expect(props.onOpen).toHaveBeenLastCalledWith(aCard().id);
  },
);

it("does not open while there is nothing to see", async () => {
  const { props, part } = show(aCard({ status: "downloading" }));
  const card = part("card");
  if (card === null) throw new Error("no card");
  await userEvent.click(card);
  expect(props.onOpen).not.toHaveBeenCalled();
  expect(screen.queryByRole("button", { name: "TinyStories" })).toBeNull();
});

it("asks to delete without opening", async () => {
  const { props } = show(aCard());
  await userEvent.click(screen.getByRole("button", { name: "Delete dataset" }));
  expect(props.onDelete).toHaveBeenCalledExactlyOnceWith(aCard().id);
  expect(props.onOpen).not.toHaveBeenCalled();
});

it("cancels the job once, and says so until it is over", async () => {
  const { promise, resolve } = deferred();
  const onCancel = vi.fn(() => promise);
  const dataset = aCard({ status: "tokenizing" });
  const { props, rerender } = show(dataset, { job: aJob(), onCancel });
  expect(screen.queryByRole("button", { name: "Delete dataset" })).toBeNull();
  await userEvent.click(screen.getByRole("button", { name: "Cancel tokenization" }));
  const waiting = screen.getByRole<HTMLButtonElement>("button", { name: "Cancelling…" });
  expect(waiting.disabled).toBe(true);
  await userEvent.click(waiting);
  expect(onCancel).toHaveBeenCalledExactlyOnceWith(aJob().id);
  expect(props.onOpen).not.toHaveBeenCalled();
  rerender(<DatasetCard {...props} job={aJob({ state: "cancelling" })} />);
  resolve();
  await promise;
  expect(screen.getByRole("button", { name: "Cancelling…" })).toBeTruthy();
});

const aDownload = (change: Partial<JobSnapshot> = {}) =>
  aJob({ kind: "download", tokenization_id: null, unit: "bytes", phase: "downloading", ...change });

it.each(["running", "queued"] as const)("pauses a download that is %s", async (state) => {
  const dataset = aCard({ status: "downloading" });
  const { props, part, rerender } = show(dataset, { job: aDownload({ state }) });
  await userEvent.click(screen.getByRole("button", { name: "Pause download" }));
  expect(props.onPause).toHaveBeenCalledExactlyOnceWith(aJob().id);
  expect(screen.getByRole<HTMLButtonElement>("button", { name: "Pausing…" }).disabled).toBe(true);
  const cancel = screen.getByRole<HTMLButtonElement>("button", { name: "Cancel download" });
  expect(cancel.disabled).toBe(false);
  rerender(<DatasetCard {...props} job={aDownload({ state: "paused", per_s: null })} />);
  expect(part("badge.downloading")?.textContent).toBe("Paused");
  expect(part("card.statusicon.downloading")?.getAttribute("class")).not.toContain("animate");
  expect(part("progress.fill")?.className).not.toContain("gradient");
  expect(part("progress.caption")?.textContent).toMatch(/^45\.2% • Paused • /);
  expect(screen.queryByRole("button", { name: /Paus/ })).toBeNull();
});

it("resumes or cancels a download that is paused", async () => {
  const dataset = aCard({ status: "downloading" });
  const { props, rerender } = show(dataset, { job: aDownload({ state: "paused" }) });
  await userEvent.click(screen.getByRole("button", { name: "Resume download" }));
  expect(props.onRetry).toHaveBeenCalledExactlyOnceWith(dataset.id);
  expect(screen.getByRole<HTMLButtonElement>("button", { name: "Resuming…" }).disabled).toBe(true);
  rerender(<DatasetCard {...props} job={aDownload({ state: "queued" })} />);
  expect(screen.getByRole<HTMLButtonElement>("button", { name: /^Pause/ }).disabled).toBe(false);
  rerender(<DatasetCard {...props} job={aDownload({ state: "paused" })} />);
  await userEvent.click(screen.getByRole("button", { name: "Cancel download" }));
  expect(props.onCancel).toHaveBeenCalledExactlyOnceWith(aJob().id);
  expect(screen.getByRole<HTMLButtonElement>("button", { name: "Cancelling…" }).disabled).toBe(
    true,
  );
});

it("offers to pause again when that was refused", async () => {
  const refusal = { code: "not_found", message: "Not mine.", hint: null, field: null };
  show(aCard({ status: "downloading" }), {
    job: aDownload(),
    onPause: () => Promise.reject(new RequestError(refusal)),
  });
  await userEvent.click(screen.getByRole("button", { name: "Pause download" }));
  expect(await screen.findByText("Not mine.")).toBeTruthy();
  const pause = screen.getByRole<HTMLButtonElement>("button", { name: "Pause download" });
  expect(pause.disabled).toBe(false);
});

it("pauses nothing but downloads", () => {
  show(aCard({ status: "processing" }), { job: aJob({ kind: "import" }) });
  expect(screen.getByRole("button", { name: "Cancel import" })).toBeTruthy();
  expect(screen.queryByRole("button", { name: /Pause/ })).toBeNull();
});

it("shows how far a verification is, and cancels it", async () => {
  const job = aJob({ kind: "verify", phase: "verifying", unit: "bytes" });
  const { props, part } = show(aCard(), { job });
  expect(part("badge.ready")?.textContent).toBe("Ready");
  expect(part("progress.caption")?.textContent).toContain("45.2% • Verifying • ");
  expect(screen.queryByRole("button", { name: "Delete dataset" })).toBeNull();
  await userEvent.click(screen.getByRole("button", { name: "Cancel verification" }));
  expect(props.onCancel).toHaveBeenCalledExactlyOnceWith(job.id);
});

it("only says that a download is paused when the kernel is read-only", () => {
  const job = aDownload({ state: "paused" });
  const { part } = show(aCard({ status: "downloading" }), { job, readOnly: true });
  expect(part("badge.downloading")?.textContent).toBe("Paused");
  expect(within(part("card.status") as HTMLElement).queryAllByRole("button")).toEqual([]);
});

it("links the addresses in a hint, and does not open when one is pressed", async () => {
  const hint = "Ask on https://hub.example/datasets/a/b, then see http://t.example/x.";
  const { props } = show(aCard({ status: "error", error_message: "Gated.", hint }));
  const links = screen.getAllByRole("link");
  expect(links.map((link) => link.getAttribute("href"))).toEqual([
    "https://hub.example/datasets/a/b",
    "http://t.example/x",
  ]);
  expect(links[0]?.parentElement?.textContent).toBe(hint);
  links[0]?.addEventListener("click", (event) => event.preventDefault());
  await userEvent.click(links[0] as Element);
  expect(props.onOpen).not.toHaveBeenCalled();
});

it("says on the card why a request was refused", async () => {
  const refusal = { code: "in_use", message: "Busy.", hint: "Wait.", field: null };
  show(aCard({ status: "error" }), { onRetry: () => Promise.reject(new RequestError(refusal)) });
  await userEvent.click(screen.getByRole("button", { name: "Retry" }));
  expect(await screen.findByText("Busy.")).toBeTruthy();
  expect(screen.getByText("Wait.")).toBeTruthy();
});

it("offers nothing that a read-only kernel would refuse", () => {
  const { part } = show(aCard({ status: "tokenizing" }), { job: aJob(), readOnly: true });
  const buttons = within(part("card.status") as HTMLElement).queryAllByRole("button");
  expect(buttons).toEqual([]);
});

it("disables its buttons while the kernel does not answer", () => {
  show(aCard({ status: "error" }), { disabled: true });
  for (const name of ["Retry", "Delete dataset"]) {
    expect(screen.getByRole<HTMLButtonElement>("button", { name }).disabled).toBe(true);
  }
});

it("tells tokenizations of one tokenizer apart by their settings", () => {
  const { settings } = aChip();
  const twin = (tokenization_id: string, change: Partial<typeof settings>) =>
    aChip({ tokenization_id, settings: { ...settings, ...change } });
  const tokenizations = [
    twin("tok_1", { max_length: 512 }),
    twin("tok_2", { max_length: 512, shuffle_seed: 3 }),
    twin("tok_3", { mode: "per_sample", max_length: 128 }),
    aChip({ tokenization_id: "tok_4", tokenizer_name: "other" }),
  ];
  const { container } = show(aCard({ tokenizations }));
  const chips = [...container.querySelectorAll('[data-part~="chip.tokenized"]')];
  expect(chips.map((chip) => chip.textContent)).toEqual([
    "gpt2• packed 512 • shuffled with 7",
    "gpt2• packed 512 • shuffled with 3",
    "gpt2• per sample 128",
    "Tokenized • other",
  ]);
  expect(chips[0]?.getAttribute("title")).toBe("Tokenized • gpt2 • packed 512 • shuffled with 7");
});

it("says how long it takes once that was measured for a while", () => {
  vi.useFakeTimers();
  const running = (change: Partial<JobSnapshot>) => aJob({ state: "running", ...change });
  const { props, part, rerender } = show(aCard({ status: "tokenizing" }), {
    job: running({ done: 0 }),
  });
  const caption = () => part("progress.caption")?.textContent;
  const wait = (seconds: number) => act(() => void vi.advanceTimersByTime(seconds * 1000));
  wait(10);
  expect(caption()).not.toContain("left");
  rerender(<DatasetCard {...props} job={running({ done: 5, eta_s: 2340 })} />);
  wait(1.9);
  expect(caption()).not.toContain("left");
  wait(0.1);
  expect(caption()).toContain("39m 0s left");
  rerender(<DatasetCard {...props} job={running({ phase: "packing" })} />);
  expect(caption()).not.toContain("left");
  wait(2);
  expect(caption()).toContain("left");
  rerender(<DatasetCard {...props} job={running({ phase: "packing", state: "paused" })} />);
  rerender(<DatasetCard {...props} job={running({ phase: "packing" })} />);
  expect(caption()).not.toContain("left");
  vi.useRealTimers();
});

it("says in full what it cuts off", () => {
  const { part } = show(aCard());
  expect(part("card.title")?.getAttribute("title")).toBe("TinyStories");
  expect(part("card.source")?.getAttribute("title")).toBe("roneneldan/TinyStories");
});

it("shows hostile text as text", () => {
  const name = `<img src=x onerror=alert(1)> \u202e${"x".repeat(500)}`;
  const { container } = show(aCard({ name, error_message: "<script>x</script>", status: "error" }));
  expect(screen.getByRole("heading", { level: 3 }).textContent).toBe(name);
  expect(container.querySelector("img, script")).toBeNull();
});
