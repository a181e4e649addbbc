/** What a download would fetch, asked for while its form is filled in. */

import { useEffect, useRef, useState } from "react";
import type { Params, Send } from "../kernel/requests";
import { describeError, type Failed } from "../kernel/useRequest";
import type { DownloadPlan } from "../protocol.gen";

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
  /** What the same repository is known to have, from whatever was asked about it before. */
  known: Contents | null;
  /** Ask at once, if it would be asked in a moment. */
  hurry: () => void;
}

/** What can be chosen of a repository. */
export interface Contents {
  repo_id: string;
  configs: string[];
  /** By config; under "" those of the default one. */
  splits: Readonly<Record<string, string[]>>;
}

interface Answer {
  key: string;
  plan: DownloadPlan | null;
  failed: Failed | null;
}

export function usePlan({ params, isEnabled, send }: PlanOptions): Planned {
  const key = params === null ? null : JSON.stringify(params);
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [contents, setContents] = useState<Contents | null>(null);
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
      const asked: Params<"plan_download"> = JSON.parse(key);
      send("plan_download", asked, { signal: abort.signal }).then(
        (plan) => {
          setAnswer({ key, plan, failed: null });
          setContents(contentsOf(plan));
        },
        (error: unknown) => {
          if (abort.signal.aborted) return;
          const failed = describeError(error);
          setAnswer({ key, plan: null, failed });
          setContents((before) => withChoices(before, asked, failed));
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
    known: contents?.repo_id === params?.repo_id ? contents : null,
    hurry: () => waiting.current?.(),
  };
}

function contentsOf({ repo_id, config, configs }: DownloadPlan): Contents {
  const splits = { ...configs, "": configs[config ?? ""] ?? [] };
  return { repo_id, configs: Object.keys(configs), splits };
}

/** Learn from an error what there is, if it tells. */
function withChoices(
  before: Contents | null,
  { repo_id, config }: Params<"plan_download">,
  { code, choices }: Failed,
): Contents | null {
  const known = before?.repo_id === repo_id ? before : { repo_id, configs: [], splits: {} };
  if (code === "config_not_found") return { ...known, configs: [...choices] };
  if (code === "split_not_found") {
    return { ...known, splits: { ...known.splits, [config ?? ""]: [...choices] } };
  }
  return before;
}
