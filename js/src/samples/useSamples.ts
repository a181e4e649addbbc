/** Pages of samples, asked for while filters are typed. */

import { useEffect, useRef, useState } from "react";
import { newRequestId, type Params, type Send } from "../kernel/requests";
import { describeError, type Failed } from "../kernel/useRequest";
import type { PageSample } from "../protocol.gen";

const ASK_AFTER_S = 0.3;
const COUNT_AGAIN_S = { first: 0.5, most: 2, growth: 1.5 };

export type SampleParams = Omit<Params<"samples">, "view" | "exact_total">;

export interface SamplesOptions {
  params: SampleParams;
  /** Ask again when it changes: what the samples look like may have changed. */
  version: string;
  isEnabled: boolean;
  send: Send;
}

export interface Samples {
  /** The newest page there is, also while another is asked for. */
  page: PageSample | null;
  failed: Failed | null;
  /** Whether `page` is that of other parameters. */
  isOld: boolean;
  again: () => void;
}

interface Answer {
  key: string;
  page: PageSample | null;
  failed: Failed | null;
}

export function useSamples({ params, version, isEnabled, send }: SamplesOptions): Samples {
  // the kernel ends what it does for the older questions of a view
  const [view] = useState(newRequestId);
  const [attempt, setAttempt] = useState(0);
  const [answer, setAnswer] = useState<Answer | null>(null);
  const typed = JSON.stringify([params.search, params.min_tokens, params.max_tokens]);
  const lastTyped = useRef(typed);
  const key = JSON.stringify([params, version, attempt]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the key stands for the parameters
  useEffect(() => {
    if (!isEnabled) return;
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = (count_again_s: number) => {
      lastTyped.current = typed;
      const { signal } = abort;
      const asked = { ...params, exact_total: false, view };
      send("samples", asked, { signal, isPatient: true }).then(
        (page) => {
          setAnswer({ key, page, failed: null });
          if (page.total !== null) return;
          const next_s = Math.min(count_again_s * COUNT_AGAIN_S.growth, COUNT_AGAIN_S.most);
          timer = setTimeout(() => ask(next_s), count_again_s * 1000);
        },
        (error: unknown) => {
          if (signal.aborted) return;
          setAnswer((before) => ({
            key,
            page: before?.page ?? null,
            failed: describeError(error),
          }));
        },
      );
    };
    const wait_s = typed === lastTyped.current ? 0 : ASK_AFTER_S;
    timer = setTimeout(() => ask(COUNT_AGAIN_S.first), wait_s * 1000);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [key, isEnabled, send, view]);

  const isCurrent = answer?.key === key;
  return {
    page: answer?.page ?? null,
    failed: isCurrent ? answer.failed : null,
    isOld: !isCurrent,
    again: () => setAttempt((count) => count + 1),
  };
}
