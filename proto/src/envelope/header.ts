import { z } from 'zod';

import { canonicalize, isJsonObject, parseCanonical, type JsonObject } from '../canonical-json.js';
import { TributaryError } from '../errors/tributary-error.js';
import { isName } from '../ids.js';
import { LIMITS } from '../limits.js';
import { requireEncoding, SERVED_ENCODINGS } from '../parameters/encodings.js';
import { FLOAT32_BYTES } from '../parameters/float32-bytes.js';
import { MOST_ELEMENTS } from '../secagg/ring-shape.js';
import { base64Schema, digestSchema } from '../text-schemas.js';
import { isAtLeast, requireFormat, SECURE_WIRE_VERSION, SMALL_CHUNKS_WIRE_VERSION } from '../versions.js';
import { dataVersionSchema } from './data-version.js';

/** The algorithms of an envelope. Another set of algorithms is another name. */
export const SUITE = 'x25519-xsalsa20poly1305+aes256gcm-stream';

export const ENVELOPE_VERSION = 1;

const id = (prefix: string) => z.string().regex(new RegExp(`^${prefix}-[0-9a-f]{32}$`));
const uint32 = z
  .int()
  .nonnegative()
  .max(2 ** 32 - 1);

const headerSchema = z.strictObject({
  formatVersion: z.literal(ENVELOPE_VERSION),
  suite: z.literal(SUITE),
  wire: z.string().regex(/^[0-9]{1,4}\.[0-9]{1,4}$/),
  logId: z.string().regex(/^[0-9a-f]{64}$/),
  jobId: id('job'),
  round: uint32,
  attempt: uint32,
  stage: z.string().refine(isName, 'not a name'),
  agentId: id('agt'),
  site: z.string().refine(isName, 'not a name'),
  uploadId: id('upl'),
  baseDigest: digestSchema,
  layoutDigest: digestSchema,
  /** Salted digest of the rows that the update was trained on; absent where there are none. */
  dataVersion: dataVersionSchema.optional(),
  /** f32: the values. ring: masked words of secure aggregation (SecAgg, Bonawitz et al., CCS 2017); from wire 1.2 on. */
  encoding: z.enum(SERVED_ENCODINGS),
  /** Elements of the update vector: 4 bytes each. */
  vectorLength: z.int().min(1).max(MOST_ELEMENTS),
  /** Bytes of plaintext in each chunk but the last; {@link leastChunkBytes} or more. */
  chunkBytes: z.int().min(LIMITS.firstChunkBytes).max(LIMITS.chunkBytes).multipleOf(FLOAT32_BYTES),
  chunkCount: uint32.min(1),
  /** Curve25519 public key made for this envelope. */
  ephemeralKey: base64Schema(32),
  keyNonce: base64Schema(24),
  /** nacl.box of the content key: 32 bytes and the box's own 16. */
  sealedKey: base64Schema(48),
  noncePrefix: base64Schema(7),
});

/** What an envelope says about itself; signed, and authenticated with every chunk. Byte fields are standard base64. */
export type EnvelopeHeader = z.infer<typeof headerSchema>;

/** Bytes of the smallest chunk that an envelope of that wire version may have. */
export function leastChunkBytes(wire: string): number {
  return isAtLeast(wire, SMALL_CHUNKS_WIRE_VERSION) ? LIMITS.firstChunkBytes : LIMITS.minChunkBytes;
}

/** Chunks of an envelope. */
export function chunkCountOf(vectorLength: number, chunkBytes: number): number {
  return Math.ceil((vectorLength * FLOAT32_BYTES) / chunkBytes);
}

/** Bytes of plaintext in chunk `index`. */
export function plaintextBytesOf(
  header: Pick<EnvelopeHeader, 'vectorLength' | 'chunkBytes'>,
  index: number,
): number {
  return Math.min(header.chunkBytes, header.vectorLength * FLOAT32_BYTES - index * header.chunkBytes);
}

/** The canonical JSON of a header. Throws as {@link decodeEnvelopeHeader} does: what is written can be read. */
export function encodeEnvelopeHeader(header: EnvelopeHeader): Uint8Array {
  const bytes = canonicalize(header);
  decodeEnvelopeHeader(bytes);
  return bytes;
}

/**
 * Reads a header from outside. Throws FORMAT_UNSUPPORTED for a newer format, VERSION_UNSUPPORTED for another suite,
 * DOCUMENT_UNSUPPORTED for an encoding not served, UPDATE_TOO_LARGE for a vector beyond the limits, INVALID_ARGUMENT,
 * naming the field, for anything else.
 */
export function decodeEnvelopeHeader(bytes: Uint8Array): EnvelopeHeader {
  const value = parseCanonical(bytes, LIMITS.envelopeHeaderBytes);
  if (!isJsonObject(value)) throw malformed('', 'not an object');
  requireKnown(value);
  const parsed = headerSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw malformed((issue?.path ?? []).map(String).join('.'), issue?.message ?? 'malformed');
  }
  const header = parsed.data;
  if (header.encoding === 'ring' && !isAtLeast(header.wire, SECURE_WIRE_VERSION))
    throw malformed('encoding', `wire ${header.wire} does not know ring`);
  const least = leastChunkBytes(header.wire);
  if (header.chunkBytes < least)
    throw malformed('chunkBytes', `${String(least)} at least in wire ${header.wire}`);
  const count = chunkCountOf(header.vectorLength, header.chunkBytes);
  if (header.chunkCount !== count) throw malformed('chunkCount', `${String(count)} chunks hold the vector`);
  return header;
}

/** Differences of version, which deserve their own answer, before the strict schema. */
function requireKnown({ formatVersion, suite, encoding, vectorLength }: JsonObject): void {
  requireFormat(formatVersion, 'the envelope', ENVELOPE_VERSION);
  if (typeof suite === 'string' && suite !== SUITE) {
    throw new TributaryError('VERSION_UNSUPPORTED', `the envelope's suite is not ${SUITE}`, {
      fields: { field: 'suite' },
    });
  }
  if (typeof encoding === 'string') requireEncoding(encoding);
  if (typeof vectorLength === 'number' && vectorLength > MOST_ELEMENTS) {
    throw new TributaryError(
      'UPDATE_TOO_LARGE',
      `an update has at most ${String(LIMITS.modelParameters)} parameters`,
    );
  }
}

function malformed(path: string, problem: string): TributaryError {
  const field = path === '' ? 'header' : `header.${path}`;
  return new TributaryError('INVALID_ARGUMENT', `${field}: ${problem}`, { fields: { field } });
}
