import { act, fireEvent, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { describe, expect, it, vi } from "vitest";
import { RequestError } from "../kernel/requests";
import type { DatasetCard as Card } from "../protocol.gen";
import { aCard, aTokenization } from "../testing/wire";
import { Dialog } from "../ui/ui";
import { DeleteDialog } from "./DeleteDialog";

const refusal = new RequestError({ code: "x", message: "Refused.", hint: "Wait.", field: null });

function Example({ onClose }: { onClose: () => void }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button type="button" onClick={() => setOpen(true)}>
        open
      </button>
      {open && (
        <Dialog
          labelledBy="t"
          panelClassName=""
          onClose={() => {
            setOpen(false);
            onClose();
          }}
        >
          <h2 id="t">Title</h2>
          <button type="button">inside</button>
        </Dialog>
      )}
    </>
  );
}

describe("Dialog", () => {
  const open = async () => {
    const onClose = vi.fn();
    render(<Example onClose={onClose} />);
    await userEvent.click(screen.getByRole("button", { name: "open" }));
    return { onClose, dialog: screen.getByRole<HTMLDialogElement>("dialog", { name: "Title" }) };
  };

  it("is modal, and gives the focus back when Escape closes it", async () => {
    const { onClose, dialog } = await open();
    expect(dialog.open).toBe(true);
    screen.getByRole("button", { name: "inside" }).focus();
    const cancel = new Event("cancel", { cancelable: true });
    fireEvent(dialog, cancel);
    expect(cancel.defaultPrevented).toBe(true);
    expect(onClose).toHaveBeenCalledOnce();
    expect(screen.queryByRole("dialog")).toBeNull();
    expect(document.activeElement).toBe(screen.getByRole("button", { name: "open" }));
  });

  it("closes at a press beside the panel only", async () => {
    const { onClose, dialog } = await open();
    await userEvent.click(screen.getByRole("heading"));
    fireEvent.pointerDown(screen.getByRole("heading"));
    fireEvent.click(dialog);
    expect(onClose).not.toHaveBeenCalled();
    await userEvent.click(dialog);
    expect(onClose).toHaveBeenCalledOnce();
  });

  it("leaves the menu of a right click to the browser", async () => {
    await open();
    const told = vi.fn();
    document.addEventListener("contextmenu", told);
    fireEvent.contextMenu(screen.getByRole("heading"));
    document.removeEventListener("contextmenu", told);
    expect(told).not.toHaveBeenCalled();
  });

  it("follows the browser when that closes it", async () => {
    const { onClose, dialog } = await open();
    act(() => dialog.close());
    expect(onClose).toHaveBeenCalledOnce();
  });
});

describe("DeleteDialog", () => {
  const show = (
    dataset: Card,
    onDelete = vi.fn(async (_asked: unknown) => ({ freed_bytes: 1 })),
  ) => {
    const record = aTokenization({ size_bytes: 2.5 * 1024 ** 2 });
    const send = async (kind: string, asked: unknown) =>
      kind === "delete_dataset" ? onDelete(asked) : dataset.tokenizations.map(() => record);
    const onClose = vi.fn();
    render(
      <DeleteDialog
        dataset={dataset}
        disabled={false}
        isLeaving={false}
        send={send as never}
        onClose={onClose}
      />,
    );
    const dialog = screen.getByRole("alertdialog", { name: /^Delete TinyStories ?\?$/ });
    const confirm = screen.getByRole<HTMLButtonElement>("button", { name: "Delete" });
    return { onClose, onDelete, dialog, confirm };
  };

  it("says what goes", async () => {
    const [chip] = aCard().tokenizations;
    const tokenizations = chip === undefined ? [] : [chip, chip];
    const { dialog, confirm, onDelete, onClose } = show(aCard({ tokenizations }));
    expect(dialog.textContent).toContain("957.86 MB of data are removed from disk");
    expect(dialog.textContent).toContain("with 2 tokenizations. ");
    expect(await screen.findByText(/with 2 tokenizations of 5 MB\./)).toBeTruthy();
    await userEvent.click(confirm);
    expect(onDelete).toHaveBeenCalledExactlyOnceWith({ dataset_id: aCard().id });
    expect(onClose).toHaveBeenCalledOnce();
  });

  it("changes nothing when it is cancelled", async () => {
    const { onDelete, onClose } = show(aCard({ size_bytes: null, tokenizations: [] }));
    await userEvent.click(screen.getByRole("button", { name: "Cancel" }));
    expect(onClose).toHaveBeenCalledOnce();
    expect(onDelete).not.toHaveBeenCalled();
  });

  it("names who uses the dataset and waits for them", () => {
    const { dialog, confirm } = show(aCard({ in_use_by: ["training tr_1"] }));
    expect(dialog.textContent).toContain("In use by training tr_1.");
    expect(confirm.disabled).toBe(true);
  });

  it("stays when it was refused", async () => {
    const { confirm, onClose } = show(
      aCard(),
      vi.fn(() => Promise.reject(refusal)),
    );
    await userEvent.click(confirm);
    expect(await screen.findByText("Refused.")).toBeTruthy();
    expect(onClose).not.toHaveBeenCalled();
  });
});
