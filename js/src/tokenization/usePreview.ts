/** What a text becomes, asked for while it and the settings are changed. */

import { useEffect, useRef, useState } from "react";
import type { Params, Send } from "../kernel/requests";
import { describeError, type Failed } from "../kernel/useRequest";
import type { TokenizationSettingsInput, TokenPreview } from "../protocol.gen";

/** What is tokenized: a typed text, or a row of a dataset. */
export type Previewed = Omit<Params<"preview_tokens">, "settings">;

const ASK_AFTER_S = 0.3;
/** A tokenizer's name is longer in the typing, and each part of it is a question to the hub. */
const SETTINGS_AFTER_S = 0.8;

export interface PreviewOptions {
  /** null: nothing. */
  previewed: Previewed | null;
  /** null: they cannot be used. */
  settings: TokenizationSettingsInput | null;
  isEnabled: boolean;
  send: Send;
}

export interface Preview {
  /** The newest preview there is, also while another is asked for. */
  preview: TokenPreview | null;
  failed: Failed | null;
  isAsking: boolean;
  /** Ask now: at once if it would be asked in a moment, again after an error. */
  ask: () => void;
}

interface Answer {
  key: string;
  preview: TokenPreview | null;
  failed: Failed | null;
}

export function usePreview({ previewed, settings, isEnabled, send }: PreviewOptions): Preview {
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [attempt, setAttempt] = useState(0);
  const isPossible = isEnabled && previewed !== null && settings !== null;
  const key = isPossible ? JSON.stringify({ ...previewed, settings }) : null;
  const settingsKey = JSON.stringify(settings);
  const last = useRef({ attempt, settingsKey });

  useEffect(() => {
    if (key === null) return;
    const abort = new AbortController();
    const ask = () => {
      last.current = { attempt, settingsKey };
      const asked: Params<"preview_tokens"> = JSON.parse(key);
      send("preview_tokens", asked, { signal: abort.signal }).then(
        (preview) => setAnswer({ key, preview, failed: null }),
        (error: unknown) => {
          if (!abort.signal.aborted)
            setAnswer({ key, preview: null, failed: describeError(error) });
        },
      );
    };
    const isPressed = last.current.attempt !== attempt;
    const wait_s = last.current.settingsKey === settingsKey ? ASK_AFTER_S : SETTINGS_AFTER_S;
    const timer = setTimeout(ask, isPressed ? 0 : wait_s * 1000);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [key, settingsKey, attempt, send]);

  const isCurrent = answer?.key === key;
  return {
    preview: key === null ? null : (answer?.preview ?? null),
    failed: isCurrent ? (answer?.failed ?? null) : null,
    isAsking: key !== null && !isCurrent,
    ask: () => setAttempt((count) => count + 1),
  };
}
