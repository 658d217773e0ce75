import type { TributaryError } from '@tributary/proto';

/** What a pipeline can wait for. */
export type WaitPlace = 'model' | 'publish' | 'log' | 'state';

/** Why a pipeline waits, by where. */
export class WaitReasons {
  readonly #reasons = new Map<WaitPlace, { readonly error: TributaryError; waiting: number }>();

  /** The one that began last; undefined where nothing waits. */
  get newest(): TributaryError | undefined {
    return [...this.#reasons.values()].at(-1)?.error;
  }

  /** Sets or clears the one reason of a place. */
  set(place: WaitPlace, error: TributaryError | undefined): void {
    this.#reasons.delete(place);
    if (error !== undefined) this.#reasons.set(place, { error, waiting: 1 });
  }

  /** For places where several wait at the same time: each says when it does no more. */
  begin(place: WaitPlace, error: TributaryError): () => void {
    const waiting = (this.#reasons.get(place)?.waiting ?? 0) + 1;
    this.#reasons.delete(place);
    this.#reasons.set(place, { error, waiting });
    return () => {
      const known = this.#reasons.get(place);
      if (known === undefined) return;
      known.waiting -= 1;
      if (known.waiting === 0) this.#reasons.delete(place);
    };
  }
}
