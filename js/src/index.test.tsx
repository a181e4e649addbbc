import { act, fireEvent, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import widget from "./index";
import type { ErrorInfo, StorageReport } from "./protocol.gen";
import { FakeModel } from "./testing/model";
import { aCard, aTokenization, golden, goldenRecord, goldenState } from "./testing/wire";
import { LEAVE_MS } from "./ui/usePresence";

// React's act() wants to be told that this is a test
Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });

const FAILURE = golden("failure")["error"] as ErrorInfo;

let close: () => void = () => undefined;

function show(state: ConstructorParameters<typeof FakeModel>[0] = goldenState()) {
  const model = new FakeModel(state);
  const el = document.createElement("div");
  document.body.append(el);
  act(() => {
    close = widget.render({ model, el });
  });
  const shadow = el.shadowRoot;
  if (shadow === null) throw new Error("the panel has no shadow root");
  const panel = within(shadow.firstElementChild as HTMLElement);
  return { model, el, shadow, panel };
}

beforeEach(() => {
  vi.useFakeTimers({ shouldAdvanceTime: true });
});

afterEach(() => {
  act(() => close());
  vi.useRealTimers();
  document.body.replaceChildren();
  Reflect.deleteProperty(document, Symbol.for("mistudio_widgets.claims"));
  for (const name of document.body.getAttributeNames()) document.body.removeAttribute(name);
});

/** Wait until a dialog that was closed has faded away. */
const faded = () => act(() => vi.advanceTimersByTimeAsync(LEAVE_MS));

describe("the host", () => {
  it("keeps notebook shortcuts away and styles inside", () => {
    const { el, shadow } = show();
    expect(el.hasAttribute("data-lm-suppress-shortcuts")).toBe(true);
    expect(el.tabIndex).toBe(-1);
    expect(shadow.adoptedStyleSheets).toHaveLength(1);
    expect(document.adoptedStyleSheets ?? []).toHaveLength(0);
  });

  it("tells nobody around it what is typed: JupyterLab would prevent a new line", () => {
    const { el, panel } = show();
    const told = vi.fn();
    el.addEventListener("beforeinput", told);
    const typed = new Event("beforeinput", { bubbles: true, composed: true, cancelable: true });
    fireEvent(panel.getAllByRole("textbox")[0] as Element, typed);
    expect(told).not.toHaveBeenCalled();
  });

  it("adopts its stylesheet again, and shows its dialog as a modal again, when it was moved", async () => {
    const { el, shadow, panel } = show();
    await userEvent.click(panel.getAllByRole("button", { name: "Delete dataset" })[0] as Element);
    const dialog = panel.getByRole<HTMLDialogElement>("alertdialog");
    // what a move leaves behind: no stylesheets, and a dialog that is open but not modal
    shadow.adoptedStyleSheets = [];
    vi.spyOn(dialog, "matches").mockReturnValue(false);
    const showModal = vi.spyOn(dialog, "showModal");
    const parent = document.createElement("section");
    document.body.append(parent);
    await act(async () => {
      parent.append(el);
    });
    expect(shadow.adoptedStyleSheets).toHaveLength(1);
    expect(showModal).toHaveBeenCalledOnce();
    expect(panel.getByRole<HTMLDialogElement>("alertdialog").open).toBe(true);
  });

  it("leaves nothing behind", () => {
    const { model, shadow } = show();
    act(() => close());
    expect(model.listenerCount).toBe(0);
    expect(shadow.childElementCount).toBe(0);
  });

  it("can be rendered again into the same element", () => {
    const { el } = show();
    act(() => close());
    act(() => {
      close = widget.render({ model: new FakeModel(goldenState()), el });
    });
    expect(el.shadowRoot?.querySelector('[data-part~="panel.root"]')).not.toBeNull();
  });

  it.each([true, false])("is as high as the page only in Voila: %s", (inVoila) => {
    if (inVoila) document.body.dataset["voila"] = "voila";
    const { shadow } = show();
    const root = shadow.querySelector('[data-part~="panel.root"]');
    expect(root?.classList.contains("min-h-screen")).toBe(inVoila);
  });

  it("leaves room on a Voila page for what is around it", () => {
    document.body.dataset["voila"] = "voila";
    vi.spyOn(document.body, "scrollHeight", "get").mockReturnValue(1003);
    vi.spyOn(document.body, "clientHeight", "get").mockReturnValue(900);
    const hostHeight = vi.spyOn(HTMLDivElement.prototype, "clientHeight", "get");
    hostHeight.mockReturnValue(900);
    const { shadow } = show();
    const root = shadow.querySelector<HTMLElement>('[data-part~="panel.root"]');
    expect(root?.getAttribute("style")).toContain("calc(100vh - 103px)");
  });

  it.each([
    ["false", "#020617"],
    ["true", ""],
  ])("gives a Voila page its own surface only where that is dark: light is %s", (light, color) => {
    Object.assign(document.body.dataset, { voila: "voila", jpThemeLight: light });
    show();
    expect(document.body.style.getPropertyValue("--jp-layout-color0")).toBe(color);
  });
});

describe("the panel", () => {
  it("lists the datasets", () => {
    const { panel } = show();
    expect(panel.getByRole("heading", { level: 1 }).textContent).toBe("Datasets");
    expect(panel.getByRole("heading", { name: "Your Datasets (2)" })).toBeTruthy();
    expect(panel.getAllByRole("heading", { level: 3 })).toHaveLength(2);
    expect(panel.getByRole("progressbar").getAttribute("aria-valuenow")).toBe("45.2");
  });

  it("follows the kernel", () => {
    const { model, panel } = show({ ...goldenState(), datasets: [], total: 0, jobs: [] });
    expect(panel.getByText("No datasets yet")).toBeTruthy();
    act(() => model.publish({ datasets: goldenState().datasets, total: 2 }));
    expect(panel.queryByText("No datasets yet")).toBeNull();
    expect(panel.getAllByRole("heading", { level: 3 })).toHaveLength(2);
  });

  it("asks for further pages where there are more than it publishes", async () => {
    const { model, panel } = show({ ...goldenState(), total: 51 });
    expect(panel.getByRole("heading", { name: "Your Datasets (51)" })).toBeTruthy();
    await userEvent.click(panel.getByRole("button", { name: "Next" }));
    await act(() => vi.advanceTimersByTimeAsync(400));
    const request = model.requests("list_datasets")[0];
    expect(request).toMatchObject({ limit: 50, offset: 50 });
    const items = [aCard({ id: "ds_last", name: "The last one" })];
    const result = { items, total: 51, limit: 50, offset: 50 };
    await act(async () => {
      model.reply({ request_id: request?.request_id, ok: true, result });
    });
    expect(panel.getByText("The last one")).toBeTruthy();
    expect(panel.getByText("Showing 51-51 of 51")).toBeTruthy();
    await userEvent.click(panel.getByRole("button", { name: "Delete dataset" }));
    expect(panel.getByRole("alertdialog").textContent).toContain("The last one");
    await userEvent.click(panel.getByRole("button", { name: /Keep|Cancel/ }));
    await userEvent.click(panel.getByRole("button", { name: "Previous" }));
    expect(panel.getAllByRole("heading", { level: 3 })).toHaveLength(2);
  });

  it("searches and filters the list, shows progress there too, and asks again for what is new", async () => {
    const { model, panel } = show({ ...goldenState(), total: 9 });
    const search = panel.getByLabelText("Search datasets by name, repository or description");
    await userEvent.type(search, " tiny");
    await userEvent.selectOptions(panel.getByLabelText("Filter by status"), "ready");
    await act(() => vi.advanceTimersByTimeAsync(400));
    const requests = () => model.requests("list_datasets");
    expect(requests()).toHaveLength(1);
    expect(requests()[0]).toMatchObject({ search: "tiny", status: "ready", offset: 0 });
    const answer = async (items: unknown[]) => {
      const result = { items, total: items.length, limit: 50, offset: 0 };
      await act(async () => {
        model.reply({ request_id: requests().at(-1)?.request_id, ok: true, result });
      });
    };
    const [first] = goldenState().datasets;
    await answer([{ ...first, name: "An older name" }]);
    expect(panel.queryByText("An older name")).toBeNull();
    expect(panel.getAllByRole("heading", { level: 3 })).toHaveLength(1);
    const [job] = goldenState().jobs;
    act(() => model.publish({ jobs: [{ ...job, progress: 46 }] as never }));
    await act(() => vi.advanceTimersByTimeAsync(400));
    expect(requests()).toHaveLength(1);
    act(() => model.publish({ total: 10 }));
    await act(() => vi.advanceTimersByTimeAsync(400));
    expect(requests()).toHaveLength(2);
    await answer([]);
    expect(panel.getByText("No dataset matches")).toBeTruthy();
    // what filters must not go while it does
    act(() => model.publish({ total: 3 }));
    expect(panel.getByLabelText("Filter by status")).toBeTruthy();
    fireEvent.change(search, { target: { value: "" } });
    fireEvent.change(panel.getByLabelText("Filter by status"), { target: { value: "" } });
    expect(panel.getAllByRole("heading", { level: 3 })).toHaveLength(2);
  });

  it("says why the list cannot be searched", async () => {
    const { model, panel } = show({ ...goldenState(), total: 9 });
    await userEvent.selectOptions(panel.getByLabelText("Filter by status"), "error");
    await act(() => vi.advanceTimersByTimeAsync(400));
    const request_id = model.requests("list_datasets")[0]?.request_id;
    const error = { code: "x", message: "The catalog is busy.", hint: "Wait.", field: null };
    await act(async () => {
      model.reply({ request_id, ok: false, error });
    });
    expect(panel.getByText("The catalog is busy.")).toBeTruthy();
  });

  it("shows the job that runs before one that waits", () => {
    const [job] = goldenState().jobs;
    if (job === undefined) throw new Error("a job is needed");
    const queued = { ...job, id: `job_${"9".repeat(32)}`, state: "queued" as const, progress: 0 };
    const { panel } = show({ ...goldenState(), jobs: [queued, job, { ...queued, id: "job_0" }] });
    expect(panel.getByRole("progressbar").getAttribute("aria-valuenow")).toBe("45.2");
  });

  it("has a second way in: local files", async () => {
    const { panel, model } = show();
    expect(panel.getByRole("heading", { name: "Download from HuggingFace" })).toBeTruthy();
    await userEvent.click(panel.getByRole("button", { name: "Import local files" }));
    await userEvent.type(panel.getByLabelText("Paths"), "~/a.txt");
    await userEvent.click(panel.getByRole("button", { name: "Import Files" }));
    expect(model.requests("import_files")).toMatchObject([{ paths: ["~/a.txt"] }]);
    await userEvent.click(panel.getByRole("button", { name: "Download from HuggingFace" }));
    expect(panel.getByRole("button", { name: "Download Dataset" })).toBeTruthy();
  });

  it("downloads, cancels, retries and deletes through the kernel", async () => {
    const { panel, model } = show();
    const [running, broken] = goldenState().datasets;
    const reply = async (kind: string) => {
      const { request_id } = model.requests(kind).at(-1) ?? {};
      await act(async () => model.reply({ ...golden(`reply_${kind}`), request_id }));
    };
    await userEvent.type(panel.getByLabelText(/HuggingFace Dataset ID/), "a/b{Enter}");
    expect(model.requests("download")).toMatchObject([{ repo_id: "a/b" }]);
    await reply("download");
    await userEvent.click(panel.getByRole("button", { name: "Cancel tokenization" }));
    expect(model.requests("cancel")).toMatchObject([{ job_id: goldenState().jobs[0]?.id }]);
    await reply("cancel");
    await userEvent.click(panel.getByRole("button", { name: "Retry" }));
    expect(model.requests("retry")).toMatchObject([{ dataset_id: broken?.id }]);
    await reply("retry");
    await userEvent.click(panel.getByRole("button", { name: "Delete dataset" }));
    await userEvent.click(panel.getByRole("button", { name: "Delete" }));
    expect(model.requests("delete_dataset")).toMatchObject([{ dataset_id: broken?.id }]);
    await reply("delete_dataset");
    await faded();
    expect(panel.queryByRole("alertdialog")).toBeNull();
    await userEvent.click(panel.getByRole("button", { name: running?.name ?? "" }));
    expect(model.requests("get_dataset")).toMatchObject([{ dataset_id: running?.id }]);
    await reply("get_dataset");
    await userEvent.click(panel.getByRole("button", { name: "Close" }));
    await faded();
    expect(panel.queryByRole("dialog")).toBeNull();
  });

  describe("the dialog of a dataset fades away", () => {
    const open = async () => {
      const shown = show();
      await userEvent.click(shown.panel.getByRole("button", { name: "TinyStories" }));
      const dialog = shown.panel.getByRole<HTMLDialogElement>("dialog");
      const pressEscape = () => fireEvent(dialog, new Event("cancel", { cancelable: true }));
      return { ...shown, dialog, pressEscape };
    };
    const part = (shadow: ShadowRoot, name: string) =>
      shadow.querySelector<HTMLElement>(`[data-part~="${name}"]`);

    it("and only then gives the focus back, whatever is pressed meanwhile", async () => {
      const { panel, shadow, dialog, pressEscape, model } = await open();
      panel.getByRole("button", { name: "Close" }).focus();
      expect(part(shadow, "modal.panel")?.className).toContain("animate-dialog-in");
      pressEscape();
      expect(part(shadow, "modal.panel")?.className).toContain("animate-dialog-out");
      expect(dialog.className).toContain("animate-backdrop-out");
      await act(() => vi.advanceTimersByTimeAsync(LEAVE_MS - 50));
      pressEscape();
      // the browser itself closes a dialog at a second Escape
      act(() => dialog.close());
      expect(dialog.isConnected).toBe(true);
      expect(dialog.contains(shadow.activeElement)).toBe(true);
      await act(() => vi.advanceTimersByTimeAsync(50));
      expect(dialog.isConnected).toBe(false);
      expect(shadow.activeElement).toBe(panel.getByRole("button", { name: "TinyStories" }));
      expect(model.get("selected")).toBeNull();
    });

    it("or comes back when it is opened again", async () => {
      const { panel, model, dialog, pressEscape } = await open();
      const id = model.get("selected") as string;
      pressEscape();
      act(() => model.publish({ selected: id }));
      await faded();
      expect(panel.getByRole("dialog")).toBe(dialog);
      expect(dialog.className).not.toContain("animate-backdrop-out");
    });

    it("or is gone at once for who wants no motion", async () => {
      vi.spyOn(window, "matchMedia").mockImplementation(
        (query) => ({ matches: query.includes("reduced-motion: reduce") }) as MediaQueryList,
      );
      const { dialog, pressEscape } = await open();
      pressEscape();
      expect(dialog.isConnected).toBe(false);
    });
  });

  it("gives the focus to the heading where the card that had it is gone", async () => {
    const { panel, shadow, model } = show();
    await userEvent.click(panel.getByRole("button", { name: "Delete dataset" }));
    await userEvent.click(panel.getByRole("button", { name: "Delete" }));
    const request_id = model.requests("delete_dataset")[0]?.request_id;
    act(() => model.publish({ datasets: goldenState().datasets.slice(0, 1), total: 1 }));
    await act(async () => model.reply({ request_id, ok: true, result: { freed_bytes: 1 } }));
    await faded();
    expect(panel.queryByRole("alertdialog")).toBeNull();
    expect(shadow.activeElement).toBe(panel.getByRole("heading", { level: 1 }));
  });

  it("gives the focus to the heading when a card goes that has it", () => {
    const { panel, model, shadow } = show();
    const [first, ...others] = goldenState().datasets;
    const buttons = panel.getAllByRole("button", { name: /^(Delete dataset|Cancel)/ });
    act(() => buttons[0]?.focus());
    expect(shadow.activeElement).toBe(buttons[0]);
    expect(buttons[0]?.closest("[data-dataset-id]")?.getAttribute("data-dataset-id")).toBe(
      first?.id,
    );
    act(() => model.publish({ datasets: others, total: others.length }));
    expect(shadow.activeElement).toBe(panel.getByRole("heading", { name: "Datasets" }));
  });

  it("tells the kernel which dataset is open", async () => {
    const { panel, model } = show();
    await userEvent.click(panel.getByRole("button", { name: "TinyStories" }));
    await userEvent.click(panel.getByRole("button", { name: "Close" }));
    expect(model.saved).toEqual([goldenState().datasets[0]?.id, null]);
  });

  it("opens and closes what the kernel selects", async () => {
    const [first, second] = goldenState().datasets;
    if (first === undefined || second === undefined) throw new Error("two datasets are needed");
    const { panel, model } = show({ ...goldenState(), selected: first.id });
    const title = () => within(panel.getByRole("dialog")).getByRole("heading", { level: 2 });
    expect(title().textContent).toBe(first.name);
    act(() => model.publish({ selected: second.id }));
    expect(title().textContent).toBe(second.name);
    act(() => model.publish({ selected: null }));
    await faded();
    expect(panel.queryByRole("dialog")).toBeNull();
    act(() => model.publish({ selected: "ds_unknown" }));
    await faded();
    expect(panel.queryByRole("dialog")).toBeNull();
  });

  it("closes the dialog of a dataset that is gone", async () => {
    const { panel, model } = show();
    await userEvent.click(panel.getByRole("button", { name: "TinyStories" }));
    expect(panel.getByRole("dialog")).toBeTruthy();
    act(() => model.publish({ datasets: [], total: 0 }));
    await faded();
    expect(panel.queryByRole("dialog")).toBeNull();
    expect(model.get("selected")).toBeNull();
  });

  describe("a selected dataset that is not on the list", () => {
    const elsewhere = { ...goldenRecord(), id: "ds_elsewhere", name: "Elsewhere" };
    const start = (selected: string) => {
      const shown = show({ ...goldenState(), total: 51, selected });
      const answer = (kind: string, reply: object) =>
        act(async () => {
          for (const { request_id } of shown.model.requests(kind).slice(-1)) {
            shown.model.reply({ request_id, ...reply });
          }
        });
      return { ...shown, answer };
    };
    const failed = {
      ok: false,
      error: { code: "not_found", message: "There is none.", hint: null, field: null },
    };

    it("is fetched, and kept up to date", async () => {
      const { panel, model, answer } = start(elsewhere.id);
      await faded();
      expect(panel.queryByRole("dialog")).toBeNull();
      await answer("get_dataset", { ok: true, result: elsewhere });
      await answer("list_tokenizations", { ok: true, result: [aTokenization()] });
      const dialog = within(panel.getByRole("dialog", { name: "Elsewhere" }));
      expect(dialog.getByText("957.86 MB • 2,141,709 samples")).toBeTruthy();
      act(() => model.publish({ datasets: [aCard({ progress: 1 })] }));
      await answer("get_dataset", failed);
      await faded();
      expect(panel.queryByRole("dialog")).toBeNull();
      expect(model.get("selected")).toBeNull();
    });

    it("stays open when newer ones push it off the list", async () => {
      const [first, second] = goldenState().datasets;
      if (first === undefined || second === undefined) throw new Error("two datasets are needed");
      const { panel, model } = start(first.id);
      expect(panel.getByRole("dialog", { name: first.name })).toBeTruthy();
      act(() => model.publish({ datasets: [second] }));
      expect(panel.getByRole("dialog", { name: first.name })).toBeTruthy();
      expect(model.get("selected")).toBe(first.id);
    });

    it("stays shut while the kernel cannot tell", async () => {
      const { panel, model, answer } = start(elsewhere.id);
      await answer("get_dataset", { ...failed, error: { ...failed.error, code: "timeout" } });
      await faded();
      expect(panel.queryByRole("dialog")).toBeNull();
      expect(model.get("selected")).toBe(elsewhere.id);
    });
  });

  it("opens no dialog in a view that is not on the screen", async () => {
    const sizes: ((width: number) => void)[] = [];
    class Observer {
      constructor(callback: (entries: { contentRect: { width: number } }[]) => void) {
        sizes.push((width) => callback([{ contentRect: { width } }]));
      }
      observe() {}
      disconnect() {}
    }
    vi.stubGlobal("ResizeObserver", Observer);
    const { panel } = show({ ...goldenState(), selected: goldenState().datasets[0]?.id ?? null });
    await faded();
    expect(panel.queryByRole("dialog")).toBeNull();
    act(() => sizes[0]?.(800));
    expect(panel.getByRole("dialog")).toBeTruthy();
    act(() => sizes[0]?.(0));
    await faded();
    expect(panel.queryByRole("dialog")).toBeNull();
    vi.unstubAllGlobals();
  });

  describe("in two views of a page", () => {
    const showTwo = (selected: string | null) => {
      const state = { ...goldenState(), selected };
      const first = show(state);
      const closeFirst = close;
      const el = document.createElement("div");
      document.body.append(el);
      let closeSecond: () => void = () => undefined;
      act(() => {
        closeSecond = widget.render({ model: first.model, el });
      });
      close = () => {
        // happy-dom cannot tell what has the focus in one shadow root while it is in another
        const focused = document.activeElement?.shadowRoot?.activeElement;
        if (focused instanceof HTMLElement) focused.blur();
        closeFirst();
        closeSecond();
      };
      const second = within(el.shadowRoot?.firstElementChild as HTMLElement);
      return { model: first.model, first: first.panel, second, closeFirst };
    };
    const [dataset] = goldenState().datasets;
    const id = dataset?.id ?? "";
    const name = dataset?.name ?? "";

    it("opens a dataset in the one where it was pressed, and is closed by it", async () => {
      const { model, first, second } = showTwo(null);
      await userEvent.click(second.getByRole("button", { name }));
      expect(second.getByRole("dialog")).toBeTruthy();
      expect(first.queryByRole("dialog")).toBeNull();
      expect(model.get("selected")).toBe(id);
      fireEvent(second.getByRole("dialog"), new Event("cancel", { cancelable: true }));
      await faded();
      expect(second.queryByRole("dialog")).toBeNull();
      expect(model.get("selected")).toBeNull();
      await userEvent.click(first.getByRole("button", { name }));
      expect(first.getByRole("dialog")).toBeTruthy();
      expect(second.queryByRole("dialog")).toBeNull();
    });

    it("opens what the kernel selects in the one used last, else the first", async () => {
      const { model, first, second } = showTwo(id);
      expect(first.getByRole("dialog")).toBeTruthy();
      expect(second.queryByRole("dialog")).toBeNull();
      act(() => model.publish({ selected: null }));
      await faded();
      await userEvent.click(second.getByRole("button", { name }));
      await userEvent.click(second.getByRole("button", { name: "Close" }));
      await faded();
      act(() => model.publish({ selected: id }));
      expect(first.queryByRole("dialog")).toBeNull();
      expect(second.getByRole("dialog")).toBeTruthy();
    });

    it("opens it in the other when the first is taken off the page", () => {
      const { second, closeFirst } = showTwo(id);
      act(() => closeFirst());
      expect(second.getByRole("dialog")).toBeTruthy();
    });
  });

  it("offers nothing that a read-only kernel would refuse", () => {
    const { panel } = show({ ...goldenState(), read_only: true });
    expect(panel.getByText("Read-only")).toBeTruthy();
    expect(panel.queryByRole("button", { name: /Download|Import|Delete|Retry|Cancel/ })).toBeNull();
  });

  const anError = (code: string) => ({
    code,
    message: "It cannot be read.",
    hint: "Wait.",
    field: null,
    choices: [],
  });

  it("shows that it waits for the kernel, and why, before there is anything to show", () => {
    const nothing = { ...goldenState(), datasets: [], jobs: [], total: 0, version: "" };
    const { model, panel } = show({ ...nothing, error: anError("catalog_busy") });
    expect(panel.getByText("Loading datasets...").closest("[role=status]")).toBeTruthy();
    expect(panel.getByRole("alert").textContent).toBe("It cannot be read.Wait.");
    expect(panel.queryByText("No datasets yet")).toBeNull();
    act(() => model.publish({ error: null, version: "1" }));
    expect(panel.queryByRole("alert")).toBeNull();
    expect(panel.getByText("No datasets yet")).toBeTruthy();
  });

  it("goes on where what is shown is only out of date", () => {
    const { panel } = show({ ...goldenState(), error: anError("catalog_busy") });
    expect(panel.getByRole("alert")).toBeTruthy();
    expect(panel.getByRole<HTMLButtonElement>("button", { name: "Retry" }).disabled).toBe(false);
  });

  it("offers nothing that changes a dataset once the manager is closed", async () => {
    const { panel } = show({ ...goldenState(), error: anError("closed") });
    await userEvent.type(panel.getByLabelText(/HuggingFace Dataset ID/), "a/b");
    for (const name of ["Retry", "Delete dataset", "Cancel tokenization", "Download Dataset"]) {
      for (const button of panel.queryAllByRole<HTMLButtonElement>("button", { name })) {
        expect(button.disabled).toBe(true);
      }
    }
    expect(panel.getByRole<HTMLButtonElement>("button", { name: "Retry" }).disabled).toBe(true);
  });

  it("keeps what is typed while the kernel publishes, and where the focus is", async () => {
    const { model, panel, shadow } = show();
    const field = panel.getByLabelText<HTMLInputElement>(/HuggingFace Dataset ID/);
    await userEvent.type(field, "own");
    for (const progress of [50, 60, 70]) {
      const [first, second] = goldenState().datasets;
      if (first === undefined || second === undefined) throw new Error("two datasets are needed");
      act(() => model.publish({ datasets: [second, { ...first, progress }] }));
    }
    expect(shadow.activeElement).toBe(field);
    await userEvent.type(field, "er/x");
    expect(field.value).toBe("owner/x");
  });

  it("says when the disk is nearly full", () => {
    const { storage } = goldenState();
    if (storage === null) throw new Error("a storage report is needed");
    const { panel } = show({ ...goldenState(), storage: { ...storage, is_low: true } });
    const warning = panel.getByRole("alert").textContent;
    expect(warning).toContain("The disk is 49.7% full: 49.19 GB of 97.87 GB are free");
  });

  describe("what nothing needs", () => {
    const showStorage = (change: Partial<StorageReport>, read_only = false) => {
      const state = goldenState();
      if (state.storage === null) throw new Error("a storage report is needed");
      return show({ ...state, read_only, storage: { ...state.storage, ...change } });
    };
    const line = (shadow: ShadowRoot) =>
      shadow.querySelector('[data-part~="panel.storage"]')?.textContent;

    it("is cleaned up, and is gone from the line", async () => {
      const { panel, model, shadow } = showStorage({ reclaimable_bytes: 734003200 });
      expect(line(shadow)).toContain("700 MB can go");
      await userEvent.click(panel.getByRole("button", { name: /Clean up 700 MB/ }));
      const [sent] = model.requests("cleanup");
      act(() => model.reply({ ...golden("reply_cleanup"), request_id: sent?.request_id }));
      expect(await panel.findByText(/700 MB freed/)).toBeTruthy();
      expect(panel.queryByRole("button", { name: /Clean up/ })).toBeNull();
    });

    it("says why it could not be removed", async () => {
      const { panel, model } = showStorage({ reclaimable_bytes: 1 });
      await userEvent.click(panel.getByRole("button", { name: /Clean up/ }));
      const [sent] = model.requests("cleanup");
      act(() => model.reply({ ...golden("failure"), request_id: sent?.request_id }));
      expect(await panel.findByText(FAILURE.message)).toBeTruthy();
      expect(panel.getByRole("button", { name: /Clean up/ })).toBeTruthy();
    });

    it.each([0, null])("is not spoken of where there is none", (reclaimable_bytes) => {
      const { panel } = showStorage({ reclaimable_bytes });
      expect(panel.queryByRole("button", { name: /Clean up/ })).toBeNull();
    });
  });

  it("says when the kernel is gone, disables its buttons, and recovers", async () => {
    const { panel, model } = show();
    const repo = panel.getByLabelText(/HuggingFace Dataset ID/);
    await userEvent.type(repo, "a/b");
    const button = panel.getByRole<HTMLButtonElement>("button", { name: "Download Dataset" });
    act(() => void vi.advanceTimersByTime(10_000));
    expect(panel.getByRole("alert").textContent).toContain("Connection to the kernel lost");
    expect(button.disabled).toBe(true);
    expect(panel.getByRole<HTMLButtonElement>("button", { name: "Retry" }).disabled).toBe(true);
    const { request_id } = model.requests("ping")[0] ?? {};
    act(() => model.reply({ ...golden("reply_ping"), request_id }));
    expect(panel.queryByRole("alert")).toBeNull();
    expect(button.disabled).toBe(false);
  });

  it("says in an open dialog, too, that the kernel is gone, and goes on when it is back", async () => {
    const { panel, model } = show();
    await userEvent.click(panel.getByRole("button", { name: "TinyStories" }));
    const dialog = within(panel.getByRole("dialog"));
    await userEvent.click(dialog.getByRole("tab", { name: "samples" }));
    const asked = ["get_dataset", "list_tokenizations", "index_status", "samples"];
    await act(() => vi.advanceTimersByTimeAsync(10_000));
    expect(dialog.getByRole("alert").textContent).toContain("Connection to the kernel lost");
    expect(dialog.queryByText("Loading samples...")).toBeNull();
    expect(dialog.getByText("The samples cannot be read now: why stands above")).toBeTruthy();
    const before = asked.map((kind) => model.requests(kind).length);
    await act(() => vi.advanceTimersByTimeAsync(120_000));
    expect(asked.map((kind) => model.requests(kind).length)).toEqual(before);
    expect(dialog.queryByText(/did not answer/)).toBeNull();
    const { request_id } = model.requests("ping")[0] ?? {};
    await act(async () => model.reply({ ...golden("reply_ping"), request_id }));
    await act(() => vi.advanceTimersByTimeAsync(0));
    expect(dialog.queryByRole("alert")).toBeNull();
    expect(dialog.getByText("Loading samples...")).toBeTruthy();
    expect(asked.map((kind) => model.requests(kind).length)).toEqual(before.map((n) => n + 1));
  });

  it("says in the question before a deletion that the kernel is gone", async () => {
    const { panel } = show();
    await userEvent.click(panel.getAllByRole("button", { name: "Delete dataset" })[0] as Element);
    act(() => void vi.advanceTimersByTime(10_000));
    const dialog = within(panel.getByRole("alertdialog"));
    expect(dialog.getByRole("alert").textContent).toContain("Connection to the kernel lost");
  });
});

describe("toasts", () => {
  it("tell what was done and what failed, and go", () => {
    const { panel, model } = show();
    act(() => model.reply(golden("event_completed")));
    act(() => model.reply({ ...golden("event_completed"), job_id: "job_2", kind: "import" }));
    act(() => model.reply(golden("event_error")));
    act(() => model.reply(golden("event_download_progress")));
    const status = panel.getByRole("status");
    expect(status.getAttribute("aria-live")).toBe("polite");
    expect(status.textContent).toBe(
      "TinyStories is tokenized: 473,992,236 tokens" +
        "TinyStories is ready: 2,141,709 samples" +
        "Ünïcode <b>corpus</b>: The hub cannot be reached.Check the network, then press Retry.",
    );
    act(() => void vi.advanceTimersByTime(6_000));
    expect(status.textContent).toMatch(/^Ünïcode/);
    fireEvent.click(within(status).getByRole("button", { name: "Dismiss" }));
    expect(status.textContent).toBe("");
  });

  it("tell how a verification ended, naming the dataset once", () => {
    const { shadow, model } = show();
    const change = { kind: "verify", dataset_id: goldenState().datasets[0]?.id };
    act(() => model.reply({ ...golden("event_completed"), ...change }));
    expect(texts(shadow)).toBe("TinyStories is verified: all files are whole");
    const error = { error_message: "'TinyStories' is damaged: raw/x.", hint: "Retry repairs it." };
    act(() => model.reply({ ...golden("event_error"), ...change, ...error }));
    expect(texts(shadow)).toContain("'TinyStories' is damaged: raw/x.Retry repairs it.");
    expect(texts(shadow)).not.toContain("TinyStories: ");
  });

  it("tell of an index that was asked for", () => {
    const { shadow, model } = show();
    const change = { kind: "index", dataset_id: goldenState().datasets[0]?.id };
    act(() => model.reply({ ...golden("event_completed"), ...change }));
    expect(texts(shadow)).toBe("TinyStories is indexed: searches take moments now");
  });

  it("name no figures that are not known", () => {
    const { model } = show();
    const unknown = { dataset_id: "ds_gone", num_samples: null, num_tokens: null };
    act(() => model.reply({ ...golden("event_completed"), ...unknown }));
    act(() =>
      model.reply({ ...golden("event_completed"), ...unknown, job_id: "j", kind: "download" }),
    );
    const shadow = document.querySelector("div")?.shadowRoot;
    expect(shadow?.querySelector('[role="status"]')?.textContent).toBe(
      "A dataset is tokenizedA dataset is ready",
    );
    expect(screen.queryByText("null")).toBeNull();
  });

  const texts = (shadow: ShadowRoot) => shadow.querySelector('[role="status"]')?.textContent;

  it.each([
    ["ds_gone", "No space.", "Tokenization failed: No space."],
    ["ds_gone", "", "Tokenization failed"],
    [goldenState().datasets[0]?.id, "", "TinyStories: Tokenization failed"],
  ])("always say what they are about: %s, %o", (dataset_id, error_message, text) => {
    const { shadow, model } = show();
    const change = { dataset_id, error_message, kind: "tokenize", hint: null };
    act(() => model.reply({ ...golden("event_error"), ...change }));
    expect(texts(shadow)).toBe(text);
  });

  it("tell of an event once in a page, whichever panel hears of it first", () => {
    const first = show();
    const closeFirst = close;
    const second = show();
    const other = { ...golden("event_completed"), job_id: "job_other" };
    act(() => first.model.reply(golden("event_completed")));
    act(() => second.model.reply(golden("event_completed")));
    act(() => second.model.reply(other));
    expect(texts(first.shadow)).toBe("TinyStories is tokenized: 473,992,236 tokens");
    expect(texts(second.shadow)).toBe("TinyStories is tokenized: 473,992,236 tokens");
    act(() => void vi.advanceTimersByTime(11_000));
    act(() => second.model.reply(golden("event_completed")));
    expect(texts(first.shadow)).toBe("");
    expect(texts(second.shadow)).toMatch(/^TinyStories/);
    act(() => closeFirst());
  });

  it("stay above a dialog, and usable", async () => {
    const { panel, model } = show();
    act(() => model.reply(golden("event_completed")));
    await userEvent.click(panel.getByRole("button", { name: "TinyStories" }));
    const dialog = within(panel.getByRole("dialog"));
    expect(dialog.getByText(/^TinyStories is tokenized/)).toBeTruthy();
    await userEvent.click(dialog.getByRole("button", { name: "Dismiss" }));
    expect(dialog.queryByText(/^TinyStories is tokenized/)).toBeNull();
  });

  it("come back to the top of the page with their view", async () => {
    const { el, shadow, model } = show();
    act(() => model.reply(golden("event_completed")));
    const layer = shadow.querySelector<HTMLElement>("[popover]");
    if (layer === null) throw new Error("toasts have a layer");
    const showPopover = vi.spyOn(layer, "showPopover");
    vi.spyOn(layer, "matches").mockReturnValue(false);
    await act(async () => document.body.append(el));
    expect(showPopover).toHaveBeenCalledOnce();
  });
});
