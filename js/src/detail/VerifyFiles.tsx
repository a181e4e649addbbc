/** Compares a dataset's files with what they were when they were written. */

import { ShieldCheck, X } from "lucide-react";
import type { Send } from "../kernel/requests";
import { useRequest } from "../kernel/useRequest";
import type { DatasetCard as Card, JobSnapshot } from "../protocol.gen";
import { JobProgress } from "../ui/JobProgress";
import { Button, ErrorBox, IconButton } from "../ui/ui";

export interface VerifyFilesProps {
  dataset: Card;
  /** The job that verifies it now. */
  verification: JobSnapshot | null;
  readOnly: boolean;
  disabled: boolean;
  send: Send;
}

export function VerifyFiles(props: VerifyFilesProps) {
  const { dataset, verification: job, readOnly, disabled, send } = props;
  const start = useRequest();
  const stop = useRequest();
  const isStopping = stop.pending || job?.state === "cancelling";
  const failed = start.failed ?? stop.failed;
  return (
    <div data-part="overview.verify" className="rounded-lg bg-slate-800/30 p-4">
      <div className="flex min-h-10 flex-wrap items-center justify-between gap-4">
        <p className="text-sm text-slate-400">
          {job === null
            ? "Reads every file again, those of tokenizations too, and says which are damaged."
            : "Every file is being read again."}
        </p>
        {!readOnly && job === null && (
          <Button
            look="neutral"
            part="verify.button"
            disabled={disabled}
            isBusy={start.pending}
            onClick={() => start.run(() => send("verify", { dataset_id: dataset.id }))}
          >
            <ShieldCheck size={16} aria-hidden="true" />
            Verify files
          </Button>
        )}
        {!readOnly && job !== null && (
          <IconButton
            part="verify.cancel"
            label={isStopping ? "Cancelling…" : "Cancel verification"}
            icon={<X size={16} aria-hidden="true" />}
            disabled={disabled || isStopping}
            danger
            onPress={() => stop.run(() => send("cancel", { job_id: job.id }))}
          />
        )}
      </div>
      {job !== null && (
        <JobProgress
          part="progress.fill"
          name={dataset.name}
          status="verifying"
          job={job}
          percent={job.progress}
        />
      )}
      {failed && <ErrorBox className="mt-3" {...failed} />}
    </div>
  );
}
