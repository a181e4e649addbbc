/** Why what is shown may not be true now, wherever a person looks. */

import type { Snapshot } from "../kernel/bridge";
import type { ErrorInfo } from "../protocol.gen";
import { Linked } from "./Linked";
import { classes } from "./ui";

const LOOK = "rounded-lg border border-red-500/30 bg-red-500/10 p-4 text-red-400";

export interface KernelNoticeProps {
  state: Pick<Snapshot, "connected" | "error">;
  className: string;
}

/** Nothing while the kernel answers and knows what is true. */
export function KernelNotice({ state: { connected, error }, className }: KernelNoticeProps) {
  return (
    <>
      {!connected && <ConnectionLost className={className} />}
      {error && <PanelError error={error} className={className} />}
    </>
  );
}

function ConnectionLost({ className }: { className: string }) {
  return (
    <div role="alert" data-part="connection.lost" className={classes(LOOK, className)}>
      Connection to the kernel lost. What is shown may be out of date; trying again. If the kernel
      was restarted, run the notebook's cells again.
    </div>
  );
}

/** Why the kernel cannot tell what is true now. */
function PanelError({ error, className }: { error: ErrorInfo; className: string }) {
  return (
    <div
      role="alert"
      data-part="panel.error"
      className={classes(LOOK, "break-anywhere", className)}
    >
      <bdi>{error.message}</bdi>
      {error.hint && (
        <p className="mt-1 text-sm text-red-300">
          <Linked text={error.hint} />
        </p>
      )}
    </div>
  );
}
