import {
  act,
  fireEvent,
  render,
  screen,
  waitForElementToBeRemoved,
  within,
} from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, it, vi } from "vitest";
import { RequestError } from "../kernel/requests";
import type { JobSnapshot, TokenizationChip, TokenizationRecord } from "../protocol.gen";
import { deferred } from "../testing/deferred";
import {
  aCard,
  aChip,
  aFilePage,
  aJob,
  anIndexStatus,
  aPage,
  aTokenization,
  columnStatistics,
  goldenRecord,
} from "../testing/wire";
import { DatasetDetail, type DatasetDetailProps } from "./DatasetDetail";

const refusal = new RequestError({ code: "x", message: "Refused.", hint: "Wait.", field: null });

describe("DatasetDetail", () => {
  const show = (change: Partial<DatasetDetailProps> = {}, records = [aTokenization()]) => {
    const send = vi.fn(async (kind: string, _params: unknown, _options?: unknown) => {
      if (kind === "get_dataset") return goldenRecord();
      if (kind === "list_tokenizations") return records;
      if (kind === "list_files") return aFilePage();
      if (kind === "tokenize") return { job: aJob(), dataset: aCard() };
      if (kind === "samples") return aPage();
      if (kind === "index_status") return anIndexStatus();
      if (kind === "column_statistics") return columnStatistics();
      return { freed_bytes: 1 };
    });
    const props: DatasetDetailProps = {
      dataset: aCard(),
      datasets: [aCard()],
      jobs: [],
      readOnly: false,
      disabled: false,
      send: send as never,
      isLeaving: false,
      onClose: vi.fn(),
      ...change,
    };
    const { rerender } = render(<DatasetDetail {...props} />);
    const asked = (kind: string) => send.mock.calls.filter((call) => call[0] === kind);
    return { props, send, asked, rerender };
  };
  const openTokenization = async () => {
    await userEvent.click(screen.getByRole("tab", { name: "tokenization" }));
  };

  it("shows the record", async () => {
    const { props } = show();
    expect(await screen.findByText("Short stories with small words.")).toBeTruthy();
    expect(screen.getByRole("dialog", { name: "TinyStories" })).toBeTruthy();
    expect(screen.getByText("957.86 MB • 2,141,709 samples")).toBeTruthy();
    expect(await screen.findByText("200")).toBeTruthy();
    expect(await screen.findByText("50,257")).toBeTruthy();
    expect(screen.getByText("812 of them occur here")).toBeTruthy();
    expect(screen.getByText("train: 2,119,719 samples, validation: 21,990 samples")).toBeTruthy();
    expect(screen.getByText("text: string")).toBeTruthy();
    await userEvent.click(screen.getByRole("button", { name: "Close" }));
    expect(props.onClose).toHaveBeenCalledOnce();
  });

  it("names the tokenization that its figures are of, where there are several", async () => {
    const { settings } = aTokenization();
    const newest = aTokenization({ id: "tok_n", settings: { ...settings, max_length: 64 } });
    show({}, [aTokenization({ id: "tok_e", status: "error" }), newest, aTokenization()]);
    expect(await screen.findByText(/of the newest of 2 tokenizations/)).toBeTruthy();
    expect(screen.getByText(/^gpt2 • packed 64 • stride 16/)).toBeTruthy();
  });

  it("writes a dash for what is not known, and explains an error", () => {
    show({
      dataset: aCard({
        status: "error",
        error_message: "It broke.",
        hint: "Retry.",
        num_samples: null,
        size_bytes: null,
      }),
      send: (() => new Promise(() => undefined)) as never,
    });
    expect(screen.getByText("It broke.")).toBeTruthy();
    expect(screen.getAllByText("–").length).toBeGreaterThanOrEqual(5);
  });

  it("wraps a description by itself, and keeps its lists and paragraphs", async () => {
    const long = "A line of a paragraph that its author wrapped near its eightieth";
    const description = `Title\nwith ${long}\ncharacter.\n\n- ${long}\n- another\n\nEnd`;
    const send = async (kind: string) => {
      if (kind === "list_files") return aFilePage();
      return kind === "get_dataset" ? { ...goldenRecord(), description } : [];
    };
    show({ send: send as never });
    expect((await screen.findByText(/^Title/)).textContent).toBe(
      `Title\nwith ${long} character.\n\n- ${long}\n- another\n\nEnd`,
    );
  });

  it("names the files that were skipped", async () => {
    const record = goldenRecord();
    const download = {
      ...record.metadata.download,
      num_skipped_files: 3,
      skipped_files: ["a.bin"],
    };
    const metadata = { ...record.metadata, download } as typeof record.metadata;
    const send = async (kind: string) => {
      if (kind === "list_files") return aFilePage();
      return kind === "get_dataset" ? { ...record, metadata } : [aTokenization()];
    };
    show({ send: send as never });
    expect(await screen.findByText("Skipped Files (3)")).toBeTruthy();
    const items = screen.getAllByRole("listitem").map((item) => item.textContent);
    expect(items.slice(-2)).toEqual(["a.bin", "2 more"]);
  });

  it("asks again when the dataset changed, and says when it cannot be read", async () => {
    const { props, asked, rerender } = show();
    await screen.findByText("Short stories with small words.");
    rerender(<DatasetDetail {...props} dataset={aCard({ updated_at: "2026-11-24T00:00:00Z" })} />);
    expect(asked("get_dataset")).toHaveLength(2);
    const failing = (() => Promise.reject(refusal)) as never;
    rerender(<DatasetDetail {...props} send={failing} />);
    expect((await screen.findAllByText("Refused.")).length).toBeGreaterThan(0);
  });

  it("moves between the tabs by arrow keys", async () => {
    show();
    screen.getByRole("tab", { name: "overview" }).focus();
    for (const name of ["samples", "tokenization", "statistics"]) {
      await userEvent.keyboard("{ArrowRight}");
      expect(screen.getByRole("tab", { name }).getAttribute("aria-selected")).toBe("true");
      expect(screen.getByRole("tabpanel", { name })).toBeTruthy();
    }
    expect(await screen.findByText("Text Length Distribution")).toBeTruthy();
    await userEvent.keyboard("{ArrowRight}x");
    expect(document.activeElement).toBe(screen.getByRole("tab", { name: "overview" }));
  });

  it("starts a tokenization with the settings of the form", async () => {
    const { props, asked, rerender } = show();
    await openTokenization();
    const type = async (label: string, text: string) => {
      await userEvent.clear(screen.getByLabelText(label));
      await userEvent.type(screen.getByLabelText(label), text);
    };
    await type("Tokenizer", "gpt2");
    await type("Max Sequence Length", "128");
    await userEvent.selectOptions(screen.getByLabelText("Mode"), "per_sample");
    await userEvent.selectOptions(screen.getByLabelText("Padding Strategy"), "longest");
    await userEvent.selectOptions(screen.getByLabelText("Truncation Strategy"), "longest_first");
    await type("Stride", "8");
    await type("Begin Token", "eos");
    await type("Shuffle Seed", "1");
    await type("Text Column", "text");
    await type("Minimum Characters", "2");
    await userEvent.click(screen.getByRole("button", { name: "Toggle add special tokens off" }));
    await userEvent.click(screen.getByRole("button", { name: "Toggle skip invalid samples on" }));
    await userEvent.click(screen.getByRole("button", { name: "Apply & Tokenize Dataset" }));
    expect(asked("tokenize")).toEqual([
      [
        "tokenize",
        {
          dataset_id: aCard().id,
          settings: {
            tokenizer: "gpt2",
            mode: "per_sample",
            max_length: 128,
            stride: 8,
            padding: "longest",
            add_special_tokens: false,
            begin_sequence_token: "eos",
            shuffle_seed: 1,
            text_column: "text",
            min_chars: 2,
            skip_invalid: true,
          },
        },
      ],
    ]);
    rerender(<DatasetDetail {...props} jobs={[aJob()]} />);
    expect(await screen.findByText(/^Started\./)).toBeTruthy();
    rerender(<DatasetDetail {...props} jobs={[]} />);
    expect(screen.queryByText(/^Started/)).toBeNull();
  });

  it("says when the same tokenization is there already", async () => {
    const send = async (kind: string) => {
      if (kind === "tokenize") return { job: aJob({ state: "succeeded" }), dataset: aCard() };
      if (kind === "list_files") return aFilePage();
      return kind === "get_dataset" ? goldenRecord() : [aTokenization()];
    };
    show({ send: send as never });
    await openTokenization();
    await userEvent.click(await screen.findByRole("button", { name: /^Apply/ }));
    expect(await screen.findByText(/is there already/)).toBeTruthy();
  });

  it("suggests the tokenizers of other datasets by name, and fills in what loads them", async () => {
    const settings = { ...aChip().settings, tokenizer: "/data/quickstart/tokenizer.json" };
    const other = aCard({
      id: "ds_other",
      tokenizations: [aChip({ tokenizer_name: "quickstart", settings })],
    });
    const { asked } = show({ datasets: [aCard(), other, aCard({ ...other, id: "ds_third" })] });
    await openTokenization();
    const input = screen.getByLabelText<HTMLInputElement>("Tokenizer");
    const options = [...(input.list?.options ?? [])].map((option) => [
      option.value,
      option.getAttribute("label"),
    ]);
    expect(options).toHaveLength(6);
    expect(options.slice(0, 2)).toEqual([
      ["gpt2", null],
      ["/data/quickstart/tokenizer.json", "quickstart"],
    ]);
    expect(options.filter(([value]) => value === "gpt2")).toHaveLength(1);
    expect(asked("list_tokenizations")).toHaveLength(1);
  });

  it("starts with the tokenizer that worked last, by the path or id that loads it", async () => {
    const path = "/data/quickstart/tokenizer.json";
    const used = (status: TokenizationChip["status"], tokenizer: string) =>
      aChip({ status, tokenizer_name: "quickstart", settings: { ...aChip().settings, tokenizer } });
    const tokenizations = [
      used("error", "/data/broken"),
      used("ready", path),
      used("ready", "gpt2"),
    ];
    show({ dataset: aCard({ tokenizations }) });
    await openTokenization();
    expect(screen.getByLabelText<HTMLInputElement>("Tokenizer").value).toBe(path);
  });

  it("sends pairs, cleaning, a template and splits", async () => {
    const { asked } = show();
    await openTokenization();
    expect(screen.getByLabelText<HTMLInputElement>("Pair Column").disabled).toBe(true);
    await userEvent.selectOptions(screen.getByLabelText("Mode"), "per_sample");
    const truncation = screen.getByLabelText("Truncation Strategy");
    expect(within(truncation).queryByRole("option", { name: /Second/ })).toBeNull();
    await userEvent.type(screen.getByLabelText("Pair Column"), "answer");
    await userEvent.selectOptions(truncation, "only_second");
    await userEvent.selectOptions(screen.getByLabelText("Cleaning"), "safe");
    await userEvent.type(screen.getByLabelText("Splits"), "train");
    await userEvent.click(screen.getByRole("button", { name: "Apply & Tokenize Dataset" }));
    const sent = (at: number) =>
      (asked("tokenize")[at]?.[1] as { settings: object } | undefined)?.settings;
    expect(sent(0)).toMatchObject({
      pair_column: "answer",
      truncation: "only_second",
      cleaning: "safe",
      splits: ["train"],
    });
    await userEvent.type(screen.getByLabelText("Chat Template"), "chatml");
    expect(screen.getByText("The chat template writes the special tokens itself")).toBeTruthy();
    await userEvent.click(screen.getByRole("button", { name: "Apply & Tokenize Dataset" }));
    expect(sent(1)).toMatchObject({ chat_template: "chatml" });
    expect(sent(1)).not.toHaveProperty("pair_column");
  });

  it("can be filled in also when the list cannot be read", async () => {
    show({ send: (() => Promise.reject(refusal)) as never });
    await openTokenization();
    const input = await screen.findByLabelText<HTMLInputElement>("Tokenizer");
    expect(input.value).toBe("gpt2");
    expect(
      within(screen.getByRole("tabpanel", { name: "tokenization" })).getByText("Refused."),
    ).toBeTruthy();
  });

  it("offers only what can take effect", async () => {
    show();
    await openTokenization();
    const disabled = (label: string) => screen.getByLabelText<HTMLInputElement>(label).disabled;
    expect(["Padding Strategy", "Truncation Strategy", "Separator"].map(disabled)).toEqual([
      true,
      true,
      false,
    ]);
    await userEvent.type(screen.getByLabelText("Separator"), "x");
    await userEvent.click(screen.getByRole("button", { name: "Toggle drop tail on" }));
    await userEvent.selectOptions(screen.getByLabelText("Mode"), "per_sample");
    expect(["Padding Strategy", "Truncation Strategy", "Separator"].map(disabled)).toEqual([
      false,
      false,
      true,
    ]);
    expect(screen.getByRole<HTMLButtonElement>("button", { name: /drop tail/ }).disabled).toBe(
      true,
    );
    await userEvent.selectOptions(screen.getByLabelText("Padding Strategy"), "max_length");
    await userEvent.selectOptions(screen.getByLabelText("Truncation Strategy"), "do_not_truncate");
    expect(screen.getByLabelText<HTMLSelectElement>("Padding Strategy").value).toBe("longest");
    expect(screen.queryByText("Max Length (pad to max_length)")).toBeNull();
    expect(disabled("Stride")).toBe(true);
    expect(screen.getByRole<HTMLButtonElement>("button", { name: /attention mask/ }).disabled).toBe(
      true,
    );
  });

  it("lets a switch go back to automatic", async () => {
    const { asked } = show();
    await openTokenization();
    const mask = () => screen.getByRole("button", { name: /return attention mask/ });
    expect(screen.getByText("Automatic: written when anything was filled")).toBeTruthy();
    await userEvent.click(mask());
    expect(screen.getByText(/^Never written/)).toBeTruthy();
    await userEvent.click(mask());
    expect(screen.getByText(/^Always written/)).toBeTruthy();
    await userEvent.click(screen.getByRole("button", { name: "Automatic" }));
    await userEvent.click(screen.getByRole("button", { name: "Apply & Tokenize Dataset" }));
    expect(asked("tokenize")[0]?.[1]).toMatchObject({ settings: { max_length: 512 } });
    expect(JSON.stringify(asked("tokenize"))).not.toContain("attention");
  });

  it("sends nothing that is invalid, and says what is", async () => {
    const { asked } = show();
    await openTokenization();
    await userEvent.clear(screen.getByLabelText("Max Sequence Length"));
    expect(screen.getByText("Must be a whole number")).toBeTruthy();
    const apply = screen.getByRole<HTMLButtonElement>("button", { name: /^Apply/ });
    expect(apply.disabled).toBe(true);
    await userEvent.type(screen.getByLabelText("Tokenizer"), "{Enter}");
    expect(asked("tokenize")).toEqual([]);
  });

  it("keeps the focus on the button that begins, which begins once", async () => {
    const { promise, resolve } = deferred();
    const send = vi.fn(async (kind: string) => {
      if (kind === "tokenize") return promise.then(() => ({ job: aJob(), dataset: aCard() }));
      if (kind === "list_files") return aFilePage();
      return kind === "get_dataset" ? goldenRecord() : [];
    });
    show({ send: send as never });
    await openTokenization();
    const apply = screen.getByRole<HTMLButtonElement>("button", { name: /^Apply/ });
    apply.focus();
    await userEvent.keyboard("{Enter}{Enter}");
    expect(send.mock.calls.filter(([kind]) => kind === "tokenize")).toHaveLength(1);
    expect([apply.disabled, apply.getAttribute("aria-disabled")]).toEqual([false, "true"]);
    await act(async () => resolve());
    expect(apply.getAttribute("aria-disabled")).toBeNull();
    expect(document.activeElement).toBe(apply);
  });

  it("shows why a tokenization was refused", async () => {
    const send = async (kind: string) => {
      if (kind === "tokenize") throw refusal;
      if (kind === "list_files") return aFilePage();
      return kind === "get_dataset" ? goldenRecord() : [];
    };
    show({ send: send as never });
    await openTokenization();
    expect(await screen.findByText("Not tokenized yet")).toBeTruthy();
    await userEvent.click(screen.getByRole("button", { name: /^Apply/ }));
    expect(await screen.findByText("Refused.")).toBeTruthy();
    expect(screen.queryByText(/^Started/)).toBeNull();
  });

  it("lists tokenizations with their figures, and deletes one after asking", async () => {
    const { asked } = show();
    await openTokenization();
    const item = await screen.findByRole("listitem");
    for (const text of ["gpt2", "2,000", "812", "50,257", "8.23 KB", "1s"]) {
      expect(within(item).getByText(text)).toBeTruthy();
    }
    expect(item.textContent).toContain("gpt2 • packed 1,024 • stride 16");
    await userEvent.click(within(item).getByRole("button", { name: "Delete tokenization" }));
    const question = screen.getByRole("alertdialog", { name: /^Delete this tokenization/ });
    expect(question.textContent).toContain("gpt2 • packed 1,024");
    await userEvent.click(within(question).getByRole("button", { name: "Keep" }));
    expect(asked("delete_tokenization")).toEqual([]);
    await userEvent.click(within(item).getByRole("button", { name: "Delete tokenization" }));
    await userEvent.click(screen.getByRole("button", { name: "Delete" }));
    expect(asked("delete_tokenization")[0]?.[1]).toEqual({ tokenization_id: aTokenization().id });
    await waitForElementToBeRemoved(() => screen.queryByRole("alertdialog"));
  });

  it("closes only the question about a tokenization with Escape, and gives the focus back", async () => {
    const { props, asked } = show();
    await openTokenization();
    const ask = await screen.findByRole("button", { name: "Delete tokenization" });
    await userEvent.click(ask);
    fireEvent(screen.getByRole("alertdialog"), new Event("cancel", { cancelable: true }));
    await waitForElementToBeRemoved(() => screen.queryByRole("alertdialog"));
    expect(props.onClose).not.toHaveBeenCalled();
    expect(asked("delete_tokenization")).toEqual([]);
    expect(document.activeElement).toBe(ask);
  });

  it("keeps the question about a tokenization when its deletion was refused", async () => {
    const send = async (kind: string) => {
      if (kind === "delete_tokenization") throw refusal;
      if (kind === "list_files") return aFilePage();
      return kind === "get_dataset" ? goldenRecord() : [aTokenization()];
    };
    show({ send: send as never });
    await openTokenization();
    await userEvent.click(await screen.findByRole("button", { name: "Delete tokenization" }));
    await userEvent.click(screen.getByRole("button", { name: "Delete" }));
    expect(await screen.findByText("Refused.")).toBeTruthy();
    expect(screen.getByRole("alertdialog").textContent).toContain("Refused.");
  });

  it("shows a tokenization that runs, with its progress, and cancels it", async () => {
    const running: TokenizationRecord[] = [aTokenization({ status: "tokenizing" })];
    const { asked } = show({ jobs: [aJob()], dataset: aCard({ status: "tokenizing" }) }, running);
    await openTokenization();
    expect(await screen.findByRole("progressbar")).toBeTruthy();
    await userEvent.click(screen.getByRole("button", { name: "Cancel tokenization" }));
    expect(asked("cancel")[0]?.[1]).toEqual({ job_id: aJob().id });
  });

  it("shows why a tokenization failed", async () => {
    show({}, [
      aTokenization({ status: "error", error_message: "No tokenizer.", hint: "Check it." }),
    ]);
    await openTokenization();
    expect(await screen.findByText("No tokenizer.")).toBeTruthy();
    expect(screen.getByText("Check it.")).toBeTruthy();
  });

  it("asks for the list again when the card's tokenizations changed", async () => {
    const { props, asked, rerender } = show();
    await openTokenization();
    await screen.findByRole("listitem");
    rerender(<DatasetDetail {...props} dataset={aCard({ tokenizations: [] })} />);
    expect(asked("list_tokenizations")).toHaveLength(2);
    const failing = (() => Promise.reject(refusal)) as never;
    rerender(<DatasetDetail {...props} send={failing} />);
    const panel = screen.getByRole("tabpanel", { name: "tokenization" });
    expect(await within(panel).findByText("Refused.")).toBeTruthy();
  });

  it("keeps what was typed in a tab while another is shown", async () => {
    show();
    await openTokenization();
    await userEvent.clear(screen.getByLabelText("Tokenizer"));
    await userEvent.type(screen.getByLabelText("Tokenizer"), "kept");
    await userEvent.click(screen.getByRole("tab", { name: "overview" }));
    expect(screen.queryByRole("tabpanel", { name: "tokenization" })).toBeNull();
    await openTokenization();
    expect(screen.getByLabelText("Tokenizer").getAttribute("value")).toBe("kept");
  });

  it("only shows when the kernel is read-only", async () => {
    show({ readOnly: true });
    await openTokenization();
    const item = await screen.findByRole("listitem");
    expect(within(item).queryAllByRole("button")).toEqual([]);
    expect(screen.queryByRole("button", { name: /^Apply/ })).toBeNull();
  });

  describe("the files", () => {
    it("have hashes, and further pages", async () => {
      const { asked } = show({ readOnly: true });
      expect(await screen.findByText("5 files, each with its SHA-256")).toBeTruthy();
      const [file] = within(screen.getByRole("list", { name: "Files" })).getAllByRole("listitem");
      expect(file?.textContent).toBe(
        "data/train-00000-of-00004.parquettrain • 529,930 rows • 237.21 MB • " +
          "d0a4a0b0c6f94a70a2b9c0f6ee3ac2f6f1a4c5a7e9b8d3c2f1e0d9c8b7a69584",
      );
      expect(asked("list_files").map((call) => call[1])).toEqual([
        { dataset_id: aCard().id, limit: 10, offset: 0 },
      ]);
    });

    it("are shown page by page where there are many", async () => {
      const send = vi.fn(async (kind: string, params: object) => {
        if (kind === "get_dataset") return goldenRecord();
        if (kind === "list_tokenizations") return [];
        return aFilePage({ limit: 10, total: 25, ...params });
      });
      show({ send: send as never });
      await userEvent.click(await screen.findByRole("button", { name: "Next" }));
      expect(send).toHaveBeenCalledWith(
        "list_files",
        { dataset_id: aCard().id, limit: 10, offset: 10 },
        expect.anything(),
      );
      expect(await screen.findByText("Showing 11-11 of 25")).toBeTruthy();
    });

    it("are not asked for while there are none", () => {
      const { asked } = show({ dataset: aCard({ status: "error" }) });
      expect(asked("list_files")).toEqual([]);
    });
  });

  describe("Verify files", () => {
    const aVerification = (change: Partial<JobSnapshot> = {}) =>
      aJob({ kind: "verify", tokenization_id: null, phase: "verifying", unit: "bytes", ...change });
    const button = () => screen.queryByRole("button", { name: "Verify files" });

    it("asks for it, and says why it was refused", async () => {
      const { asked } = show();
      await userEvent.click(button() as Element);
      expect(asked("verify")[0]?.[1]).toEqual({ dataset_id: aCard().id });
      show({ send: (() => Promise.reject(refusal)) as never });
      const buttons = screen.getAllByRole("button", { name: "Verify files" });
      await userEvent.click(buttons.at(-1) as Element);
      expect((await screen.findAllByText("Refused.")).length).toBeGreaterThan(0);
    });

    it("shows how far it is, and cancels it", async () => {
      const { props, asked, rerender } = show({ jobs: [aVerification()] });
      expect(button()).toBeNull();
      const bar = screen.getByRole("progressbar", { name: "TinyStories: verifying" });
      expect(bar.getAttribute("aria-valuenow")).toBe("45.2");
      await userEvent.click(screen.getByRole("button", { name: "Cancel verification" }));
      expect(asked("cancel")[0]?.[1]).toEqual({ job_id: aJob().id });
      rerender(<DatasetDetail {...props} jobs={[aVerification({ state: "cancelling" })]} />);
      expect(screen.getByRole<HTMLButtonElement>("button", { name: "Cancelling…" }).disabled).toBe(
        true,
      );
      rerender(<DatasetDetail {...props} jobs={[]} />);
      expect(screen.queryByRole("progressbar")).toBeNull();
      expect(button()).not.toBeNull();
    });

    it.each([
      [{ dataset: aCard({ status: "error" }) }],
      [{ dataset: aCard({ status: "tokenizing" }), jobs: [aJob()] }],
      [{ readOnly: true }],
    ])("is not offered where it would be refused: %o", (change) => {
      show(change);
      expect(button()).toBeNull();
    });

    it("only shows what another does when the kernel is read-only", () => {
      show({ readOnly: true, jobs: [aVerification()] });
      expect(screen.getByRole("progressbar")).toBeTruthy();
      expect(screen.queryByRole("button", { name: "Cancel verification" })).toBeNull();
    });

    it("waits for the kernel", () => {
      show({ disabled: true });
      expect((button() as HTMLButtonElement).disabled).toBe(true);
    });
  });

  it.each([
    [{ status: "error" }, false, "This dataset can be tokenized once it is ready"],
    [{ status: "ready" }, true, "This dataset is not tokenized"],
  ] as const)("has words for no tokenizations: %o", async (change, readOnly, text) => {
    show({ dataset: aCard(change), readOnly }, []);
    await openTokenization();
    expect(await screen.findByText(text)).toBeTruthy();
  });
});
