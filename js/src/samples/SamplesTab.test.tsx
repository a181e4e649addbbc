import { act, fireEvent, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, describe, expect, it, vi } from "vitest";
import { RequestError } from "../kernel/requests";
import type { JobSnapshot, PageSample, Sample } from "../protocol.gen";
import { deferred } from "../testing/deferred";
import {
  aCard,
  aJob,
  anIndexStatus,
  aPage,
  aSample,
  aTokenization,
  aTokenView,
} from "../testing/wire";
import { SampleCard } from "./SampleCard";
import { SamplesTab, type SamplesTabProps } from "./SamplesTab";
import { piecesOf, previewOf } from "./sampleText";

type Answer = (params: Record<string, unknown>) => unknown;
type Answers = Record<string, Answer>;

const row = (change: Partial<Sample> = {}) =>
  aSample({ columns: {}, highlights: [], text_start: 0, ...change });

const page = (change: Partial<PageSample> = {}) =>
  aPage({ items: [row({ row: 0 })], total: 1, limit: 10, offset: 0, ...change });

function show(answers: Answers = {}, change: Partial<SamplesTabProps> = {}) {
  const all: Answers = {
    samples: () => page(),
    index_status: () => anIndexStatus(),
    sample_tokens: () => aTokenView(),
    ...answers,
  };
  const send = vi.fn(
    async (kind: string, params: Record<string, unknown>, _options?: { signal?: AbortSignal }) =>
      all[kind]?.(params),
  );
  const props: SamplesTabProps = {
    dataset: aCard(),
    splits: { train: 900, test: 100 },
    tokenizations: [aTokenization()],
    jobs: [],
    readOnly: false,
    disabled: false,
    send: send as never,
    ...change,
  };
  const { rerender } = render(<SamplesTab {...props} />);
  const calls = (kind: string) => send.mock.calls.filter((call) => call[0] === kind);
  const asked = (kind: string) => calls(kind).map((call) => call[1]);
  return {
    asked,
    calls,
    update: (next: Partial<SamplesTabProps>) => rerender(<SamplesTab {...props} {...next} />),
  };
}

const shownRange = () =>
  document.querySelector("[data-part~='pagination.row'] [role=status]")?.textContent;

describe("SamplesTab", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it("shows a page", async () => {
    const { asked } = show({ samples: () => page({ total: 1234 }) });
    expect(screen.getByText("Loading samples...")).toBeTruthy();
    expect(await screen.findByText("Once upon a time")).toBeTruthy();
    expect(screen.getByText("Length: 16 chars • 4 tokens")).toBeTruthy();
    expect(shownRange()).toBe("Showing 1-1 of 1,234");
    expect(asked("samples")).toEqual([
      {
        dataset_id: aCard().id,
        limit: 10,
        offset: 0,
        exact_total: false,
        view: expect.stringMatching(/^[0-9a-f]{32}$/),
      },
    ]);
  });

  it("says that a dataset is not ready, and asks nothing", () => {
    const { asked } = show({}, { dataset: aCard({ status: "downloading" }) });
    expect(screen.getByText("Dataset not ready")).toBeTruthy();
    expect(asked("samples")).toEqual([]);
  });

  it("asks once for what was typed, of one view, and ends the older question", async () => {
    const never = new Promise(() => undefined);
    const { calls } = show({ samples: ({ search }) => (search === "old" ? never : page()) });
    await screen.findByText("Once upon a time");
    const search = screen.getByLabelText("Search in dataset samples");
    await userEvent.type(search, "old");
    await waitFor(() => expect(calls("samples")).toHaveLength(2));
    await userEvent.clear(search);
    await userEvent.type(search, "new");
    await waitFor(() => expect(calls("samples")).toHaveLength(3));
    const [first, second, third] = calls("samples");
    expect([second?.[1]["search"], third?.[1]["search"]]).toEqual(["old", "new"]);
    expect(new Set([first, second, third].map((call) => call?.[1]["view"])).size).toBe(1);
    expect([second, third].map((call) => call?.[2]?.signal?.aborted)).toEqual([true, false]);
  });

  it("filters by split and range, from the first page on", async () => {
    const { asked } = show({
      samples: ({ offset }) => page({ total: 30, offset: Number(offset) }),
    });
    await userEvent.click(await screen.findByRole("button", { name: "Next" }));
    await waitFor(() => expect(asked("samples").at(-1)).toMatchObject({ offset: 10 }));
    await userEvent.selectOptions(screen.getByLabelText("Filter by dataset split"), "test");
    await userEvent.type(screen.getByLabelText("At least tokens"), "5");
    await userEvent.type(screen.getByLabelText("At most tokens"), "90");
    await waitFor(() =>
      expect(asked("samples").at(-1)).toMatchObject({
        split: "test",
        min_tokens: 5,
        max_tokens: 90,
        offset: 0,
      }),
    );
  });

  it("says what is wrong with a range, and asks for none that is", async () => {
    vi.useFakeTimers({ shouldAdvanceTime: true });
    const { asked } = show();
    await screen.findByText("Once upon a time");
    const field = (name: string) => screen.getByLabelText(`${name} tokens`);
    const said = (name: string) => {
      expect(field(name).getAttribute("aria-invalid")).toBe("true");
      const id = field(name).getAttribute("aria-describedby");
      return screen.getAllByRole("alert").find((alert) => alert.id === id)?.textContent;
    };
    for (const wrong of ["abc", "-5", "1.5", "1,000"]) {
      fireEvent.change(field("At least"), { target: { value: wrong } });
      expect(said("At least")).toBe(
        "At least: must be a whole number, written in digits (at most 15)",
      );
    }
    fireEvent.change(field("At least"), { target: { value: "200" } });
    fireEvent.change(field("At most"), { target: { value: "100" } });
    expect(said("At most")).toBe("No sample has at least 200 and at most 100 tokens");
    await act(() => vi.advanceTimersByTimeAsync(400));
    expect(asked("samples")).toHaveLength(1);
    fireEvent.change(field("At most"), { target: { value: "200" } });
    expect(screen.queryByRole("alert")).toBeNull();
    await waitFor(() =>
      expect(asked("samples").at(-1)).toMatchObject({ min_tokens: 200, max_tokens: 200 }),
    );
  });

  it("counts characters without a tokenization, else by the one that is chosen", async () => {
    const other = aTokenization({ id: "tok_0000000000000002" });
    const { asked, update } = show({}, { tokenizations: [] });
    expect(await screen.findByLabelText("At least characters")).toBeTruthy();
    update({ tokenizations: [aTokenization(), other] });
    await userEvent.selectOptions(screen.getByLabelText("Tokens counted by"), other.id);
    await waitFor(() =>
      expect(asked("samples").at(-1)).toMatchObject({ tokenization_id: other.id }),
    );
  });

  it("goes to the next page, back, and to a page that is typed, at most to the last", async () => {
    const { asked } = show({
      samples: ({ offset }) => page({ total: 95, offset: Number(offset) }),
    });
    await screen.findByText("Once upon a time");
    const previous = () => screen.getByRole<HTMLButtonElement>("button", { name: "Previous" });
    expect(previous().disabled).toBe(true);
    await userEvent.click(screen.getByRole("button", { name: "Next" }));
    await waitFor(() => expect(shownRange()).toBe("Showing 11-11 of 95"));
    await userEvent.click(previous());
    await waitFor(() => expect(shownRange()).toBe("Showing 1-1 of 95"));
    await userEvent.clear(screen.getByLabelText(/^Page/));
    await userEvent.type(screen.getByLabelText(/^Page/), "999{Enter}");
    await waitFor(() => expect(asked("samples").at(-1)).toMatchObject({ offset: 90 }));
    await waitFor(() => expect(shownRange()).toBe("Showing 91-91 of 95"));
  });

  it("goes to the last page when the one asked for is beyond it", async () => {
    const items = (offset: unknown) => (offset === 20 ? { items: [row()] } : { items: [] });
    const { asked } = show({
      samples: ({ offset }) =>
        offset === 0
          ? page({ items: Array.from({ length: 10 }, (_, at) => row({ row: at })), total: null })
          : page({ ...items(offset), total: 25, offset: Number(offset) }),
    });
    await screen.findAllByText("Once upon a time");
    await userEvent.clear(screen.getByLabelText(/^Page/));
    await userEvent.type(screen.getByLabelText(/^Page/), "50{Enter}");
    await waitFor(() => expect(shownRange()).toBe("Showing 21-21 of 25"));
    expect(asked("samples").at(-1)).toMatchObject({ offset: 20 });
  });

  it("asks again while hits are still counted", async () => {
    vi.useFakeTimers();
    let total: number | null = null;
    const { asked } = show({ samples: () => page({ total }) });
    await act(() => vi.advanceTimersByTimeAsync(0));
    expect(shownRange()).toBe("Showing 1-1, still counting…");
    await act(() => vi.advanceTimersByTimeAsync(600));
    expect(asked("samples")).toHaveLength(2);
    total = 7;
    await act(() => vi.advanceTimersByTimeAsync(2000));
    expect(shownRange()).toBe("Showing 1-1 of 7");
    const { length } = asked("samples");
    await act(() => vi.advanceTimersByTimeAsync(60_000));
    expect(asked("samples")).toHaveLength(length);
  });

  it("says that nothing matches, and clears the filters", async () => {
    const none = page({ items: [], total: 0 });
    show({ samples: ({ search }) => (search ? none : page()) });
    await screen.findByText("Once upon a time");
    await userEvent.type(screen.getByLabelText("Search in dataset samples"), "zebra");
    expect(await screen.findByText("No samples match")).toBeTruthy();
    expect(shownRange()).toBe("Showing 0 of 0");
    await userEvent.click(screen.getByRole("button", { name: "Clear filters" }));
    expect(await screen.findByText("Once upon a time")).toBeTruthy();
    expect(screen.getByLabelText<HTMLInputElement>("Search in dataset samples").value).toBe("");
  });

  it("says that a dataset without rows is empty", async () => {
    show({ samples: () => page({ items: [], total: 0 }) });
    expect(await screen.findByText("No samples")).toBeTruthy();
  });

  it("says what failed with its hint, and tries again", async () => {
    let fails = true;
    const error = new RequestError({ code: "x", message: "Gone.", hint: "Verify.", field: null });
    show({ samples: () => (fails ? Promise.reject(error) : page()) });
    expect(await screen.findByText("Gone.")).toBeTruthy();
    expect(screen.getByText("Verify.")).toBeTruthy();
    fails = false;
    await userEvent.click(screen.getByRole("button", { name: "Try again" }));
    expect(await screen.findByText("Once upon a time")).toBeTruthy();
    expect(screen.queryByText("Gone.")).toBeNull();
  });

  it("asks nothing while the kernel does not answer, and again when it does", async () => {
    const { asked, update } = show({}, { disabled: true });
    expect(asked("samples")).toEqual([]);
    expect(screen.queryByText("Loading samples...")).toBeNull();
    update({ disabled: false });
    expect(await screen.findByText("Once upon a time")).toBeTruthy();
    update({ disabled: true });
    expect(screen.queryByText(/^The samples cannot be read now/)).toBeNull();
    await userEvent.type(screen.getByLabelText("Search in dataset samples"), "new");
    expect(screen.getByText(/^The samples cannot be read now/)).toBeTruthy();
    update({ disabled: false });
    await waitFor(() => expect(asked("samples").at(-1)).toMatchObject({ search: "new" }));
    expect(screen.queryByText(/^The samples cannot be read now/)).toBeNull();
  });
});

describe("the index of a dataset", () => {
  const building: JobSnapshot = aJob({ kind: "index", state: "running", progress: 12.34 });
  const without = anIndexStatus({ is_ready: false, size_bytes: 0 });

  it("is built when it is not there, and looked at again", async () => {
    const { asked } = show({ index_status: () => without });
    await userEvent.click(await screen.findByRole("button", { name: "Build index" }));
    expect(asked("build_index")).toEqual([{ dataset_id: aCard().id }]);
    await waitFor(() => expect(asked("index_status")).toHaveLength(2));
  });

  it("shows its progress while it is built, and is cancelled", async () => {
    const { asked } = show({ index_status: () => without }, { jobs: [building] });
    expect(await screen.findByText(/is being built: 12\.3%/)).toBeTruthy();
    await userEvent.click(screen.getByRole("button", { name: "Cancel" }));
    expect(asked("cancel")).toEqual([{ job_id: building.id }]);
  });

  it("is deleted, and says why it cannot be", async () => {
    const error = new RequestError({ code: "in_use", message: "Busy.", hint: null, field: null });
    show({ delete_index: () => Promise.reject(error) });
    expect(await screen.findByText(/an index of 8.23 KB/)).toBeTruthy();
    await userEvent.click(screen.getByRole("button", { name: "Delete index" }));
    expect(await screen.findByText("Busy.")).toBeTruthy();
  });

  it("keeps the focus on its button while it is deleted, and when it is", async () => {
    const { promise, resolve } = deferred();
    let status = anIndexStatus();
    const { asked } = show({ delete_index: () => promise, index_status: () => status });
    const button = await screen.findByRole<HTMLButtonElement>("button", { name: "Delete index" });
    button.focus();
    await userEvent.keyboard("{Enter}{Enter}");
    expect(asked("delete_index")).toHaveLength(1);
    expect([button.disabled, button.getAttribute("aria-disabled")]).toEqual([false, "true"]);
    status = without;
    await act(async () => resolve());
    expect(await screen.findByRole("button", { name: "Build index" })).toBe(button);
    expect(document.activeElement).toBe(button);
  });

  it("is only looked at by readers, and impossible without text", async () => {
    show({}, { readOnly: true });
    expect(await screen.findByText(/an index of/)).toBeTruthy();
    expect(screen.queryByRole("button", { name: "Delete index" })).toBeNull();
    show({ index_status: () => ({ ...without, can_be_built: false }) });
    expect(await screen.findByText(/no text column to search/)).toBeTruthy();
    expect(screen.queryByRole("button", { name: "Build index" })).toBeNull();
  });
});

describe("SampleCard", () => {
  const card = (sample: Sample, tokenization_id: string | null = "tok_4f2a9c1e7b3d5068") => {
    const send = vi.fn(async () => aTokenView());
    render(
      <SampleCard
        sample={sample}
        tokenization_id={tokenization_id}
        disabled={false}
        send={send as never}
      />,
    );
    return send;
  };
  const expand = () => userEvent.click(screen.getByRole("button", { name: "Expand" }));

  it("shows further columns as text when it is expanded", async () => {
    card(aSample());
    expect(screen.queryByText("score")).toBeNull();
    await expand();
    expect(screen.getByText("9007199254740993")).toBeTruthy();
    expect(screen.getByText(/"bytes": "PNG image, 2,048 bytes"/)).toBeTruthy();
    expect(screen.getByText(/cut, 10,485,760 characters in all/)).toBeTruthy();
    await userEvent.click(screen.getByRole("button", { name: "Collapse" }));
    expect(screen.queryByText("9007199254740993")).toBeNull();
  });

  it("marks hits, and executes nothing", () => {
    card(row({ text: "a <script>alert(1)</script> b", highlights: [[2, 10]] }));
    expect(document.querySelector("mark")?.textContent).toBe("<script>");
    expect(document.querySelector("script")).toBeNull();
  });

  it("shows the tokens of a sample where it has some", async () => {
    const send = card(row());
    await expand();
    await userEvent.click(screen.getByRole("button", { name: "Show tokens" }));
    const chips = within(await screen.findByRole("list", { name: "Tokens" })).getAllByRole(
      "listitem",
    );
    expect(chips.map((chip) => chip.textContent)).toEqual([
      "日",
      "\\xe6\\x9c",
      "<|endoftext|> (special)",
      "#105",
    ]);
    expect(chips[2]?.dataset["part"]).toBe("token.chip.special");
    expect(screen.getByText(/Sequences 3 \[60:62\], 4 \[0:2\]/)).toBeTruthy();
    expect(send).toHaveBeenCalledWith(
      "sample_tokens",
      { tokenization_id: "tok_4f2a9c1e7b3d5068", split: "train", row: 512 },
      expect.anything(),
    );
    await userEvent.click(screen.getByRole("button", { name: "Hide tokens" }));
    expect(screen.queryByRole("list", { name: "Tokens" })).toBeNull();
  });

  it("reads its tokens when the kernel answers again", async () => {
    const send = vi.fn(async () => aTokenView());
    const props = { sample: row(), tokenization_id: "tok_1", send: send as never };
    const { rerender } = render(<SampleCard {...props} disabled />);
    await expand();
    await userEvent.click(screen.getByRole("button", { name: "Show tokens" }));
    expect(screen.getByText(/^The tokens cannot be read now/)).toBeTruthy();
    expect(send).not.toHaveBeenCalled();
    rerender(<SampleCard {...props} disabled={false} />);
    await waitFor(() => expect(screen.queryByText(/cannot be read now/)).toBeNull());
    expect(send).toHaveBeenCalledOnce();
  });

  it("says that a sample was dropped", async () => {
    const view = aTokenView({ is_dropped: true, tokens: [], num_tokens: 0, spans: [] });
    render(
      <SampleCard
        sample={row()}
        tokenization_id="tok_1"
        disabled={false}
        send={(async () => view) as never}
      />,
    );
    await expand();
    await userEvent.click(screen.getByRole("button", { name: "Show tokens" }));
    expect(await screen.findByText(/dropped this sample/)).toBeTruthy();
  });

  it("says what is shown of a long text, and what a text is that is none", async () => {
    card(row({ text: "cut here", num_chars: 12_000, text_start: 400 }));
    await expand();
    expect(screen.getByText("Characters 401 to 408 of 12,000 are shown")).toBeTruthy();
    card(row({ text: null, num_chars: null, num_tokens: null }), null);
    expect(screen.getByText("No text")).toBeTruthy();
  });

  it("copies its text, and says so", async () => {
    const user = userEvent.setup();
    card(row());
    await user.click(screen.getByRole("button", { name: "Copy to clipboard" }));
    expect(await screen.findByText("Copied")).toBeTruthy();
    expect(await navigator.clipboard.readText()).toBe("Once upon a time");
  });

  it("says that it could not copy where the page has no clipboard", async () => {
    const user = userEvent.setup();
    vi.spyOn(navigator.clipboard, "writeText").mockRejectedValue(new Error("not allowed"));
    document.execCommand = () => false;
    card(row());
    await user.click(screen.getByRole("button", { name: "Copy to clipboard" }));
    expect(await screen.findByText("Could not copy")).toBeTruthy();
  });
});

describe("the text of a sample", () => {
  it("is cut at hits, counted in characters as the kernel does", () => {
    const pieces = piecesOf({
      text: "😀 é 日本",
      highlights: [
        [0, 1],
        [4, 6],
      ],
    });
    expect(pieces).toEqual([
      { text: "😀", isHit: true },
      { text: " é ", isHit: false },
      { text: "日本", isHit: true },
    ]);
  });

  it("begins near the first hit when it is short of room", () => {
    const text = `${"x".repeat(500)}hit${"y".repeat(2000)}`;
    const pieces = previewOf({
      text,
      highlights: [
        [500, 503],
        [2400, 2410],
      ],
    });
    expect(pieces.map(({ text, isHit }) => [text.length, isHit])).toEqual([
      [1, false],
      [60, false],
      [3, true],
      [737, false],
    ]);
    expect(previewOf({ text: "short", highlights: [] })).toEqual([{ text: "short", isHit: false }]);
  });
});
