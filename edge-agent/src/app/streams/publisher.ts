import { LIMITS, TributaryError } from '@tributary/proto';

import { backoffMs } from '../../domain/backoff.js';
import type { Clock, Random } from '../../ports.js';
import type { MessageSink, PublishOptions } from '../../streams-ports.js';
import { uniform } from '../pause.js';

export interface Publication {
  /** Those of one key go out in order: later ones wait while the broker refuses an earlier one. */
  readonly key?: string;
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly options: PublishOptions;
  /** Called once: the broker has it, or will never take it. Not called where the sink is closed before. */
  readonly done: (refusal?: TributaryError) => void;
}

export interface PublisherParts {
  readonly sink: Pick<MessageSink, 'publish'>;
  readonly clock: Clock;
  readonly random: Random;
  /** Why publications wait; undefined once they do no more. */
  readonly waiting: (error: TributaryError | undefined) => void;
}

/** Half of what a sink takes: it never has to refuse. */
const MOST = LIMITS.sinkMessages / 2;
const MOST_BYTES = LIMITS.sinkBytes / 2;

/** What a broker refused for now. */
interface Refused {
  readonly publication: Publication;
  /** Place in the order of sending. */
  readonly place: number;
}

/**
 * Publishes in order and does not wait for one to send the next. What a broker refuses for now is sent again, before
 * anything else of its key that is not on its way already, and one of a key at a time.
 */
export class Publisher {
  readonly #parts: PublisherParts;
  #queue: Publication[] = [];
  /** In the order of their places. */
  #refused: Refused[] = [];
  /** Of each key, what was refused and is not confirmed yet. */
  readonly #held = new Map<string, number>();
  /** Keys of which something is being sent again. */
  readonly #trying = new Set<string>();
  #places = 0;
  #unconfirmed = 0;
  #bytes = 0;
  #failures = 0;
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(parts: PublisherParts) {
    this.#parts = parts;
  }

  publish(publication: Publication): void {
    if (this.#queue.length === 0 && this.#hasRoom && !this.#isHeld(publication)) {
      this.#send(publication, this.#places++);
      return;
    }
    this.#queue.push(publication);
    if (this.#held.size > 0) this.#pump();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  get #hasRoom(): boolean {
    return this.#cancel === undefined && this.#unconfirmed < MOST && this.#bytes < MOST_BYTES;
  }

  #isHeld({ key }: Publication): boolean {
    return key !== undefined && this.#held.size > 0 && this.#held.has(key);
  }

  #send(publication: Publication, place: number, again = false): void {
    const { topic, payload, options, done } = publication;
    this.#unconfirmed += 1;
    this.#bytes += payload.length;
    this.#parts.sink.publish(topic, payload, options).then(
      () => {
        this.#failures = 0;
        if (again) this.#release(publication);
        this.#leave(payload);
        done();
      },
      (error: unknown) => {
        this.#failed({ publication, place }, again, TributaryError.from(error));
      },
    );
  }

  #failed(refused: Refused, again: boolean, error: TributaryError): void {
    const { publication } = refused;
    if (this.#stopped || error.code === 'SHUTTING_DOWN') return;
    if (!error.retryable) {
      if (again) this.#release(publication);
      this.#leave(publication.payload);
      publication.done(error);
      return;
    }
    this.#hold(refused, again);
    if (this.#cancel === undefined) this.#waitFor(error);
    this.#leave(publication.payload);
  }

  #waitFor(error: TributaryError): void {
    const { clock, random, waiting } = this.#parts;
    waiting(error);
    this.#cancel = clock.at(clock.now() + backoffMs(this.#failures++, uniform(random)), () => {
      this.#cancel = undefined;
      waiting(undefined);
      this.#pump();
    });
  }

  #hold(refused: Refused, again: boolean): void {
    const { key } = refused.publication;
    const before = this.#refused.findIndex(({ place }) => place > refused.place);
    this.#refused.splice(before < 0 ? this.#refused.length : before, 0, refused);
    if (key === undefined) return;
    if (again) this.#trying.delete(key);
    else this.#held.set(key, (this.#held.get(key) ?? 0) + 1);
  }

  /** What was refused is out, or given up. */
  #release({ key }: Publication): void {
    if (key === undefined) return;
    this.#trying.delete(key);
    const left = (this.#held.get(key) ?? 1) - 1;
    if (left === 0) this.#held.delete(key);
    else this.#held.set(key, left);
  }

  #leave(payload: Uint8Array): void {
    this.#unconfirmed -= 1;
    this.#bytes -= payload.length;
    if (this.#queue.length + this.#refused.length > 0) this.#pump();
  }

  #pump(): void {
    if (this.#refused.length > 0) this.#refused = this.#refused.filter((one) => !this.#sendAgain(one));
    if (this.#held.size > 0) {
      this.#queue = this.#queue.filter((one) => !this.#sendFree(one));
      return;
    }
    let next = 0;
    for (; next < this.#queue.length && this.#maySend; next++) {
      const publication = this.#queue[next];
      if (publication !== undefined) this.#send(publication, this.#places++);
    }
    if (next > 0) this.#queue = this.#queue.slice(next);
  }

  get #maySend(): boolean {
    return this.#hasRoom && !this.#stopped;
  }

  #sendAgain({ publication, place }: Refused): boolean {
    const { key } = publication;
    if (!this.#maySend || (key !== undefined && this.#trying.has(key))) return false;
    if (key !== undefined) this.#trying.add(key);
    this.#send(publication, place, true);
    return true;
  }

  #sendFree(publication: Publication): boolean {
    if (!this.#maySend || this.#isHeld(publication)) return false;
    this.#send(publication, this.#places++);
    return true;
  }
}
