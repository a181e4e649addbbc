import { render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, it, vi } from "vitest";
import { RequestError } from "../kernel/requests";
import { aCard, aJob, aTokenization, columnStatistics } from "../testing/wire";
import { Histogram } from "../ui/Histogram";
import { StatisticsTab, type StatisticsTabProps } from "./StatisticsTab";

function show(change: Partial<StatisticsTabProps> = {}) {
  const send = vi.fn(async (_kind: string, _params: unknown, _options?: unknown) =>
    columnStatistics(),
  );
  const props: StatisticsTabProps = {
    dataset: aCard(),
    records: [aTokenization()],
    failed: null,
    jobs: [],
    disabled: false,
    send: send as never,
    ...change,
  };
  const { rerender } = render(<StatisticsTab {...props} />);
  return {
    send,
    update: (next: Partial<StatisticsTabProps>) => rerender(<StatisticsTab {...props} {...next} />),
  };
}

const part = (name: string) => {
  const found = document.querySelector<HTMLElement>(`[data-part~="${name}"]`);
  if (found === null) throw new Error(`no ${name}`);
  return found;
};

describe("StatisticsTab", () => {
  it("does not load for ever while nothing can be asked", () => {
    show({ records: null, disabled: true });
    expect(document.querySelector("[data-part~=loading]")).toBeNull();
    expect(screen.getAllByText(/cannot be read now/)).toHaveLength(2);
  });

  it("shows the figures of the newest tokenization that is ready", async () => {
    const failed = aTokenization({ id: "tok_e", status: "error" });
    show({ records: [failed, aTokenization()] });
    expect(part("stats.metric.value.yellow").textContent).toBe("812");
    expect(part("stats.metric.value.purple").textContent).toBe("200");
    expect(part("histogram.summary").textContent).toMatch(/^Min: .+ • Median: .+ • Max: .+ tokens/);
    await screen.findByText("Text Length Distribution");
  });

  it("chooses among several", async () => {
    const other = aTokenization({ id: "tok_o", num_tokens: 77 });
    show({ records: [aTokenization(), other] });
    await userEvent.selectOptions(screen.getByLabelText("Tokenization"), "tok_o");
    expect(part("stats.metric.value.blue").textContent).toBe("77");
    await screen.findByText("Text Length Distribution");
  });

  it("closes the accounting on both sides, with what was dropped beside it", async () => {
    const accounting = {
      tokens_in: 100,
      tokens_inserted: 10,
      tokens_repeated: 5,
      tokens_kept: 90,
      tokens_truncated: 20,
      tokens_tail: 5,
      tokens_padding: 7,
      samples_dropped: { too_short: 3, unheard_of: 1 },
      samples_cleaned: 2,
      chars_cleaned: 9,
    };
    show({ records: [aTokenization({ accounting, special_tokens: { "<|endoftext|>": 10 } })] });
    const box = within(part("stats.accounting"));
    expect(box.getAllByText("115")).toHaveLength(2);
    expect(box.getByText("Samples dropped: too short")).toBeTruthy();
    expect(box.getByText("Samples dropped: unheard_of")).toBeTruthy();
    expect(box.getByText("Characters cleaned")).toBeTruthy();
    expect(part("stats.special").textContent).toContain("<|endoftext|>10");
    await screen.findByText("Text Length Distribution");
  });

  it("shows splits in their colours, and one of another name", async () => {
    const split = { samples: 8000, sequences: 1, tokens: 5, percentage: 80 };
    const splits = { train: split, valid: split, test: split, extra: split };
    show({ records: [aTokenization({ splits })] });
    expect(part("split.value.train").className).toContain("emerald");
    expect(part("split.value.validation").className).toContain("blue");
    expect(part("split.value.test").className).toContain("purple");
    expect(part("split.value.other").textContent).toBe("8,000");
    expect(part("split.percent").textContent).toBe("80% of total • 5 tokens");
    await screen.findByText("Text Length Distribution");
  });

  it("says what to do without a tokenization, and shows the characters all the same", async () => {
    const { update } = show({ records: [] });
    expect(screen.getByText("No tokenization statistics available")).toBeTruthy();
    expect(screen.getByText("Tokenize this dataset to view detailed statistics")).toBeTruthy();
    update({ records: [], dataset: aCard({ status: "tokenizing" }) });
    expect(screen.getByText(/its figures come with its end/)).toBeTruthy();
    expect(await screen.findByText("Text Length Distribution")).toBeTruthy();
  });

  it("shows how far a tokenization is whose figures are still to come", () => {
    const running = aTokenization({ id: "tok_running", status: "tokenizing" });
    const job = aJob({ tokenization_id: running.id, progress: 25 });
    show({ records: [running, aTokenization()], jobs: [job] });
    const bar = screen.getByRole("progressbar");
    expect(bar.getAttribute("aria-valuenow")).toBe("25");
    expect(part("stats.running").contains(bar)).toBe(true);
    expect(part("stats.grid")).toBeTruthy();
  });

  it("waits for the kernel, and says when it cannot tell", async () => {
    const { update } = show({ records: null });
    expect(screen.getByText("Loading statistics...")).toBeTruthy();
    const failed = { code: "x", message: "Broken.", hint: null, field: null, choices: [] };
    update({ records: null, failed });
    expect(screen.getByText("Broken.")).toBeTruthy();
    await screen.findByText("Text Length Distribution");
  });
});

describe("the characters of a dataset", () => {
  it("are waited for without a limit, and shown by split", async () => {
    const { send } = show();
    expect(screen.getByText(/Reading all texts once/)).toBeTruthy();
    const found = columnStatistics();
    const names = Object.keys(found.splits);
    await screen.findByText("Text Length Distribution");
    expect(send.mock.calls[0]?.[2]).toMatchObject({ isPatient: true });
    const last = names.at(-1) ?? "";
    if (names.length > 1) await userEvent.selectOptions(screen.getByLabelText("Split"), last);
    const rows = found.splits[last]?.num_rows ?? Number.NaN;
    expect(part("characters").textContent).toContain(`Rows${rows.toLocaleString("en-US")}`);
  });

  it("are asked for again after an error", async () => {
    let fails = true;
    const error = new RequestError({ code: "x", message: "Gone.", hint: "Verify.", field: null });
    const send = async () => {
      if (fails) throw error;
      return columnStatistics();
    };
    show({ send: send as never });
    expect(await screen.findByText("Gone.")).toBeTruthy();
    fails = false;
    await userEvent.click(screen.getByRole("button", { name: "Try again" }));
    expect(await screen.findByText("Text Length Distribution")).toBeTruthy();
  });

  it("are not asked for while the dataset is not ready, or the kernel does not answer", () => {
    const { send } = show({ dataset: aCard({ status: "error" }) });
    const other = show({ disabled: true });
    expect(send).not.toHaveBeenCalled();
    expect(other.send).not.toHaveBeenCalled();
  });
});

describe("Histogram", () => {
  it("scales its bars by the largest, and writes the count of a short one beside it", () => {
    const bucket = (min: number, count: number) => ({
      range: `${min}+`,
      min,
      max: null,
      count,
      percentage: count / 10,
    });
    const buckets = [bucket(0, 1000), bucket(100, 10), bucket(200, 0)];
    render(<Histogram title="Lengths" unit="tokens" summary="" buckets={buckets} />);
    const bars = [...document.querySelectorAll<HTMLElement>("[data-part~='histogram.bar']")];
    expect(bars.map((bar) => bar.style.width)).toEqual(["100%", "1%", "0%"]);
    expect(bars.map((bar) => bar.textContent)).toEqual(["1,000", "", ""]);
    expect(screen.getByTitle("100+ tokens: 10 samples, 1%").textContent).toBe("100+101%");
  });
});
