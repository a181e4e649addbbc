/** What a download would fetch, asked for while its form is filled in. */

import { useEffect, useRef, useState } from "react";
import type { DownloadPlan } from "./protocol.gen";
import type { Params, Send } from "./requests";
import { describeError, type Failed } from "./useRequest";

const ASK_AFTER_S = 0.6;

export interface PlanOptions {
  /** What would be downloaded; null while that cannot be asked for. */
  params: Params<"plan_download"> | null;
  isEnabled: boolean;
  send: Send;
}

export interface Planned {
  /** The plan of exactly these parameters; null until it is known. */
  plan: DownloadPlan | null;
  /** Why these parameters have none. */
  failed: Failed | null;
  isAsking: boolean;
  /** The last plan of the same repository, whatever config and split it was for. */
  known: DownloadPlan | null;
  /** Ask at once, if it would be asked in a moment. */
  hurry: () => void;
}

interface Answer {
  key: string;
  plan: DownloadPlan | null;
  failed: Failed | null;
}

export function usePlan({ params, isEnabled, send }: PlanOptions): Planned {
  const key = params === null ? null : JSON.stringify(params);
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [last, setLast] = useState<DownloadPlan | null>(null);
  const waiting = useRef<(() => void) | null>(null);

  useEffect(() => {
    if (key === null || !isEnabled) return;
    const abort = new AbortController();
    const stopWaiting = () => {
      clearTimeout(timer);
      waiting.current = null;
    };
    const ask = () => {
      stopWaiting();
      send("plan_download", JSON.parse(key), { signal: abort.signal }).then(
        (plan) => {
          setAnswer({ key, plan, failed: null });
          setLast(plan);
        },
        (error: unknown) => {
          if (!abort.signal.aborted) setAnswer({ key, plan: null, failed: describeError(error) });
        },
      );
    };
    const timer = setTimeout(ask, ASK_AFTER_S * 1000);
    waiting.current = ask;
    return () => {
      stopWaiting();
      abort.abort();
    };
  }, [key, isEnabled, send]);

  // an answer to what was typed before is none
  const current = answer?.key === key ? answer : null;
  return {
    plan: current?.plan ?? null,
    failed: current?.failed ?? null,
    isAsking: key !== null && isEnabled && current === null,
    known: last?.repo_id === params?.repo_id ? last : null,
    hurry: () => waiting.current?.(),
  };
}
