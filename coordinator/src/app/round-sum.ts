import {
  Accumulator,
  bytesToFloat32,
  decodeCheckpoint,
  encodeCheckpoint,
  EnvelopeOpener,
  FLOAT32_BYTES,
  LIMITS,
  RingSum,
  scaleBitsFor,
  TributaryError,
  type RingShape,
  type Sums,
} from '@tributary/proto';

import type { CheckpointStore, Spool, SpoolStore } from '../ports.js';
import type { RoundKeys } from './round-keys.js';
import { roundName, type RoundRef } from './round-ref.js';

export interface SumStores {
  readonly spools: SpoolStore;
  readonly checkpoints: CheckpointStore;
  readonly keys: RoundKeys;
}

/** An upload to be added, and its spool where the caller has opened it already: it is closed here. */
export interface AcceptedUpload {
  readonly uploadId: string;
  readonly spool?: Promise<Spool | undefined> | undefined;
}

/** What the vectors of a round are like. */
export interface SumShape {
  /** Elements of the delta and of the tail. */
  readonly shape: RingShape;
  /** Largest magnitude of an element; undefined where they are words of the ring. */
  readonly range: number | undefined;
}

/**
 * The sum of one round and the uploads in it. Memory is that of one accumulator and one chunk. A fold that fails leaves
 * a sum that must not be used: the caller drops it.
 */
export class RoundSum {
  readonly ref: RoundRef;
  readonly accumulator: Sums;
  readonly #stores: SumStores;
  readonly #folded: Set<string>;
  #spooled: string[] = [];
  readonly #scratch = new Float32Array(LIMITS.chunkBytes / FLOAT32_BYTES);

  private constructor(ref: RoundRef, stores: SumStores, accumulator: Sums, folded: readonly string[]) {
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
    spare: Sums | undefined,
  ): Promise<RoundSum> {
    const accumulator = zeroed(shape, spare);
    const checkpoint = stores.checkpoints.get(roundName(ref));
    const folded = checkpoint === undefined ? [] : await decodeCheckpoint(checkpoint, accumulator);
    return new RoundSum(ref, stores, accumulator, folded);
  }

  /** Upload ids in the sum. */
  get folded(): ReadonlySet<string> {
    return this.#folded;
  }

  /**
   * Adds accepted uploads from their spools; those that are in the sum already are skipped. After every
   * LIMITS.checkpointEveryUpdates the sum is made durable, and the spools that it holds are deleted.
   */
  async fold(uploads: readonly AcceptedUpload[]): Promise<void> {
    let left = uploads.filter(({ uploadId }) => !this.#folded.has(uploadId));
    while (left.length > 0) {
      const room = LIMITS.checkpointEveryUpdates - this.#spooled.length;
      const together = left.slice(0, Math.min(room, LIMITS.foldedTogether));
      left = left.slice(together.length);
      await this.#add(together);
      for (const { uploadId } of together) {
        this.#folded.add(uploadId);
        this.#spooled.push(uploadId);
      }
      if (this.#spooled.length >= LIMITS.checkpointEveryUpdates) await this.#checkpoint();
    }
  }

  /** Chunk after chunk of all of them: the part of the sum that a chunk falls on is still in the cache for the next one. */
  async #add(uploads: readonly AcceptedUpload[]): Promise<void> {
    const secret = await this.#stores.keys.secret(this.ref);
    const spools: Spool[] = [];
    try {
      let parts: AsyncGenerator<void, void, undefined>[] = [];
      for (const upload of uploads) {
        const spool = await (upload.spool ?? this.#stores.spools.open(upload.uploadId));
        if (spool === undefined) throw lost(upload.uploadId, 'is missing');
        spools.push(spool);
        parts.push(this.#parts(spool, secret));
      }
      while (parts.length > 0) {
        const ended = new Set<AsyncGenerator>();
        for (const part of parts) if ((await part.next()).done === true) ended.add(part);
        parts = parts.filter((part) => !ended.has(part));
      }
    } finally {
      for (const spool of spools) await spool.close();
    }
  }

  /** Adds one chunk of an upload at each step. */
  async *#parts(spool: Spool, secret: Uint8Array): AsyncGenerator<void, void, undefined> {
    const { uploadId } = spool.header;
    try {
      const opener = new EnvelopeOpener(spool.header.header, secret);
      let [index, offset] = [0, 0];
      for await (const chunk of spool.chunks()) {
        const plaintext = opener.open(index, chunk);
        if (this.accumulator instanceof RingSum) this.accumulator.add(offset, plaintext);
        else this.accumulator.fold(offset, bytesToFloat32(plaintext, this.#scratch));
        offset += plaintext.length / FLOAT32_BYTES;
        index += 1;
        yield;
      }
      if (offset !== lengthOf(this.accumulator)) throw lost(uploadId, 'is not whole');
    } catch (cause) {
      // It verified when it was received: whatever fails now is the store's fault, not the agent's.
      const { code } = TributaryError.from(cause);
      throw code.startsWith('UPDATE_') ? lost(uploadId, 'was altered', cause) : cause;
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

/** Sums of zero, in the memory of `spare` where that fits. */
function zeroed({ shape, range }: SumShape, spare: Sums | undefined): Sums {
  if (range === undefined) return new RingSum(shape);
  const length = shape.parameters + shape.tail;
  const fits =
    spare instanceof Accumulator && spare.length === length && spare.scaleBits === scaleBitsFor(range);
  if (!fits) return new Accumulator({ length, range });
  spare.reset();
  return spare;
}

const lengthOf = (sums: Sums): number => (sums instanceof RingSum ? sums.words.length : sums.length);

function lost(uploadId: string, how: string, cause?: unknown): TributaryError {
  return new TributaryError('STORE_CORRUPT', `the spool of an accepted update ${how}`, {
    fields: { uploadId },
    cause,
  });
}
