/** How far a job is: the bar, and the line under it. */

import { useEffect, useState } from "react";
import type { JobSnapshot } from "../protocol.gen";
import { describeProgress } from "./format";
import { ProgressBar } from "./ui";

/** A speed that was measured for less time than this says little about the time left. */
const SETTLED_AFTER_S = 2;

export interface JobProgressProps {
  /** What is worked on, for those who do not see it. */
  name: string;
  status: string;
  /** The job; null where only its percent is known. */
  job: JobSnapshot | null;
  /** What to show without a job. */
  percent: number;
  part: string;
}

export function JobProgress({ name, status, job, percent, part }: JobProgressProps) {
  const isSettled = useIsSettled(job);
  const value = job?.progress ?? percent;
  const known = job === null || isSettled ? job : { ...job, eta_s: null };
  return (
    <ProgressBar
      part={part}
      percent={value}
      label={`${name}: ${status}`}
      caption={describeProgress(value, known, status)}
      isPaused={job?.state === "paused"}
    />
  );
}

/** Whether the job's phase has been getting on for a while, since it began or was resumed. */
function useIsSettled(job: JobSnapshot | null): boolean {
  const phase = job?.state === "running" && job.done > 0 ? `${job.id} ${job.phase}` : null;
  const [settled, setSettled] = useState<string | null>(null);
  useEffect(() => {
    if (phase === null) return;
    const timer = setTimeout(() => setSettled(phase), SETTLED_AFTER_S * 1000);
    return () => {
      clearTimeout(timer);
      setSettled(null);
    };
  }, [phase]);
  return phase !== null && phase === settled;
}
