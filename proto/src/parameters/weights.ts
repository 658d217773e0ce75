import { vectorFigures } from '../accumulator/kernels.js';
import { TributaryError } from '../errors/tributary-error.js';
import type { Layout } from './layout.js';
import { FLOAT32_BYTES, float32ToBytes, fromLittleEndian } from './float32-bytes.js';
import { LIMITS } from '../limits.js';

/** Bytes of the weights blob of a model: its vector as little-endian float32, nothing else. */
export function weightsBytes(layout: Layout): number {
  return layout.length * FLOAT32_BYTES;
}

/** The weights blob in chunks of at most LIMITS.chunkBytes, which share the memory of `weights`. */
export function* encodeWeights(weights: Float32Array): Generator<Uint8Array, void, undefined> {
  const step = LIMITS.chunkBytes / FLOAT32_BYTES;
  for (let start = 0; start < weights.length; start += step)
    yield float32ToBytes(weights.subarray(start, start + step));
}

/** Collects a weights blob that arrives in pieces of any length: one vector, allocated once. */
export class WeightsDecoder {
  readonly #weights: Float32Array;
  readonly #bytes: Uint8Array;
  #received = 0;

  constructor(layout: Layout) {
    this.#weights = new Float32Array(layout.length);
    this.#bytes = new Uint8Array(this.#weights.buffer);
  }

  /** Bytes so far: the offset from which an interrupted download goes on. */
  get received(): number {
    return this.#received;
  }

  /** Takes the next piece; throws INVALID_ARGUMENT beyond the length of the layout. */
  push(bytes: Uint8Array): void {
    if (this.#received + bytes.length > this.#bytes.length) {
      throw new TributaryError(
        'INVALID_ARGUMENT',
        `the weights have more than ${String(this.#bytes.length)} bytes`,
      );
    }
    this.#bytes.set(bytes, this.#received);
    this.#received += bytes.length;
  }

  /** The vector; throws INVALID_ARGUMENT where bytes are missing or a weight is not finite. */
  finish(): Float32Array {
    if (this.#received !== this.#bytes.length) {
      throw new TributaryError(
        'INVALID_ARGUMENT',
        `the weights have ${String(this.#received)} of ${String(this.#bytes.length)} bytes`,
      );
    }
    const weights = fromLittleEndian(this.#weights);
    if (!Number.isFinite(vectorFigures(weights).most))
      throw new TributaryError('INVALID_ARGUMENT', 'a weight is not a finite number');
    return weights;
  }
}
