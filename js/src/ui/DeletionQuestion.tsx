/** The question before something goes for good. */

import { type ReactNode, useId } from "react";
import { useRequest } from "../kernel/useRequest";
import { Button, Dialog, ErrorBox } from "./ui";

/** What whoever asks is given from outside. */
export interface AskedProps {
  disabled: boolean;
  onClose: () => void;
  /** Whether it is closed already, and only fades away. */
  isLeaving: boolean;
  /** Why the kernel does not answer, where that is so. */
  notice?: ReactNode;
  /** What stands above the dialog. */
  above?: ReactNode;
}

export interface DeletionQuestionProps extends AskedProps {
  title: ReactNode;
  /** What goes. */
  what: ReactNode;
  /** What the button is called that leaves all as it is. */
  keep: string;
  /** Name of the other button for tests, see the list of parts. */
  part: string;
  /** Deletes it; the question is closed when that is done. */
  remove: () => Promise<unknown>;
  /** What else is to be known. */
  children?: ReactNode;
}

export function DeletionQuestion(props: DeletionQuestionProps) {
  const { title, what, keep, part, remove, children } = props;
  const { disabled, onClose, isLeaving, notice, above } = props;
  const id = useId();
  const { pending, failed, run } = useRequest();
  const confirm = async () => {
    if (await run(remove)) onClose();
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
          {title}
        </h2>
        <p id={`${id}-what`} className="break-anywhere mt-2 text-sm text-slate-400">
          {what}
        </p>
        {notice}
        {children}
        {failed && <ErrorBox className="mt-4" {...failed} />}
        <div className="mt-6 flex justify-end gap-3">
          <Button look="neutral" onClick={onClose}>
            {keep}
          </Button>
          <Button look="danger" part={part} disabled={disabled} isBusy={pending} onClick={confirm}>
            {pending ? "Deleting…" : "Delete"}
          </Button>
        </div>
      </div>
    </Dialog>
  );
}
