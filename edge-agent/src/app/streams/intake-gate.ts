import { LIMITS } from '@tributary/proto';

import type { MessageSource } from '../../streams-ports.js';

/** It opens again at this part of a limit, lest it swing with every message. */
const REOPEN = 0.75;

/** Leaves messages with the broker while those that were read are too many, or cannot be answered. */
export class IntakeGate {
  readonly #source: Pick<MessageSource, 'pause' | 'resume'>;
  #messages = 0;
  #bytes = 0;
  #holders = 0;
  #closed = false;

  constructor(source: Pick<MessageSource, 'pause' | 'resume'>) {
    this.#source = source;
  }

  /** Messages that are not done with. */
  get messages(): number {
    return this.#messages;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** True where nothing is delivered. */
  get closed(): boolean {
    return this.#closed;
  }

  enter(bytes: number): void {
    this.#messages += 1;
    this.#bytes += bytes;
    this.#regulate();
  }

  leave(bytes: number): void {
    this.#messages -= 1;
    this.#bytes -= bytes;
    this.#regulate();
  }

  /** Closes until the function that it gives is called. */
  hold(): () => void {
    this.#holders += 1;
    this.#regulate();
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#holders -= 1;
      this.#regulate();
    };
  }

  #regulate(): void {
    const part = this.#closed ? REOPEN : 1;
    const full =
      this.#messages >= LIMITS.streamOutstanding * part ||
      this.#bytes >= LIMITS.streamOutstandingBytes * part;
    const close = full || this.#holders > 0;
    if (close === this.#closed) return;
    this.#closed = close;
    if (close) this.#source.pause();
    else this.#source.resume();
  }
}
