import {
  bytesToFloat32,
  canonicalize,
  float32ToBytes,
  parseCanonical,
  requireFormat,
  TributaryError,
} from '@tributary/proto';
import { z } from 'zod';

/** How far a training has come, at the end of an epoch: everything that the epochs after it depend on. */
export interface Checkpoint {
  /** What the bits depend on besides: software, backend, rows. Another identity begins anew. */
  readonly identity: string;
  /** Epochs done. */
  readonly epoch: number;
  /** Steps done. */
  readonly steps: number;
  /** Mean loss of the last epoch. */
  readonly loss: number;
  /** All tensors of the network, in the order of the layout. */
  readonly weights: Float32Array;
  /** State of the optimizer. */
  readonly optimizer: Float32Array;
  /** Present where the job stops early. */
  readonly best?: BestEpoch;
}

/** The epoch with the lowest validation loss so far. */
export interface BestEpoch {
  readonly validationLoss: number;
  /** Mean training loss of that epoch. */
  readonly loss: number;
  /** Epochs since then. */
  readonly waited: number;
  readonly weights: Float32Array;
}

const FORMAT_VERSION = 1;
const MAGIC = 'TBCP';
const HEADER_BYTES = 64 * 1024;

const uint = z.int().nonnegative();
const schema = z.strictObject({
  formatVersion: z.literal(FORMAT_VERSION),
  identity: z.string().max(1_024),
  epoch: uint,
  steps: uint,
  loss: z.number(),
  weights: uint,
  optimizer: uint,
  best: z.strictObject({ validationLoss: z.number(), loss: z.number(), waited: uint }).optional(),
});

/** One buffer of its own: magic, header length, header as canonical JSON, then the vectors as little-endian float32. */
export function encodeTrainingCheckpoint(checkpoint: Checkpoint): Uint8Array {
  const { identity, epoch, steps, loss, weights, optimizer, best } = checkpoint;
  const header = canonicalize({
    formatVersion: FORMAT_VERSION,
    identity,
    epoch,
    steps,
    loss,
    weights: weights.length,
    optimizer: optimizer.length,
    ...(best && {
      best: { validationLoss: best.validationLoss, loss: best.loss, waited: best.waited },
    }),
  });
  const vectors = [weights, optimizer, ...(best === undefined ? [] : [best.weights])];
  const start = 8 + header.length;
  const bytes = new Uint8Array(start + vectors.reduce((sum, { byteLength }) => sum + byteLength, 0));
  bytes.set(Buffer.from(MAGIC));
  new DataView(bytes.buffer).setUint32(4, header.length, true);
  bytes.set(header, 8);
  let at = start;
  for (const vector of vectors) {
    bytes.set(float32ToBytes(vector), at);
    at += vector.byteLength;
  }
  return bytes;
}

/** Throws STORE_CORRUPT for what {@link encodeTrainingCheckpoint} did not write, FORMAT_UNSUPPORTED for a newer version. */
export function decodeTrainingCheckpoint(bytes: Uint8Array): Checkpoint {
  if (bytes.length < 8 || Buffer.from(bytes.subarray(0, 4)).toString('latin1') !== MAGIC) throw corrupt();
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true);
  if (length > HEADER_BYTES || bytes.length < 8 + length) throw corrupt();
  const value = parseHeader(bytes.subarray(8, 8 + length));
  requireFormat(
    (value as { readonly formatVersion?: unknown }).formatVersion,
    'a checkpoint',
    FORMAT_VERSION,
  );
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw corrupt();
  const { identity, epoch, steps, loss, best } = parsed.data;
  const lengths = [parsed.data.weights, parsed.data.optimizer, best === undefined ? 0 : parsed.data.weights];
  if (bytes.length !== 8 + length + 4 * lengths.reduce((sum, count) => sum + count, 0)) throw corrupt();
  let at = 8 + length;
  const [weights, optimizer, bestWeights] = lengths.map((count) => {
    const vector = bytesToFloat32(bytes.subarray(at, at + 4 * count));
    at += 4 * count;
    return vector;
  });
  if (weights === undefined || optimizer === undefined || bestWeights === undefined) throw corrupt();
  const rest = best === undefined ? {} : { best: { ...best, weights: bestWeights } };
  return { identity, epoch, steps, loss, weights, optimizer, ...rest };
}

function parseHeader(bytes: Uint8Array): object {
  try {
    const value: unknown = parseCanonical(bytes, HEADER_BYTES);
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // Whatever is wrong with it, it is not ours.
  }
  throw corrupt();
}

const corrupt = (): TributaryError => new TributaryError('STORE_CORRUPT', 'not a checkpoint of a training');
