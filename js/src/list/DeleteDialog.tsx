/** Asks before a dataset goes, and says what goes with it. */

import type { Send } from "../kernel/requests";
import type { DatasetCard as Card, JobSnapshot, TokenizationRecord } from "../protocol.gen";
import { useTokenizations } from "../tokenization/useTokenizations";
import { type AskedProps, DeletionQuestion } from "../ui/DeletionQuestion";
import { formatBytes, plural } from "../ui/format";
import { ErrorBox } from "../ui/ui";

const NO_JOBS: readonly JobSnapshot[] = [];

export interface DeleteDialogProps extends AskedProps {
  dataset: Card;
  send: Send;
}

export function DeleteDialog({ dataset, disabled, send, ...asked }: DeleteDialogProps) {
  const { records } = useTokenizations({ dataset, jobs: NO_JOBS, isEnabled: !disabled, send });
  const { name, in_use_by } = dataset;
  const inUse = in_use_by.length > 0;
  return (
    <DeletionQuestion
      {...asked}
      disabled={disabled || inUse}
      title={
        <>
          Delete <bdi>{name}</bdi>?
        </>
      }
      what={`${describeLoss(dataset, records)}. This cannot be undone.`}
      keep="Cancel"
      part="delete.confirm"
      remove={() => send("delete_dataset", { dataset_id: dataset.id })}
    >
      {inUse && (
        <ErrorBox
          className="mt-4"
          message={`In use by ${in_use_by.join(", ")}.`}
          hint="It can be deleted as soon as it is released."
        />
      )}
    </DeletionQuestion>
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
