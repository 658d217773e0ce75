import {
  Accumulator,
  bytesToFloat32,
  decodeCheckpoint,
  encodeCheckpoint,
  EnvelopeOpener,
  FLOAT32_BYTES,
  LIMITS,
  scaleBitsFor,
  TributaryError,
} from '@tributary/proto';

import type { CheckpointStore, Spool, SpoolStore } from '../ports.js';
import type { RoundKeys } from './round-keys.js';
import { roundName, type RoundRef } from './round-ref.js';

export interface SumStores {
  readonly spools: SpoolStore;
  readonly checkpoints: CheckpointStore;
  readonly keys: RoundKeys;
}

/** What the vectors of a round are like. */
export interface SumShape {
  /** Elements. */
  readonly length: number;
  /** Largest magnitude of an element. */
  readonly range: number;
}

/**
 * The sum of one round and the uploads in it. Memory is that of one accumulator and one chunk. A fold that fails leaves
 * a sum that must not be used: the caller drops it.
 */
export class RoundSum {
  readonly ref: RoundRef;
  readonly accumulator: Accumulator;
  readonly #stores: SumStores;
  readonly #folded: Set<string>;
  #spooled: string[] = [];
  readonly #scratch = new Float32Array(LIMITS.chunkBytes / FLOAT32_BYTES);

  private constructor(ref: RoundRef, stores: SumStores, accumulator: Accumulator, folded: readonly string[]) {
    this.ref = ref;
    this.accumulator = accumulator;
    this.#stores = stores;
    this.#folded = new Set(folded);
  }

  /** Goes on from the checkpoint of the round, or begins at zero, in the memory of `spare` where that fits. */
  static async open(
    ref: RoundRef,
    shape: SumShape,
    stores: SumStores,
    spare: Accumulator | undefined,
  ): Promise<RoundSum> {
    const checkpoint = stores.checkpoints.get(roundName(ref));
    if (checkpoint !== undefined) {
      const { accumulator, folded } = await decodeCheckpoint(checkpoint, shape);
      return new RoundSum(ref, stores, accumulator, folded);
    }
    const fits = spare?.length === shape.length && spare.scaleBits === scaleBitsFor(shape.range);
    if (!fits) return new RoundSum(ref, stores, new Accumulator(shape), []);
    spare.reset();
    return new RoundSum(ref, stores, spare, []);
  }

  /** Upload ids in the sum. */
  get folded(): ReadonlySet<string> {
    return this.#folded;
  }

  /**
   * Adds an accepted upload from its spool; one that is in the sum already is skipped. After every
   * LIMITS.checkpointEveryUpdates the sum is made durable, and the spools that it holds are deleted. `early` is the spool
   * where the caller has opened it already; it is closed here.
   */
  async fold(uploadId: string, early?: Promise<Spool | undefined>): Promise<void> {
    if (this.#folded.has(uploadId)) return;
    await this.#add(uploadId, early ?? this.#stores.spools.open(uploadId));
    this.#folded.add(uploadId);
    this.#spooled.push(uploadId);
    if (this.#spooled.length >= LIMITS.checkpointEveryUpdates) await this.#checkpoint();
  }

  async #add(uploadId: string, opening: Promise<Spool | undefined>): Promise<void> {
    const spool = await opening;
    if (spool === undefined) throw lost(uploadId, 'is missing');
    try {
      const secret = await this.#stores.keys.secret(this.ref);
      const opener = new EnvelopeOpener(spool.header.header, secret);
      let [index, offset] = [0, 0];
      for await (const chunk of spool.chunks()) {
        const values = bytesToFloat32(opener.open(index, chunk), this.#scratch);
        this.accumulator.fold(offset, values);
        offset += values.length;
        index += 1;
      }
      if (offset !== this.accumulator.length) throw lost(uploadId, 'is not whole');
    } catch (cause) {
      // It verified when it was received: whatever fails now is the store's fault, not the agent's.
      const { code } = TributaryError.from(cause);
      throw code.startsWith('UPDATE_') ? lost(uploadId, 'was altered', cause) : cause;
    } finally {
      await spool.close();
    }
  }

  async #checkpoint(): Promise<void> {
    await this.#stores.checkpoints.put(
      roundName(this.ref),
      encodeCheckpoint(this.accumulator, [...this.#folded]),
    );
    const spooled = this.#spooled;
    this.#spooled = [];
    for (const uploadId of spooled) await this.#stores.spools.remove(uploadId);
  }
}

function lost(uploadId: string, how: string, cause?: unknown): TributaryError {
  return new TributaryError('STORE_CORRUPT', `the spool of an accepted update ${how}`, {
    fields: { uploadId },
    cause,
  });
}
