/** Requests that wait for their reply, typed by the protocol. */

import type { ErrorInfo, Protocol, Results } from "../protocol.gen";

export type Kind = keyof Results;
/** The parameters of a request, without the two fields that are added here. */
export type Params<K extends Kind> = Omit<
  Extract<Protocol["request"], { kind: K }>,
  "kind" | "request_id"
>;
export type Send = <K extends Kind>(
  kind: K,
  params: Params<K>,
  options?: SendOptions,
) => Promise<Results[K]>;

export interface SendOptions {
  /** Aborting also ends what the kernel does for the request, as far as that can be ended. */
  signal?: AbortSignal;
  /** Wait for as long as it takes: for what reads all texts of a dataset. */
  isPatient?: boolean;
}

type Refusal = Omit<ErrorInfo, "choices"> & Partial<Pick<ErrorInfo, "choices">>;

/** A request that was not done, with what would work. */
export class RequestError extends Error {
  readonly code: string;
  readonly hint: string | null;
  readonly field: string | null;
  /** What could be asked for instead, where the kernel knows it. */
  readonly choices: readonly string[];

  constructor({ code, message, hint, field, choices = [] }: Refusal) {
    super(message);
    this.name = "RequestError";
    this.code = code;
    this.hint = hint;
    this.field = field;
    this.choices = choices;
  }
}

export interface Requests {
  request: Send;
  /** Hand a reply to the request that waits for it. */
  settle(request_id: string, reply: Record<string, unknown>): void;
  close(): void;
}

interface Pending {
  resolve(result: never): void;
  reject(error: unknown): void;
}

const TIMEOUT_S = 60;

export function createRequests(post: (message: object) => void): Requests {
  const pending = new Map<string, Pending>();

  const wait = (request_id: string, entry: Pending, { signal, isPatient }: SendOptions) => {
    const forget = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      pending.delete(request_id);
    };
    const reject = (error: unknown) => {
      forget();
      entry.reject(error);
    };
    const resolve = (result: never) => {
      forget();
      entry.resolve(result);
    };
    const abort = () => {
      reject(signal?.reason);
      post({ kind: "abort", request_id: newRequestId(), aborted_id: request_id });
    };
    const timer = isPatient
      ? undefined
      : setTimeout(() => reject(timeoutError()), TIMEOUT_S * 1000);
    signal?.addEventListener("abort", abort);
    pending.set(request_id, { resolve, reject });
  };

  return {
    request: (kind, params, options = {}) =>
      new Promise((resolve, reject) => {
        options.signal?.throwIfAborted();
        const request_id = newRequestId();
        wait(request_id, { resolve, reject }, options);
        post({ kind, request_id, ...params });
      }),
    settle(request_id, reply) {
      // every view of a model gets every reply: one that nobody waits for belongs to another view
      const entry = pending.get(request_id);
      if (reply["ok"] === true) entry?.resolve(reply["result"] as never);
      else entry?.reject(new RequestError(reply["error"] as ErrorInfo));
    },
    close() {
      for (const entry of [...pending.values()]) entry.reject(closedError());
    },
  };
}

export function newRequestId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function timeoutError(): RequestError {
  return new RequestError({
    code: "timeout",
    message: `The kernel did not answer within ${TIMEOUT_S} seconds.`,
    hint: "It may be busy with a cell, or gone. What it was asked to do may still happen.",
    field: null,
  });
}

function closedError(): RequestError {
  return new RequestError({
    code: "closed",
    message: "The panel was closed before the kernel answered.",
    hint: null,
    field: null,
  });
}
