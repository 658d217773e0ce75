import { LIMITS, TributaryError } from '@tributary/proto';

/** The memory that bodies of requests share: whoever sends many large ones is refused, and takes nothing from the rest of the agent. */
export class BodyRoom {
  readonly #most: number;
  #held = 0;

  /** `most`: bytes. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Throws OVERLOADED where so many bytes are held that no more fit; nothing is taken then. */
  take(bytes: number): void {
    if (this.#held + bytes > this.#most)
      throw new TributaryError('OVERLOADED', 'too many large requests at the same time; send them again', {
        fields: { retryAfterMs: LIMITS.retryAfterMs },
      });
    this.#held += bytes;
  }

  give(bytes: number): void {
    this.#held -= bytes;
  }
}
