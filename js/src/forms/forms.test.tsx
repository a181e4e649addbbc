import { fireEvent, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, it, vi } from "vitest";
import { RequestError } from "../kernel/requests";
import { deferred } from "../testing/deferred";
import { aPlan, aTokenization } from "../testing/wire";
import { checkRepoId, DownloadForm, normalizeRepoId } from "./DownloadForm";
import { ImportForm } from "./ImportForm";

const TOKENIZERS = { autoTokenize: null, knownTokenizers: [] };

const refusal = new RequestError({
  code: "repo_not_found",
  message: "There is no dataset a/b.",
  hint: "Check the spelling.",
  field: null,
});

describe("a repository id", () => {
  it.each([
    ["", "Dataset ID is required"],
    ["   ", "Dataset ID is required"],
    ["a b", "Invalid dataset ID format"],
    ["a/b/c", "Invalid dataset ID format"],
    ["/b", "Invalid dataset ID format"],
    ["ä/b", "Invalid dataset ID format"],
    ["x".repeat(501), "Dataset ID too long"],
    ["gpt.2-data_x", null],
    ["Salesforce/wiki.text-103_raw", null],
    [" owner/name ", null],
  ])("%j: %s", (typed, problem) => {
    expect(checkRepoId(typed)).toBe(problem);
  });

  it.each([
    ["https://huggingface.co/datasets/stas/openwebtext-10k", "stas/openwebtext-10k"],
    ["https://hf.co/datasets/stas/openwebtext-10k/tree/main?x=1#y", "stas/openwebtext-10k"],
    ["https://huggingface.co/datasets/squad?x=1", "squad"],
  ])("is taken from %s", (typed, repo_id) => {
    expect(normalizeRepoId(typed)).toBe(repo_id);
  });
});

describe("DownloadForm", () => {
  const repo = () => screen.getByLabelText<HTMLInputElement>(/HuggingFace Dataset ID/);
  const token = () => screen.getByLabelText<HTMLInputElement>("Access Token (optional)");
  const button = () => screen.getByRole<HTMLButtonElement>("button", { name: /Download/ });

  it("sends what was filled in, trimmed, and clears the fields when it was done", async () => {
    const send = vi.fn(async (_kind: string, _params: unknown) => aPlan());
    render(<DownloadForm {...TOKENIZERS} send={send as never} disabled={false} />);
    await userEvent.type(repo(), " a/b ");
    await userEvent.type(token(), "hf_secret");
    await userEvent.type(screen.getByLabelText("Split (optional)"), "train");
    await userEvent.type(screen.getByLabelText("Config (optional)"), "en");
    await userEvent.click(button());
    const params = { repo_id: "a/b", hf_token: "hf_secret", split: "train", config: "en" };
    expect(send.mock.calls.filter(([kind]) => kind === "download")).toEqual([["download", params]]);
    expect(screen.getAllByDisplayValue("")).toHaveLength(5);
  });

  it("shows the token to who wants to see it, and hides the next one", async () => {
    render(
      <DownloadForm {...TOKENIZERS} send={vi.fn(async () => aPlan()) as never} disabled={false} />,
    );
    await userEvent.type(token(), "hf_secret");
    expect(token().type).toBe("password");
    await userEvent.click(screen.getByRole("button", { name: "Show token" }));
    expect(token().type).toBe("text");
    await userEvent.type(repo(), "a/b{Enter}");
    expect(token().value).toBe("");
    expect(token().type).toBe("password");
  });

  describe("then tokenizes", () => {
    const preset = { ...aTokenization().settings, tokenizer: "gpt2", max_length: 128 };
    const field = () => screen.getByLabelText<HTMLInputElement>("Then tokenize with (optional)");
    const show = (autoTokenize: typeof preset | null) => {
      const send = vi.fn(async (_kind: string, _params: unknown) => aPlan());
      const known = [{ value: "/tok/mine.json", label: "mine" }];
      render(
        <DownloadForm
          send={send as never}
          disabled={false}
          autoTokenize={autoTokenize}
          knownTokenizers={known}
        />,
      );
      const params = () =>
        send.mock.calls.filter(([kind]) => kind === "download").map(([, given]) => given);
      return { params };
    };

    it("with what is typed, or not at all", async () => {
      const { params } = show(null);
      await userEvent.type(repo(), "a/b{Enter}");
      await userEvent.type(field(), " /tok/mine.json ");
      await userEvent.type(repo(), "a/b{Enter}");
      expect(params()).toEqual([
        { repo_id: "a/b" },
        { repo_id: "a/b", tokenize: { tokenizer: "/tok/mine.json" } },
      ]);
      expect(field().value).toBe("");
    });

    it("as it is preset, until something else is typed", async () => {
      const { params } = show(preset);
      expect(field().value).toBe("gpt2");
      await userEvent.type(repo(), "a/b{Enter}");
      await userEvent.clear(field());
      await userEvent.type(repo(), "a/b{Enter}");
      expect(field().value).toBe("gpt2");
      await userEvent.clear(field());
      await userEvent.type(field(), "bert-base-uncased");
      await userEvent.type(repo(), "a/b{Enter}");
      expect(params()).toEqual([
        { repo_id: "a/b" },
        { repo_id: "a/b", tokenize: null },
        { repo_id: "a/b", tokenize: { ...preset, tokenizer: "bert-base-uncased" } },
      ]);
    });

    it("also what is imported", async () => {
      const send = vi.fn(async () => aPlan());
      render(<ImportForm {...TOKENIZERS} send={send as never} disabled={false} />);
      await userEvent.type(screen.getByLabelText("Paths"), "/a.txt");
      await userEvent.type(field(), "gpt2{Enter}");
      expect(send).toHaveBeenCalledExactlyOnceWith("import_files", {
        paths: ["/a.txt"],
        tokenize: { tokenizer: "gpt2" },
      });
      expect(field().value).toBe("");
    });
  });

  it("is submitted by Enter, without the fields that are empty", async () => {
    const send = vi.fn(async () => ({}));
    render(<DownloadForm {...TOKENIZERS} send={send as never} disabled={false} />);
    await userEvent.type(repo(), "a/b{Enter}");
    expect(send).toHaveBeenCalledExactlyOnceWith("download", { repo_id: "a/b" });
  });

  it("keeps what was typed and says why, when it was not done", async () => {
    const send = vi.fn(() => Promise.reject(refusal));
    render(<DownloadForm {...TOKENIZERS} send={send as never} disabled={false} />);
    await userEvent.type(repo(), "a/b");
    await userEvent.type(token(), "hf_secret{Enter}");
    expect(await screen.findByText("There is no dataset a/b.")).toBeTruthy();
    expect(screen.getByText("Check the spelling.")).toBeTruthy();
    expect(repo().value).toBe("a/b");
    expect(token().value).toBe("hf_secret");
    await userEvent.type(repo(), "c");
    expect(screen.queryByText("There is no dataset a/b.")).toBeNull();
  });

  it("marks the field that the kernel names", async () => {
    const info = { code: "invalid_request", message: "No split x.", hint: null, field: "split" };
    const send = () => Promise.reject(new RequestError(info));
    render(<DownloadForm {...TOKENIZERS} send={send as never} disabled={false} />);
    await userEvent.type(repo(), "a/b{Enter}");
    const split = await screen.findByLabelText("Split (optional)");
    expect(split.getAttribute("aria-invalid")).toBe("true");
  });

  it("sends nothing twice", async () => {
    const { promise, resolve } = deferred();
    const send = vi.fn(() => promise);
    render(<DownloadForm {...TOKENIZERS} send={send as never} disabled={false} />);
    await userEvent.type(repo(), "a/b{Enter}");
    expect(button().textContent).toBe("Downloading...");
    expect(button().disabled).toBe(true);
    expect(repo().disabled).toBe(true);
    await userEvent.click(button());
    resolve();
    await screen.findByText("Download Dataset");
    expect(send).toHaveBeenCalledOnce();
  });

  it("does not take spaces for an id", async () => {
    const send = vi.fn();
    render(<DownloadForm {...TOKENIZERS} send={send as never} disabled={false} />);
    expect(button().disabled).toBe(true);
    await userEvent.type(repo(), "   {Enter}");
    expect(button().disabled).toBe(true);
    await userEvent.tab();
    expect(screen.getByText("Dataset ID is required")).toBeTruthy();
    expect(send).not.toHaveBeenCalled();
  });

  it("sends no id of a wrong form", async () => {
    const send = vi.fn();
    render(<DownloadForm {...TOKENIZERS} send={send as never} disabled={false} />);
    await userEvent.type(repo(), "a b{Enter}");
    expect(screen.getByText("Invalid dataset ID format")).toBeTruthy();
    expect(repo().getAttribute("aria-invalid")).toBe("true");
    expect(send).not.toHaveBeenCalled();
  });

  it("hides the token", () => {
    render(<DownloadForm {...TOKENIZERS} send={vi.fn() as never} disabled={false} />);
    expect(token().type).toBe("password");
    expect(repo().name).toBe("dataset_id");
  });

  it("waits for the kernel to come back", async () => {
    const send = vi.fn();
    render(<DownloadForm {...TOKENIZERS} send={send as never} disabled />);
    await userEvent.type(repo(), "a/b{Enter}");
    expect(button().disabled).toBe(true);
    expect(send).not.toHaveBeenCalled();
  });
});

describe("ImportForm", () => {
  const paths = () => screen.getByLabelText<HTMLTextAreaElement>("Paths");
  const button = () => screen.getByRole<HTMLButtonElement>("button", { name: "Import Files" });

  it("sends one path or glob per line, and clears the fields when it was done", async () => {
    const send = vi.fn(async () => ({}));
    render(<ImportForm {...TOKENIZERS} send={send as never} disabled={false} />);
    expect(button().disabled).toBe(true);
    await userEvent.type(paths(), " ~/corpus/*.txt {Enter}{Enter}/data/a.jsonl.gz");
    await userEvent.type(screen.getByLabelText("Name (optional)"), "mine");
    await userEvent.type(screen.getByLabelText("Split (optional)"), "test");
    await userEvent.click(button());
    const params = { paths: ["~/corpus/*.txt", "/data/a.jsonl.gz"], name: "mine", split: "test" };
    expect(send).toHaveBeenCalledExactlyOnceWith("import_files", params);
    expect(paths().value).toBe("");
  });

  const divide = () => screen.getByLabelText<HTMLInputElement>("Divide into splits (optional)");
  const sampleBy = () => screen.getByLabelText<HTMLSelectElement>("Sample by");

  it("divides into splits, instead of one, and samples as was chosen", async () => {
    const send = vi.fn(async () => ({}));
    render(<ImportForm {...TOKENIZERS} send={send as never} disabled={false} />);
    await userEvent.type(paths(), "/data");
    await userEvent.type(screen.getByLabelText("Split (optional)"), "test");
    await userEvent.type(divide(), "train 90, validation 5, test 5");
    expect(screen.getByLabelText<HTMLInputElement>("Split (optional)").disabled).toBe(true);
    await userEvent.selectOptions(sampleBy(), "Document");
    await userEvent.click(button());
    const splits = { train: 0.9, validation: 0.05, test: 0.05 };
    const params = { paths: ["/data"], splits, sample_by: "document" };
    expect(send).toHaveBeenCalledExactlyOnceWith("import_files", params);
    expect(divide().value).toBe("");
    expect(sampleBy().value).toBe("");
  });

  it("sends no shares that are wrong", async () => {
    const send = vi.fn(async () => ({}));
    render(<ImportForm {...TOKENIZERS} send={send as never} disabled={false} />);
    await userEvent.type(paths(), "/data");
    await userEvent.type(divide(), "train 90");
    expect(divide().getAttribute("aria-invalid")).toBeNull();
    await userEvent.click(button());
    expect(screen.getByText("The shares add up to 90, not to 100")).toBeTruthy();
    expect(divide().getAttribute("aria-invalid")).toBe("true");
    expect(send).not.toHaveBeenCalled();
    await userEvent.type(divide(), ", test 10");
    expect(divide().getAttribute("aria-invalid")).toBeNull();
    await userEvent.type(divide(), "{Enter}");
    expect(send).toHaveBeenCalledOnce();
  });

  it.each([
    ["splits", "Divide into splits (optional)"],
    ["sample_by", "Sample by"],
    ["name", "Name (optional)"],
    ["split", "Split (optional)"],
  ])("marks the field %s when the kernel names it", async (field, label) => {
    const info = { code: "invalid_request", message: "No.", hint: null, field };
    const send = () => Promise.reject(new RequestError(info));
    render(<ImportForm {...TOKENIZERS} send={send as never} disabled={false} />);
    await userEvent.type(paths(), "x");
    await userEvent.click(button());
    expect((await screen.findByLabelText(label)).getAttribute("aria-invalid")).toBe("true");
  });

  it.each([
    ["   ", "Only blanks: type a name, or empty the field"],
    ["x".repeat(501), "At most 500 characters"],
  ])("does not take the name %o", async (typed, problem) => {
    const send = vi.fn(async () => ({}));
    render(<ImportForm {...TOKENIZERS} send={send as never} disabled={false} />);
    await userEvent.type(paths(), "/data");
    const name = screen.getByLabelText("Name (optional)");
    fireEvent.change(name, { target: { value: typed } });
    await userEvent.click(button());
    expect(screen.getByText(problem)).toBeTruthy();
    expect(send).not.toHaveBeenCalled();
    await userEvent.clear(name);
    expect(screen.queryByText(problem)).toBeNull();
    await userEvent.click(button());
    expect(send).toHaveBeenCalledExactlyOnceWith("import_files", { paths: ["/data"] });
  });

  it("says which path is wrong", async () => {
    const info = {
      code: "invalid_request",
      message: "No file x.",
      hint: "Check it.",
      field: "paths",
    };
    const send = () => Promise.reject(new RequestError(info));
    render(<ImportForm {...TOKENIZERS} send={send as never} disabled={false} />);
    await userEvent.type(paths(), "x");
    await userEvent.click(button());
    expect(await screen.findByText("No file x.")).toBeTruthy();
    expect(paths().getAttribute("aria-invalid")).toBe("true");
    expect(paths().value).toBe("x");
  });
});
