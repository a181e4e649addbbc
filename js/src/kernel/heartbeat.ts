/** Tells a kernel that is gone from one that has nothing to say. */

const PING_EVERY_S = 5;
const LOST_AFTER_S = 10;
const MAX_RETRY_S = 30;

export interface Heartbeat {
  /** Something came from the kernel. */
  heard(): void;
  stop(): void;
}

/**
 * Ping whenever nothing was heard for 5 s; `onChange(false)` after 10 s without an answer.
 * From then on ping after 1, 2, 4 .. 30 s until something is heard.
 */
export function startHeartbeat(ping: () => void, onChange: (alive: boolean) => void): Heartbeat {
  let alive = true;
  let retryAfter_s = 1;
  let timer: ReturnType<typeof setTimeout>;

  const after = (seconds: number, then: () => void) => {
    clearTimeout(timer);
    timer = setTimeout(then, seconds * 1000);
  };
  const ask = () => {
    ping();
    after(PING_EVERY_S, () => {
      // a second try before the verdict: the first one may have met a busy moment
      ping();
      after(LOST_AFTER_S - PING_EVERY_S, lose);
    });
  };
  const lose = () => {
    alive = false;
    onChange(false);
    retry();
  };
  const retry = () => {
    after(retryAfter_s, () => {
      ping();
      retryAfter_s = Math.min(retryAfter_s * 2, MAX_RETRY_S);
      retry();
    });
  };
  const rest = () => after(PING_EVERY_S, ask);

  // ask at once: a page that was reloaded without its kernel is dead from the start
  timer = setTimeout(ask, 0);
  return {
    heard() {
      retryAfter_s = 1;
      rest();
      if (!alive) {
        alive = true;
        onChange(true);
      }
    },
    stop: () => clearTimeout(timer),
  };
}
