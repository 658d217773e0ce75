import {
  canonicalize,
  decodeBase64,
  encodeBase64,
  isJsonObject,
  LIMITS,
  parseCanonical,
  sha256,
  TributaryError,
} from '@tributary/proto';

import type { SpoolHeader } from '../../ports.js';
import { requireFormatVersion } from '../files/directory-format.js';

/*
 * A spool file begins with 4,096 bytes per block of header: magic (8 bytes), format version, length of the JSON (uint32
 * little-endian each), SHA-256 of the JSON, the JSON itself, zeros up to a multiple of 4,096 so that slots are aligned.
 */

const MAGIC = Buffer.from('TRIBSPOL');
const FORMAT_VERSION = 1;
const JSON_AT = 8 + 4 + 4 + 32;
const BLOCK_BYTES = 4_096;
/** The envelope header grows by a third in base64; names and signature fit beside it. */
const JSON_LIMIT = 2 * LIMITS.envelopeHeaderBytes + 4_096;

/** First bytes that are enough to hold every header. */
export const HEADER_LIMIT = Math.ceil((JSON_AT + JSON_LIMIT) / BLOCK_BYTES) * BLOCK_BYTES;

export interface SpoolFileHeader {
  readonly header: SpoolHeader;
  readonly chunkBytes: number;
  /** Where the first slot begins. */
  readonly bytes: number;
}

export function encodeSpoolHeader(header: SpoolHeader, chunkBytes: number): Buffer {
  const { uploadId, agentId, site } = header;
  const json = canonicalize({
    uploadId,
    agentId,
    site,
    chunkBytes,
    header: encodeBase64(header.header),
    signature: encodeBase64(header.signature),
  });
  if (json.length > JSON_LIMIT)
    throw new TributaryError(
      'LIMIT_EXCEEDED',
      `header: a spool header has at most ${String(JSON_LIMIT)} bytes`,
    );
  const bytes = Buffer.alloc(Math.ceil((JSON_AT + json.length) / BLOCK_BYTES) * BLOCK_BYTES);
  MAGIC.copy(bytes);
  bytes.writeUInt32LE(FORMAT_VERSION, 8);
  bytes.writeUInt32LE(json.length, 12);
  bytes.set(sha256(json), 16);
  bytes.set(json, JSON_AT);
  return bytes;
}

/**
 * Reads the header from the first bytes of a file. Undefined where it was never written whole (a crash right after
 * creation); FORMAT_UNSUPPORTED for a newer format; STORE_CORRUPT where it was altered.
 */
export function decodeSpoolHeader(bytes: Buffer, uploadId: string): SpoolFileHeader | undefined {
  if (bytes.length < JSON_AT || bytes.subarray(0, JSON_AT).every((byte) => byte === 0)) return undefined;
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw corrupt(uploadId);
  requireFormatVersion(bytes.readUInt32LE(8), FORMAT_VERSION, `spool ${uploadId}`);
  const length = bytes.readUInt32LE(12);
  if (length > JSON_LIMIT) throw corrupt(uploadId);
  const size = Math.ceil((JSON_AT + length) / BLOCK_BYTES) * BLOCK_BYTES;
  if (bytes.length < size) return undefined;
  const json = bytes.subarray(JSON_AT, JSON_AT + length);
  if (!bytes.subarray(16, JSON_AT).equals(sha256(json))) throw corrupt(uploadId);
  return { ...decodeFields(json, uploadId), bytes: size };
}

function decodeFields(json: Buffer, uploadId: string): Omit<SpoolFileHeader, 'bytes'> {
  const value = parseCanonical(json, JSON_LIMIT);
  if (!isJsonObject(value)) throw corrupt(uploadId);
  const { agentId, site, chunkBytes, header, signature } = value;
  if (value['uploadId'] !== uploadId || typeof agentId !== 'string' || typeof site !== 'string')
    throw corrupt(uploadId);
  if (typeof chunkBytes !== 'number' || typeof header !== 'string' || typeof signature !== 'string')
    throw corrupt(uploadId);
  return {
    header: {
      uploadId,
      agentId,
      site,
      header: decodeBase64(header, 'header'),
      signature: decodeBase64(signature, 'signature'),
    },
    chunkBytes,
  };
}

function corrupt(uploadId: string): TributaryError {
  return new TributaryError('STORE_CORRUPT', `the header of spool ${uploadId} was altered`, {
    fields: { uploadId },
  });
}
