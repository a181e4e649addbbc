/** Asks before a tokenization goes. */

import { type ReactNode, useId } from "react";
import type { TokenizationRecord } from "./protocol.gen";
import type { Send } from "./requests";
import { nameTokenization } from "./tokenizations";
import { Button, Dialog, ErrorBox } from "./ui";
import { useRequest } from "./useRequest";

export interface DeleteTokenizationProps {
  record: TokenizationRecord;
  disabled: boolean;
  send: Send;
  onClose: () => void;
  /** Whether it is closed already, and only fades away. */
  isLeaving: boolean;
  /** What stands above the dialog. */
  above?: ReactNode;
}

export function DeleteTokenization(props: DeleteTokenizationProps) {
  const { record, disabled, send, onClose, isLeaving, above } = props;
  const id = useId();
  const { pending, failed, run } = useRequest();
  const confirm = async () => {
    const deleted = () => send("delete_tokenization", { tokenization_id: record.id });
    if (await run(deleted)) onClose();
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
        <h2 id={`${id}-title`} className="text-lg font-semibold text-slate-100">
          Delete this tokenization and its files?
        </h2>
        <p id={`${id}-what`} className="break-anywhere mt-2 text-sm text-slate-400">
          <bdi>{nameTokenization(record)}</bdi>
        </p>
        {failed && <ErrorBox className="mt-4" {...failed} />}
        <div className="mt-6 flex justify-end gap-3">
          <Button look="neutral" onClick={onClose}>
            Keep
          </Button>
          <Button
            look="danger"
            part="tokenization.delete.confirm"
            disabled={disabled || pending}
            onClick={confirm}
          >
            {pending ? "Deleting…" : "Delete"}
          </Button>
        </div>
      </div>
    </Dialog>
  );
}
