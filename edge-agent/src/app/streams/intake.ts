import type { StreamPipeline } from '@tributary/proto';

import { compileDecoder, type MessageDecoder, type StreamItem } from '../../domain/streams/decoding.js';
import { isFault } from '../../domain/streams/fault.js';
import type { Completion, Decision, KeyEffect, KeyStream } from '../../domain/streams/key-step.js';
import type { InboundMessage } from '../../streams-ports.js';
import type { StreamFigures } from './figures.js';
import type { KeyTable } from './key-table.js';
import type { Delivery, KeyEntry, Letter, Step } from './stream-work.js';

export interface IntakeParts {
  readonly pipeline: StreamPipeline;
  readonly stream: KeyStream;
  readonly keys: KeyTable;
  readonly figures: StreamFigures;
  /** Takes the steps of messages and of the clock, in order. */
  readonly step: (step: Step) => void;
}

const NOTHING: readonly never[] = [];

/** Reads messages and advances the windows of their keys, in memory. */
export class Intake {
  readonly #parts: IntakeParts;
  readonly #decode: MessageDecoder;
  readonly #hasWindows: boolean;
  #inputs = 0;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
    this.#decode = compileDecoder(parts.pipeline.spec);
    this.#hasWindows = parts.pipeline.spec.window.type !== 'Record';
  }

  /** Every step of the message is counted in the delivery before the first is given on. */
  take(message: InboundMessage): Delivery {
    const items = this.#decode(message);
    const { step } = this.#parts;
    const sinceMs = message.arrivalMs;
    if (isFault(items)) {
      const delivery: Delivery = { message, open: 1 };
      step({ delivery, sinceMs, letters: [items], decisions: NOTHING });
      return delivery;
    }
    const delivery: Delivery = { message, open: items.length };
    for (const item of items) step(this.#stepOf(item, delivery));
    return delivery;
  }

  /** Closes windows of keys that are silent. */
  tick(nowMs: number): void {
    for (const entry of this.#parts.keys.entries()) {
      const { state, effects } = this.#parts.stream.step(entry.key, entry.state, { type: 'Clock', nowMs });
      if (state === entry.state && effects.length === 0) continue;
      this.#parts.keys.advance(entry, state);
      this.#parts.step(this.#keyed(entry, effects, { sinceMs: nowMs }));
    }
  }

  #stepOf(item: StreamItem, delivery: Delivery): Step {
    const { arrivalMs, redelivered } = delivery.message;
    const { keys, stream } = this.#parts;
    const refused = (letter: Letter): Step => ({
      delivery,
      sinceMs: arrivalMs,
      letters: [letter],
      decisions: NOTHING,
    });
    const entry = keys.entry(item.key, arrivalMs);
    if (entry === undefined) return refused({ reason: 'Overflow', field: 'key' });
    const event = { type: 'Item', input: this.#inputs++, item, arrivalMs, redelivered } as const;
    const { state, effects } = stream.step(entry.key, entry.state, event);
    if (!keys.advance(entry, state)) return refused({ reason: 'Overflow' });
    return this.#keyed(entry, effects, { delivery, sinceMs: arrivalMs });
  }

  #keyed(entry: KeyEntry, effects: readonly KeyEffect[], origin: Pick<Step, 'delivery' | 'sinceMs'>): Step {
    const decisions: Decision[] = [];
    let letters: Letter[] | undefined;
    let by: Completion | undefined;
    for (const effect of effects)
      switch (effect.type) {
        case 'Decide':
          decisions.push(effect.decision);
          break;
        case 'DeadLetter':
          (letters ??= []).push({ reason: effect.reason });
          break;
        case 'Skipped':
          this.#parts.figures.skipped[effect.reason] += effect.points;
          break;
        case 'Completed':
          by = effect.by;
      }
    entry.open += 1;
    const durable = this.#hasWindows && (by === undefined || by === 'State' || decisions.length > 0);
    return {
      ...origin,
      keyed: { entry, state: entry.state, durable },
      letters: letters ?? NOTHING,
      decisions,
    };
  }
}
