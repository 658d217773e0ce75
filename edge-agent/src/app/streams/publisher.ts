import { LIMITS, TributaryError } from '@tributary/proto';

import { backoffMs } from '../../domain/backoff.js';
import type { Clock, Random } from '../../ports.js';
import type { MessageSink, PublishOptions } from '../../streams-ports.js';
import { uniform } from '../pause.js';

export interface Publication {
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

/** Publishes in order and does not wait for one to send the next. What a broker refuses for now is sent again. */
export class Publisher {
  readonly #parts: PublisherParts;
  #queue: Publication[] = [];
  #unconfirmed = 0;
  #bytes = 0;
  #failures = 0;
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(parts: PublisherParts) {
    this.#parts = parts;
  }

  publish(publication: Publication): void {
    if (this.#queue.length > 0 || !this.#hasRoom) this.#queue.push(publication);
    else this.#send(publication);
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  get #hasRoom(): boolean {
    return this.#cancel === undefined && this.#unconfirmed < MOST && this.#bytes < MOST_BYTES;
  }

  #send(publication: Publication): void {
    const { topic, payload, options, done } = publication;
    this.#unconfirmed += 1;
    this.#bytes += payload.length;
    this.#parts.sink.publish(topic, payload, options).then(
      () => {
        this.#failures = 0;
        this.#leave(payload);
        done();
      },
      (error: unknown) => {
        this.#failed(publication, TributaryError.from(error));
      },
    );
  }

  #failed(publication: Publication, error: TributaryError): void {
    this.#leave(publication.payload);
    if (this.#stopped || error.code === 'SHUTTING_DOWN') return;
    if (!error.retryable) {
      publication.done(error);
      return;
    }
    this.#queue.push(publication);
    if (this.#cancel !== undefined) return;
    const { clock, random, waiting } = this.#parts;
    waiting(error);
    this.#cancel = clock.at(clock.now() + backoffMs(this.#failures++, uniform(random)), () => {
      this.#cancel = undefined;
      waiting(undefined);
      this.#pump();
    });
  }

  #leave(payload: Uint8Array): void {
    this.#unconfirmed -= 1;
    this.#bytes -= payload.length;
    if (this.#queue.length > 0) this.#pump();
  }

  #pump(): void {
    let next = 0;
    for (; next < this.#queue.length && this.#hasRoom && !this.#stopped; next++) {
      const publication = this.#queue[next];
      if (publication !== undefined) this.#send(publication);
    }
    if (next > 0) this.#queue = this.#queue.slice(next);
  }
}
