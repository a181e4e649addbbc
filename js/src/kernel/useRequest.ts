/** One request that a person started: whether it is under way, and how it failed. */

import { useCallback, useEffect, useRef, useState } from "react";
import { RequestError } from "./requests";

export interface Failed {
  /** Which error it is; null for one that is not the kernel's. */
  code: string | null;
  message: string;
  hint: string | null;
  field: string | null;
  /** What could be asked for instead. */
  choices: readonly string[];
}

export interface Request {
  pending: boolean;
  failed: Failed | null;
  /** Run `work`; resolves to whether it was done. */
  run: (work: () => Promise<unknown>) => Promise<boolean>;
  clear: () => void;
}

export function useRequest(): Request {
  const [pending, setPending] = useState(false);
  const [failed, setFailed] = useState<Failed | null>(null);
  const mounted = useRef(true);
  useEffect(() => {
    mounted.current = true;
    return () => {
      mounted.current = false;
    };
  }, []);

  const run = useCallback(async (work: () => Promise<unknown>) => {
    setPending(true);
    setFailed(null);
    try {
      await work();
      return true;
    } catch (error) {
      if (mounted.current) setFailed(describeError(error));
      return false;
    } finally {
      if (mounted.current) setPending(false);
    }
  }, []);

  return { pending, failed, run, clear: useCallback(() => setFailed(null), []) };
}

export function describeError(error: unknown): Failed {
  if (error instanceof RequestError) {
    const { code, message, hint, field, choices } = error;
    return { code, message, hint, field, choices };
  }
  return {
    code: null,
    message: error instanceof Error ? error.message : String(error),
    hint: null,
    field: null,
    choices: [],
  };
}
