/** How full the disk is, and what may go. */

import { useState } from "react";
import type { Send } from "../kernel/requests";
import { useRequest } from "../kernel/useRequest";
import type { StorageReport } from "../protocol.gen";
import { formatBytes, formatShare, plural } from "../ui/format";
import { ErrorBox } from "../ui/ui";

export interface StorageLineProps {
  storage: StorageReport;
  /** Whether nothing can be removed. */
  disabled: boolean;
  send: Send;
}

export function StorageLine({ storage, disabled, send }: StorageLineProps) {
  const { used_bytes, free_bytes, total_bytes, reserve_bytes, num_datasets } = storage;
  const { pending, failed, run } = useRequest();
  const [cleaned, setCleaned] = useState<{ of: number; freed: number } | null>(null);
  const reclaimable = storage.reclaimable_bytes ?? 0;
  // what was measured before is published until the kernel has measured again
  const isClean = reclaimable === 0 || reclaimable === cleaned?.of;
  const clean = () =>
    run(async () => {
      const { freed_bytes } = await send("cleanup", {});
      setCleaned({ of: reclaimable, freed: freed_bytes });
    });
  return (
    <>
      <p data-part="panel.storage" className="mt-1 text-xs text-slate-400">
        {formatBytes(used_bytes)} in {plural(num_datasets, "dataset")} • {formatBytes(free_bytes)}{" "}
        of {formatBytes(total_bytes)} free
        {!isClean && (
          <>
            {" • "}
            <span title="Parts of downloads and tokenizations that did not end, old indexes, and folders that no dataset owns">
              {formatBytes(reclaimable)} can go
            </span>
            {" • "}
            <button
              type="button"
              data-part="panel.cleanup"
              aria-label={`Clean up ${formatBytes(reclaimable)} that nothing needs`}
              disabled={disabled || pending}
              onClick={clean}
              className="underline enabled:hover:text-slate-200 disabled:cursor-not-allowed disabled:opacity-50"
            >
              {pending ? "Cleaning up…" : "Clean up"}
            </button>
          </>
        )}
        <span aria-live="polite">
          {cleaned && isClean && ` • ${formatBytes(cleaned.freed)} freed`}
        </span>
      </p>
      {failed && <ErrorBox className="mt-2" {...failed} />}
      {storage.is_low && (
        <p role="alert" data-part="panel.disk" className="mt-2 text-sm text-yellow-400">
          The disk is {formatShare((100 * (total_bytes - free_bytes)) / total_bytes)} full:{" "}
          {formatBytes(free_bytes)} of {formatBytes(total_bytes)} are free, and{" "}
          {formatBytes(reserve_bytes)} of them are kept free.
        </p>
      )}
    </>
  );
}
