/** Asks before a tokenization goes. */

import type { Send } from "../kernel/requests";
import type { TokenizationRecord } from "../protocol.gen";
import { type AskedProps, DeletionQuestion } from "../ui/DeletionQuestion";
import { nameTokenization } from "./tokenizations";

export interface DeleteTokenizationProps extends AskedProps {
  record: TokenizationRecord;
  send: Send;
}

export function DeleteTokenization({ record, send, ...asked }: DeleteTokenizationProps) {
  return (
    <DeletionQuestion
      {...asked}
      title="Delete this tokenization and its files?"
      what={<bdi>{nameTokenization(record)}</bdi>}
      keep="Keep"
      part="tokenization.delete.confirm"
      remove={() => send("delete_tokenization", { tokenization_id: record.id })}
    />
  );
}
