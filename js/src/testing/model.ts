/** A model as anywidget hands it over, with the kernel's side in the test's hands. */

import type { Model } from "../kernel/bridge";
import type { PanelState } from "../protocol.gen";

type Traits = PanelState & { selected: string | null };
type Callback = (...args: unknown[]) => void;
export type Sent = { kind: string; request_id: string } & Record<string, unknown>;

export class FakeModel implements Model {
  readonly sent: Sent[] = [];
  private readonly callbacks = new Map<string, Set<Callback>>();
  /** What was saved last: the kernel's side of the traits that it lets us write. */
  readonly saved: unknown[] = [];
  private state: Partial<Traits>;

  constructor(state: Partial<Traits>) {
    this.state = state;
  }

  get(name: string): unknown {
    return this.state[name as keyof Traits];
  }

  on(event: string, callback: (...args: never[]) => void): void {
    const known = this.callbacks.get(event) ?? new Set();
    this.callbacks.set(event, known.add(callback as Callback));
  }

  off(event: string, callback: (...args: never[]) => void): void {
    this.callbacks.get(event)?.delete(callback as Callback);
  }

  send(content: unknown): void {
    this.sent.push(content as Sent);
  }

  set(name: string, value: unknown): void {
    if (this.get(name) === value) return;
    this.state = { ...this.state, [name]: value };
    this.emit(`change:${name}`);
  }

  save_changes(): void {
    this.saved.push(this.state.selected ?? null);
  }

  /** What the kernel publishes: fresh objects, as they come out of JSON. */
  publish(change: Partial<Traits>): void {
    this.state = { ...this.state, ...structuredClone(change) };
    for (const name of Object.keys(change)) this.emit(`change:${name}`);
  }

  reply(message: unknown): void {
    this.emit("msg:custom", message);
  }

  /** Requests of one kind, in order. */
  requests(kind: string): Sent[] {
    return this.sent.filter((message) => message.kind === kind);
  }

  get listenerCount(): number {
    return [...this.callbacks.values()].reduce((sum, known) => sum + known.size, 0);
  }

  private emit(event: string, ...args: unknown[]): void {
    for (const callback of [...(this.callbacks.get(event) ?? [])]) callback(...args);
  }
}
