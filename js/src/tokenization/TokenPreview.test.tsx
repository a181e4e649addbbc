import { fireEvent, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, it, vi } from "vitest";
import { RequestError } from "../kernel/requests";
import { aCard, aPreview, aTokenization } from "../testing/wire";
import { TokenizationTab } from "./TokenizationTab";
import { TokenPreview, type TokenPreviewProps } from "./TokenPreview";

type Answer = (params: Record<string, unknown>) => unknown;

function show(answer: Answer = () => aPreview(), change: Partial<TokenPreviewProps> = {}) {
  const send = vi.fn(
    async (_kind: string, params: Record<string, unknown>, _options?: { signal?: AbortSignal }) =>
      answer(params),
  );
  const props: TokenPreviewProps = {
    dataset: aCard(),
    splits: { train: 100, test: 10 },
    settings: { tokenizer: "gpt2", max_length: 8 },
    disabled: false,
    send: send as never,
    ...change,
  };
  const { rerender } = render(<TokenPreview {...props} />);
  return {
    asked: () => send.mock.calls.map((call) => call[1]),
    calls: () => send.mock.calls,
    update: (next: Partial<TokenPreviewProps>) => rerender(<TokenPreview {...props} {...next} />),
  };
}

const field = () => screen.getByLabelText("Text to preview tokenization");
const button = () => screen.getByRole<HTMLButtonElement>("button", { name: "Tokenize Preview" });

describe("TokenPreview", () => {
  it("shows what is typed as it is typed, with special tokens, counts and mask", async () => {
    const { asked } = show();
    expect(button().disabled).toBe(true);
    await userEvent.type(field(), "abc");
    expect(screen.getByText("Shown as you type • 3 / 1,000")).toBeTruthy();
    const chips = within(await screen.findByRole("list", { name: "Tokens" })).getAllByRole(
      "listitem",
    );
    expect(asked()).toEqual([{ text: "abc", settings: { tokenizer: "gpt2", max_length: 8 } }]);
    const { tokens, num_tokens, num_padding } = aPreview();
    expect(chips).toHaveLength(tokens.length);
    expect(chips[4]?.dataset["part"]).toBe("token.chip.special");
    expect(chips[0]?.title).toBe("Position: 0, ID: 33768, Type: regular");
    const count = document.querySelector("[data-part='preview.count']")?.textContent;
    expect(count).toContain(`${num_tokens} tokens`);
    expect(count).toContain(`${num_padding} padding`);
    const zeros = document.querySelectorAll("[data-part='attention.mask.zero']");
    expect(zeros).toHaveLength(num_padding);
  });

  it("counts characters as the kernel does, and takes a thousand of them", async () => {
    const { asked } = show();
    fireEvent.change(field(), { target: { value: "a🙂b" } });
    expect(screen.getByText("Shown as you type • 3 / 1,000")).toBeTruthy();
    fireEvent.change(field(), { target: { value: "🙂".repeat(1001) } });
    expect(screen.getByText("Shown as you type • 1,000 / 1,000")).toBeTruthy();
    await waitFor(() => expect(asked().at(-1)).toMatchObject({ text: "🙂".repeat(1000) }));
  });

  it("ends the older question, and asks nothing for an empty text", async () => {
    const never = new Promise(() => undefined);
    const { calls } = show(({ text }) => (text === "a" ? never : aPreview()));
    await userEvent.type(field(), "a");
    await waitFor(() => expect(calls()).toHaveLength(1));
    await userEvent.type(field(), "b");
    await screen.findByRole("list", { name: "Tokens" });
    expect(calls().map((call) => call[2]?.signal?.aborted)).toEqual([true, false]);
    await userEvent.clear(field());
    expect(screen.queryByRole("list", { name: "Tokens" })).toBeNull();
    expect(calls()).toHaveLength(2);
  });

  it("asks at once when its button is pressed, and again after an error", async () => {
    let fails = true;
    const error = new RequestError({ code: "x", message: "None.", hint: "Log in.", field: null });
    const { asked } = show(() => (fails ? Promise.reject(error) : aPreview()));
    await userEvent.type(field(), "a");
    await userEvent.click(button());
    expect(await screen.findByText("None.")).toBeTruthy();
    expect(screen.getByText("Log in.")).toBeTruthy();
    fails = false;
    await userEvent.click(button());
    expect(await screen.findByRole("list", { name: "Tokens" })).toBeTruthy();
    expect(asked()).toHaveLength(2);
  });

  it("previews a sample of the dataset, counted from 1", async () => {
    const { asked } = show();
    await userEvent.click(screen.getByLabelText("A sample of this dataset"));
    await screen.findByRole("list", { name: "Tokens" });
    await userEvent.selectOptions(screen.getByLabelText("Split of the sample"), "test");
    await userEvent.clear(screen.getByLabelText("Sample #"));
    await userEvent.type(screen.getByLabelText("Sample #"), "10{Enter}");
    await waitFor(() =>
      expect(asked().at(-1)).toMatchObject({ dataset_id: aCard().id, split: "test", row: 9 }),
    );
    await userEvent.type(screen.getByLabelText("Sample #"), "0");
    expect(screen.getByLabelText("Sample #").getAttribute("aria-invalid")).toBe("true");
    expect(button().disabled).toBe(true);
  });

  it("follows the settings, and waits for those that can be used", async () => {
    const { asked, update } = show();
    await userEvent.type(field(), "a");
    await waitFor(() => expect(asked()).toHaveLength(1));
    update({ settings: null });
    expect(screen.getByText("The settings above cannot be used yet.")).toBeTruthy();
    update({ settings: { tokenizer: "other" } });
    await waitFor(() => expect(asked()).toHaveLength(2), { timeout: 3000 });
    expect(asked()[1]).toMatchObject({ settings: { tokenizer: "other" } });
  });

  it("says that a sample would be dropped, cut or cleaned", async () => {
    const dropped = aPreview({ dropped: "too_short", tokens: [] });
    show(({ text }) =>
      text === "a" ? dropped : aPreview({ is_cut: true, num_beyond: 3, chars_cleaned: 2 }),
    );
    await userEvent.type(field(), "a");
    expect(await screen.findByText(/would be dropped: too short/)).toBeTruthy();
    await userEvent.type(field(), "b");
    expect(await screen.findByText(/3 more do not fit.+2 cleaned/)).toBeTruthy();
    expect(screen.getByText(/Only the beginning of this sample/)).toBeTruthy();
  });

  it("shows readers what was tokenized, without a template of their own", async () => {
    const { settings } = aTokenization();
    const records = [
      aTokenization({ id: "tok_1", settings: { ...settings, chat_template: "{{ x }}" } }),
      aTokenization({ id: "tok_2", settings: { ...settings, tokenizer: "second" } }),
    ];
    const send = vi.fn(async (_kind: string, _params: { settings: object }) => aPreview());
    render(
      <TokenizationTab
        dataset={aCard()}
        datasets={[]}
        records={records}
        failed={null}
        jobs={[]}
        readOnly
        disabled={false}
        columns={[]}
        splits={{ train: 1 }}
        send={send as never}
        onDelete={vi.fn()}
      />,
    );
    await userEvent.type(field(), "a");
    await screen.findByRole("list", { name: "Tokens" });
    expect(send.mock.calls[0]?.[1].settings).not.toHaveProperty("chat_template");
    await userEvent.selectOptions(screen.getByLabelText("Preview With"), "tok_2");
    await waitFor(
      () => expect(send.mock.calls.at(-1)?.[1].settings).toMatchObject({ tokenizer: "second" }),
      { timeout: 3000 },
    );
  });

  it("does not begin a tokenization when Enter is pressed in it", async () => {
    const send = vi.fn(async (_kind: string) => aPreview());
    render(
      <TokenizationTab
        dataset={aCard()}
        datasets={[]}
        records={[]}
        failed={null}
        jobs={[]}
        readOnly={false}
        disabled={false}
        columns={[]}
        splits={{ train: 3 }}
        send={send as never}
        onDelete={vi.fn()}
      />,
    );
    await userEvent.click(screen.getByLabelText("A sample of this dataset"));
    await userEvent.keyboard("{Enter}");
    await userEvent.type(screen.getByLabelText("Sample #"), "{Enter}");
    await screen.findByRole("list", { name: "Tokens" });
    expect(send.mock.calls.every(([kind]) => kind === "preview_tokens")).toBe(true);
  });
});
