import { z } from 'zod';

import { canonicalize, isJsonObject, parseCanonical, type JsonValue } from '../canonical-json.js';
import { TributaryError } from '../errors/tributary-error.js';
import { LIMITS } from '../limits.js';
import { startDigest, type DigestStream } from '../signing/hash.js';
import { Accumulator } from './accumulator.js';
import { ByteReader } from '../byte-reader.js';
import { requireFormat } from '../versions.js';
import type { Kernel } from './kernel.js';

/*
 * File: uint32 BE length of the header | header, canonical JSON | int64 sums, little-endian | "sha256:<hex>" of all
 * before, in ASCII.
 */

export const CHECKPOINT_VERSION = 1;
const MOST_HEADER_BYTES = LIMITS.ledgerEntryBytes;
const DIGEST_BYTES = 71;

const headerSchema = z.strictObject({
  formatVersion: z.literal(CHECKPOINT_VERSION),
  length: z
    .int()
    .min(1)
    .max(LIMITS.modelParameters + LIMITS.tailElements),
  scaleBits: z.int().min(-100).max(100),
  elements: z.int().nonnegative(),
  /** Upload ids in the sum. */
  folded: z.array(z.string().max(LIMITS.nameLength)).max(LIMITS.updatesPerRound),
});

/**
 * An accumulator and the uploads in it as bytes, in chunks of at most LIMITS.chunkBytes, each a copy. `folded` and the
 * sums are one file, so a crash leaves both or neither.
 */
export function* encodeCheckpoint(
  accumulator: Accumulator,
  folded: readonly string[],
): Generator<Uint8Array, void, undefined> {
  const { length, scaleBits, elements } = accumulator;
  const header = canonicalize({ formatVersion: CHECKPOINT_VERSION, length, scaleBits, elements, folded });
  const prefix = new Uint8Array(4 + header.length);
  new DataView(prefix.buffer).setUint32(0, header.length);
  prefix.set(header, 4);
  const digest = startDigest();
  digest.update(prefix);
  yield prefix;
  for (const sums of accumulator.rawSums()) {
    for (let start = 0; start < sums.byteLength; start += LIMITS.chunkBytes) {
      const chunk = new Uint8Array(
        sums.buffer,
        sums.byteOffset + start,
        Math.min(LIMITS.chunkBytes, sums.byteLength - start),
      ).slice();
      digest.update(chunk);
      yield chunk;
    }
  }
  yield new TextEncoder().encode(digest.digest());
}

export interface Checkpoint {
  readonly accumulator: Accumulator;
  readonly folded: readonly string[];
}

/**
 * Reads a checkpoint into a fresh accumulator of `length` elements and `range`. Throws STORE_CORRUPT where it is not
 * whole or belongs to another vector, FORMAT_UNSUPPORTED where a newer version wrote it.
 */
export async function decodeCheckpoint(
  source: AsyncIterable<Uint8Array>,
  options: { readonly length: number; readonly range: number; readonly kernel?: Kernel },
): Promise<Checkpoint> {
  const accumulator = new Accumulator(options);
  const digest = startDigest();
  const reader = new ByteReader(source, () => corrupt('it ends early'));
  const header = await readHeader(reader, digest);
  if (header.length !== accumulator.length || header.scaleBits !== accumulator.scaleBits)
    throw corrupt('it is of another vector');
  for (const sums of accumulator.rawSums()) {
    const bytes = new Uint8Array(sums.buffer, sums.byteOffset, sums.byteLength);
    for (let start = 0; start < bytes.length; start += LIMITS.chunkBytes) {
      const chunk = await reader.take(Math.min(LIMITS.chunkBytes, bytes.length - start));
      digest.update(chunk);
      bytes.set(chunk, start);
    }
  }
  const expected = new TextDecoder('latin1').decode(await reader.take(DIGEST_BYTES));
  if (digest.digest() !== expected || !(await reader.atEnd())) throw corrupt('its digest does not match');
  accumulator.resume(header.elements);
  return { accumulator, folded: header.folded };
}

async function readHeader(reader: ByteReader, digest: DigestStream): Promise<z.infer<typeof headerSchema>> {
  const prefix = await reader.take(4);
  const length = new DataView(prefix.buffer, prefix.byteOffset).getUint32(0);
  if (length > MOST_HEADER_BYTES) throw corrupt('its header is too long');
  digest.update(prefix);
  const bytes = await reader.take(length);
  digest.update(bytes);
  let value: JsonValue;
  try {
    value = parseCanonical(bytes, MOST_HEADER_BYTES);
  } catch (cause) {
    throw corrupt('its header is not canonical JSON', cause);
  }
  requireFormat(
    isJsonObject(value) ? value['formatVersion'] : undefined,
    'the accumulator checkpoint',
    CHECKPOINT_VERSION,
  );
  const parsed = headerSchema.safeParse(value);
  if (!parsed.success) throw corrupt(`its header: ${parsed.error.issues[0]?.path.join('.') ?? ''}`);
  return parsed.data;
}

function corrupt(problem: string, cause?: unknown): TributaryError {
  return new TributaryError('STORE_CORRUPT', `not an accumulator checkpoint: ${problem}`, { cause });
}
