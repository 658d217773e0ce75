import { z } from 'zod';

import { canonicalize, isJsonObject, parseCanonical, type JsonValue } from '../canonical-json.js';
import { TributaryError } from '../errors/tributary-error.js';
import { LIMITS } from '../limits.js';
import { startDigest, type DigestStream } from '../signing/hash.js';
import type { Accumulator } from './accumulator.js';
import { MOST_ELEMENTS } from '../secagg/ring-shape.js';
import { RingSum } from '../secagg/ring-sum.js';
import { ByteReader } from '../byte-reader.js';
import { requireFormat } from '../versions.js';

/*
 * File: uint32 BE length of the header | header, canonical JSON | int64 sums or uint32 words, little-endian |
 * "sha256:<hex>" of all before, in ASCII.
 */

export const CHECKPOINT_VERSION = 1;
const MOST_HEADER_BYTES = LIMITS.ledgerEntryBytes;
const DIGEST_BYTES = 71;

const headerSchema = z.strictObject({
  formatVersion: z.literal(CHECKPOINT_VERSION),
  length: z.int().min(1).max(MOST_ELEMENTS),
  /** Of int64 sums; words of the ring have no scale of their own. */
  scaleBits: z.int().min(-100).max(100).optional(),
  elements: z.int().nonnegative().optional(),
  /** Upload ids in the sum. */
  folded: z.array(z.string().max(LIMITS.nameLength)).max(LIMITS.updatesPerRound),
});

/** What a checkpoint holds: exact sums of plain updates, or of masked ones. */
export type Sums = Accumulator | RingSum;

type Header = z.infer<typeof headerSchema>;

/**
 * Sums and the uploads in them as bytes, in chunks of at most LIMITS.chunkBytes, each a copy. `folded` and the sums are
 * one file, so a crash leaves both or neither.
 */
export function* encodeCheckpoint(
  sums: Sums,
  folded: readonly string[],
): Generator<Uint8Array, void, undefined> {
  const header = canonicalize({ formatVersion: CHECKPOINT_VERSION, ...describe(sums), folded });
  const prefix = new Uint8Array(4 + header.length);
  new DataView(prefix.buffer).setUint32(0, header.length);
  prefix.set(header, 4);
  const digest = startDigest();
  digest.update(prefix);
  yield prefix;
  for (const part of bytesOf(sums)) {
    for (let start = 0; start < part.length; start += LIMITS.chunkBytes) {
      const chunk = part.slice(start, start + LIMITS.chunkBytes);
      digest.update(chunk);
      yield chunk;
    }
  }
  yield new TextEncoder().encode(digest.digest());
}

/**
 * Reads a checkpoint into `sums`, which are fresh; resolves with the upload ids in it. Throws STORE_CORRUPT where it is
 * not whole or belongs to another vector, FORMAT_UNSUPPORTED where a newer version wrote it; the sums are then of no use.
 */
export async function decodeCheckpoint(
  source: AsyncIterable<Uint8Array>,
  sums: Sums,
): Promise<readonly string[]> {
  const digest = startDigest();
  const reader = new ByteReader(source, () => corrupt('it ends early'));
  const header = await readHeader(reader, digest);
  const { length, scaleBits } = describe(sums);
  if (header.length !== length || header.scaleBits !== scaleBits) throw corrupt('it is of another vector');
  for (const bytes of bytesOf(sums)) {
    for (let start = 0; start < bytes.length; start += LIMITS.chunkBytes) {
      const chunk = await reader.take(Math.min(LIMITS.chunkBytes, bytes.length - start));
      digest.update(chunk);
      bytes.set(chunk, start);
    }
  }
  const expected = new TextDecoder('latin1').decode(await reader.take(DIGEST_BYTES));
  if (digest.digest() !== expected || !(await reader.atEnd())) throw corrupt('its digest does not match');
  if (!(sums instanceof RingSum)) sums.resume(header.elements ?? 0);
  return header.folded;
}

/** What says which vector the sums are of. */
function describe(sums: Sums): Pick<Header, 'length' | 'scaleBits' | 'elements'> {
  if (sums instanceof RingSum) return { length: sums.words.length };
  const { length, scaleBits, elements } = sums;
  return { length, scaleBits, elements };
}

/** The memory of the sums, part by part: views. */
function bytesOf(sums: Sums): readonly Uint8Array[] {
  const parts = sums instanceof RingSum ? [sums.words] : sums.rawSums();
  return parts.map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength));
}

async function readHeader(reader: ByteReader, digest: DigestStream): Promise<Header> {
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
