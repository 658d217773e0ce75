import { digestOf, LIMITS, type StreamPipeline } from '@tributary/proto';

import { isFault } from '../../domain/streams/fault.js';
import { compileText } from '../../domain/streams/text-rendering.js';
import { compileTopics } from '../../domain/streams/topic-matching.js';
import type { InboundMessage } from '../../streams-ports.js';
import type { StreamFigures } from './figures.js';
import type { LetterBox } from './letter-box.js';
import type { Publisher } from './publisher.js';
import type { Letter } from './stream-work.js';

export interface DeadLetterParts {
  readonly pipeline: StreamPipeline;
  readonly publisher: Publisher;
  readonly box: LetterBox;
  readonly figures: StreamFigures;
}

/** Counts, reports and keeps messages that could not be used. Reports hold nothing of their payload. */
export class DeadLetters {
  readonly #parts: DeadLetterParts;
  readonly #match: ReturnType<typeof compileTopics>;
  readonly #topic: ReturnType<typeof compileText> | undefined;
  /** Reports of the second that `#second` counts, and those left out since the last one. */
  #reports = 0;
  #second = 0;
  #omitted = 0;

  constructor(parts: DeadLetterParts) {
    const { source, deadLetter } = parts.pipeline.spec;
    this.#parts = parts;
    this.#match = compileTopics(source.topics);
    this.#topic = deadLetter.topic === undefined ? undefined : compileText(deadLetter.topic);
  }

  /** Calls `done` once the letter is out. Windows that the clock closed have no message. */
  send({ reason, field }: Letter, message: InboundMessage | undefined, done: () => void): void {
    this.#parts.figures.deadLetter(reason);
    if (message === undefined) {
      done();
      return;
    }
    let open = 2;
    const oneDone = (): void => {
      open -= 1;
      if (open === 0) done();
    };
    const letter = { reason, ...(field !== undefined && { field }) };
    const { topic, payload, arrivalMs } = message;
    this.#parts.box.keep({ ...letter, topic, arrivalMs, payload }, oneDone);
    this.#report(letter, message, oneDone);
  }

  /** Where the topic of the message gives no name for that of the report there is none to publish on. */
  #report(letter: Letter, message: InboundMessage, done: () => void): void {
    const to = this.#topic?.render(this.#match(message.topic) ?? {});
    if (to === undefined || isFault(to)) {
      done();
      return;
    }
    const { topic, payload, arrivalMs } = message;
    if (!this.#mayReport(arrivalMs)) {
      this.#omitted += 1;
      done();
      return;
    }
    const omitted = this.#omitted === 0 ? undefined : this.#omitted;
    this.#omitted = 0;
    const report = {
      pipeline: this.#parts.pipeline.metadata.name,
      reason: letter.reason,
      field: letter.field,
      topic,
      size: payload.length,
      digest: digestOf(payload),
      arrivalMs,
      omitted,
    };
    // One that the broker does not take is counted and no more: a letter about a letter could go on for ever.
    this.#parts.publisher.publish({
      topic: to,
      payload: Buffer.from(JSON.stringify(report)),
      options: { qos: 1 },
      done,
    });
  }

  /** A storm of messages that nobody can use is not answered with one of reports. */
  #mayReport(arrivalMs: number): boolean {
    const second = Math.floor(arrivalMs / 1_000);
    if (second !== this.#second) this.#reports = 0;
    this.#second = second;
    this.#reports += 1;
    return this.#reports <= LIMITS.deadLetterReports;
  }
}
