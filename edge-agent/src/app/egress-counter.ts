import { z } from 'zod';

import { addEgress, NO_EGRESS, type Egress, type EgressKind } from '../domain/egress.js';
import type { EgressMeter, StateStore } from '../ports.js';
import { encodeRecord, readRecord } from './records.js';

const KEY = 'egress';

const count = z
  .string()
  .regex(/^[0-9]{1,30}$/)
  .transform(BigInt);
const egressSchema = z.strictObject({ update: count, control: count, reserved: count });

/**
 * Counts the bytes that leave, durably. What an upload is about to send is reserved first: after a crash the reserve
 * counts as sent, so the figures may be too high, never too low.
 */
export class EgressCounter implements EgressMeter {
  readonly #store: StateStore;
  #egress: Egress;
  #reserved = 0n;

  private constructor(store: StateStore, egress: Egress) {
    this.#store = store;
    this.#egress = egress;
  }

  static async open(store: StateStore): Promise<EgressCounter> {
    const record = await readRecord(store, KEY, egressSchema);
    if (record === undefined) return new EgressCounter(store, NO_EGRESS);
    return new EgressCounter(store, { update: record.update + record.reserved, control: record.control });
  }

  get egress(): Egress {
    return this.#egress;
  }

  count(kind: EgressKind, bytes: number): void {
    this.#egress = addEgress(this.#egress, kind, bytes);
  }

  /** Durable when it resolves: `bytes` more may leave. */
  async reserve(bytes: number): Promise<void> {
    this.#reserved += BigInt(bytes);
    await this.flush();
  }

  /** What was reserved has left and was counted, or will not leave. Durable with the next write. */
  release(bytes: number): void {
    this.#reserved -= BigInt(bytes);
  }

  async flush(): Promise<void> {
    const { update, control } = this.#egress;
    await this.#store.put({
      [KEY]: encodeRecord({
        update: String(update),
        control: String(control),
        reserved: String(this.#reserved),
      }),
    });
  }
}
