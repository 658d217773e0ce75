import { LIMITS, TributaryError } from '@tributary/proto';

/** Kinds of frames that the agent sends. */
export const TO_TRAINER = {
  task: 1,
  weights: 2,
  checkpoint: 3,
  trainRows: 4,
  testRows: 5,
  begin: 6,
  stop: 7,
} as const;

/** Kinds of frames that the trainer sends. */
export const FROM_TRAINER = {
  progress: 16,
  checkpoint: 17,
  checkpointEnd: 18,
  delta: 19,
  scores: 20,
  result: 21,
  failure: 22,
} as const;

export interface Frame {
  readonly kind: number;
  readonly payload: Uint8Array;
}

/** Length of the payload as uint32, little-endian, and the kind. */
const HEAD_BYTES = 5;

export function encodeFrame(kind: number, payload: Uint8Array = new Uint8Array()): Uint8Array {
  const frame = new Uint8Array(HEAD_BYTES + payload.length);
  new DataView(frame.buffer).setUint32(0, payload.length, true);
  frame[4] = kind;
  frame.set(payload, HEAD_BYTES);
  return frame;
}

/** Cuts a stream of bytes into frames; holds one frame at most. */
export class FrameReader {
  readonly #parts: Buffer[] = [];
  #held = 0;

  /** The frames that `bytes` completes. Throws TRAINING_FAILED for a frame that is too long. */
  push(bytes: Buffer): readonly Frame[] {
    this.#parts.push(bytes);
    this.#held += bytes.length;
    const frames: Frame[] = [];
    for (let frame = this.#take(); frame !== undefined; frame = this.#take()) frames.push(frame);
    return frames;
  }

  #take(): Frame | undefined {
    if (this.#held < HEAD_BYTES) return undefined;
    const head = this.#whole(HEAD_BYTES);
    const length = head.readUInt32LE(0);
    if (length > LIMITS.trainerFrameBytes)
      throw new TributaryError('TRAINING_FAILED', 'the trainer sent a frame that is longer than allowed');
    if (this.#held < HEAD_BYTES + length) return undefined;
    const bytes = this.#whole(HEAD_BYTES + length);
    const payload = Uint8Array.from(bytes.subarray(HEAD_BYTES, HEAD_BYTES + length));
    this.#parts[0] = bytes.subarray(HEAD_BYTES + length);
    this.#held -= HEAD_BYTES + length;
    return { kind: head.readUInt8(4), payload };
  }

  /** The first part, joined with those after it where it is shorter than `length`. */
  #whole(length: number): Buffer {
    const [first] = this.#parts;
    if (first !== undefined && first.length >= length) return first;
    const joined = Buffer.concat(this.#parts);
    this.#parts.splice(0, this.#parts.length, joined);
    return joined;
  }
}

/** A vector that arrives in pieces of whole or broken float32 values, in order. */
export class VectorReader {
  readonly #bytes: Uint8Array;
  readonly #what: string;
  #filled = 0;

  constructor(length: number, what: string) {
    this.#bytes = new Uint8Array(length * Float32Array.BYTES_PER_ELEMENT);
    this.#what = what;
  }

  push(piece: Uint8Array): void {
    if (this.#filled + piece.length > this.#bytes.length)
      throw new TributaryError('TRAINING_FAILED', `the trainer sent more ${this.#what} than were asked for`);
    this.#bytes.set(piece, this.#filled);
    this.#filled += piece.length;
  }

  /** Little-endian bytes of the whole vector. Throws TRAINING_FAILED where some are missing. */
  whole(): Uint8Array {
    if (this.#filled !== this.#bytes.length)
      throw new TributaryError('TRAINING_FAILED', `the trainer ended before all ${this.#what} had come`);
    return this.#bytes;
  }
}
