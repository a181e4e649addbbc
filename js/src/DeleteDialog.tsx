/** Asks before a dataset goes, and says what goes with it. */

import { type ReactNode, useId } from "react";
import { formatBytes, plural } from "./format";
import type { DatasetCard as Card, JobSnapshot, TokenizationRecord } from "./protocol.gen";
import type { Send } from "./requests";
import { Button, Dialog, ErrorBox } from "./ui";
import { useRequest } from "./useRequest";
import { useTokenizations } from "./useTokenizations";

const NO_JOBS: readonly JobSnapshot[] = [];

export interface DeleteDialogProps {
  dataset: Card;
  disabled: boolean;
  send: Send;
  onClose: () => void;
  /** Whether it is closed already, and only fades away. */
  isLeaving: boolean;
  /** Why the kernel does not answer, where that is so. */
  notice?: ReactNode;
  /** What stands above the dialog. */
  above?: ReactNode;
}

export function DeleteDialog(props: DeleteDialogProps) {
  const { dataset, disabled, send, onClose, isLeaving, notice, above } = props;
  const id = useId();
  const { pending, failed, run } = useRequest();
  const { records } = useTokenizations({ dataset, jobs: NO_JOBS, isEnabled: !disabled, send });
  const { name, in_use_by } = dataset;
  const inUse = in_use_by.length > 0;
  const confirm = async () => {
    if (await run(() => send("delete_dataset", { dataset_id: dataset.id }))) onClose();
  };
  return (
    <Dialog
      role="alertdialog"
      labelledBy={`${id}-title`}
      describedBy={`${id}-what`}
      onClose={onClose}
      panelClassName="max-w-lg border border-slate-800"
      isLeaving={isLeaving}
      above={above}
    >
      <div className="overflow-y-auto p-6">
        <h2 id={`${id}-title`} className="break-anywhere text-lg font-semibold text-slate-100">
          Delete <bdi>{name}</bdi>?
        </h2>
        <p id={`${id}-what`} className="mt-2 text-sm text-slate-400">
          {describeLoss(dataset, records)}. This cannot be undone.
        </p>
        {notice}
        {inUse && (
          <ErrorBox
            className="mt-4"
            message={`In use by ${in_use_by.join(", ")}.`}
            hint="It can be deleted as soon as it is released."
          />
        )}
        {failed && <ErrorBox className="mt-4" {...failed} />}
        <div className="mt-6 flex justify-end gap-3">
          <Button look="neutral" onClick={onClose}>
            Cancel
          </Button>
          <Button
            look="danger"
            part="delete.confirm"
            disabled={disabled || inUse}
            isBusy={pending}
            onClick={confirm}
          >
            {pending ? "Deleting…" : "Delete"}
          </Button>
        </div>
      </div>
    </Dialog>
  );
}

/** The size of tokenizations is known once the kernel has listed them. */
function describeLoss(
  { size_bytes, tokenizations }: Card,
  records: readonly TokenizationRecord[] | null,
): string {
  const data =
    size_bytes === null
      ? "Its files are removed from disk"
      : `${formatBytes(size_bytes)} of data are removed from disk`;
  const count = records?.length ?? tokenizations.length;
  if (count === 0) return data;
  const tokenized_bytes = records?.reduce((sum, record) => sum + (record.size_bytes ?? 0), 0);
  const size = tokenized_bytes ? ` of ${formatBytes(tokenized_bytes)}` : "";
  return `${data}, with ${plural(count, "tokenization")}${size}`;
}
