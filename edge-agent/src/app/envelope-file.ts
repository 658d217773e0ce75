import {
  decodeEnvelopeHeader,
  FLOAT32_BYTES,
  LIMITS,
  plaintextBytesOf,
  requireFormat,
  TributaryError,
  type EnvelopeHeader,
  type EnvelopeSeal,
  type EnvelopeWriter,
} from '@tributary/proto';

import type { OutboxFiles, UploadPart } from '../ports.js';

/*
 * File: "TRIBENVL" | uint8 formatVersion | uint32 BE header length | header | 64-byte signature | chunks, each ciphertext
 * and tag | uint32 BE chunk count | 32-byte digest of tags | 64-byte signature. Written once, sent byte for byte, the
 * first time while it is written.
 */
const MAGIC = Buffer.from('TRIBENVL');
const FORMAT_VERSION = 1;
const PREFIX_BYTES = MAGIC.length + 1 + 4;
const SIGNATURE_BYTES = 64;
const TAG_BYTES = 16;
const HASH_BYTES = 32;
const SEAL_BYTES = 4 + HASH_BYTES + SIGNATURE_BYTES;

/** The whole file, chunk by chunk. */
export async function* writeEnvelope(
  writer: EnvelopeWriter,
  vector: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  MAGIC.copy(prefix);
  prefix.writeUInt8(FORMAT_VERSION, MAGIC.length);
  prefix.writeUInt32BE(writer.headerBytes.length, MAGIC.length + 1);
  yield Buffer.concat([prefix, writer.headerBytes, writer.headerSignature]);
  yield* writer.writeAll(vector);
  yield sealBytes(writer.seal());
}

function sealBytes({ chunkCount, tagsDigest, signature }: EnvelopeSeal): Uint8Array {
  const count = Buffer.alloc(4);
  count.writeUInt32BE(chunkCount);
  return Buffer.concat([count, tagsDigest, signature]);
}

/** An envelope on disk. */
export interface StoredEnvelope {
  readonly header: EnvelopeHeader;
  readonly headerBytes: Uint8Array;
  readonly headerSignature: Uint8Array;
  /** Where its first chunk begins. */
  readonly bodyOffset: number;
}

/** Throws STORE_CORRUPT where the file is no envelope, FORMAT_UNSUPPORTED where a newer version wrote it. */
export async function openEnvelope(files: OutboxFiles, name: string): Promise<StoredEnvelope> {
  const start = await piece(files, name, 0, PREFIX_BYTES + LIMITS.envelopeHeaderBytes + SIGNATURE_BYTES);
  if (start.length < PREFIX_BYTES || !start.subarray(0, MAGIC.length).equals(MAGIC)) throw corrupt(name);
  requireFormat(start.readUInt8(MAGIC.length), name, FORMAT_VERSION);
  const headerEnd = PREFIX_BYTES + start.readUInt32BE(MAGIC.length + 1);
  const bodyOffset = headerEnd + SIGNATURE_BYTES;
  if (start.length < bodyOffset) throw corrupt(name);
  const headerBytes = start.subarray(PREFIX_BYTES, headerEnd);
  return {
    header: decodeEnvelopeHeader(headerBytes),
    headerBytes,
    headerSignature: start.subarray(headerEnd, bodyOffset),
    bodyOffset,
  };
}

/** Bytes that an upload from chunk `from` on sends. */
export function remainingBytes(
  { header, headerBytes }: Pick<StoredEnvelope, 'header' | 'headerBytes'>,
  from: number,
): number {
  const chunks = header.chunkCount - from;
  const plaintext = chunks === 0 ? 0 : header.vectorLength * FLOAT32_BYTES - from * header.chunkBytes;
  return (
    headerBytes.length + plaintext + chunks * TAG_BYTES + 2 * SIGNATURE_BYTES + HASH_BYTES + LIMITS.nameLength
  );
}

/** The messages of an upload whose envelope is only now being written: each leaves once it is in the file. */
export async function* firstUploadParts(
  files: OutboxFiles,
  name: string,
  writer: EnvelopeWriter,
  envelope: AsyncIterable<Uint8Array>,
): AsyncGenerator<UploadPart, void, undefined> {
  const { header, headerBytes, headerSignature } = writer;
  let written = 0;
  for await (const bytes of files.writeThrough(name, envelope)) {
    if (written === 0)
      yield { type: 'Header', uploadId: header.uploadId, header: headerBytes, signature: headerSignature };
    else if (written <= header.chunkCount) yield { type: 'Chunk', index: written - 1, data: bytes };
    else yield sealPart(bytes);
    written += 1;
  }
}

/** True where the file ends with a seal: false where the process died while it was writing. */
export async function isWhole(files: OutboxFiles, name: string, envelope: StoredEnvelope): Promise<boolean> {
  return (await storedSeal(files, name, envelope)).length === SEAL_BYTES;
}

/** The messages of an upload that goes on with chunk `from`. */
export async function* uploadParts(
  files: OutboxFiles,
  name: string,
  envelope: StoredEnvelope,
  from: number,
): AsyncGenerator<UploadPart, void, undefined> {
  const { header, headerBytes, headerSignature, bodyOffset } = envelope;
  yield { type: 'Header', uploadId: header.uploadId, header: headerBytes, signature: headerSignature };
  const sealedBytes = header.chunkBytes + TAG_BYTES;
  let index = from;
  if (index < header.chunkCount) {
    for await (const bytes of files.read(name, bodyOffset + from * sealedBytes, sealedBytes)) {
      // The last chunk may be shorter; behind it lies the seal.
      const length = plaintextBytesOf(header, index) + TAG_BYTES;
      if (bytes.length < length) throw corrupt(name);
      yield { type: 'Chunk', index, data: bytes.subarray(0, length) };
      index += 1;
      if (index === header.chunkCount) break;
    }
  }
  if (index < header.chunkCount) throw corrupt(name);
  const seal = await storedSeal(files, name, envelope);
  if (seal.length < SEAL_BYTES) throw corrupt(name);
  yield sealPart(seal);
}

async function storedSeal(
  files: OutboxFiles,
  name: string,
  { header, bodyOffset }: StoredEnvelope,
): Promise<Uint8Array> {
  const body = header.vectorLength * FLOAT32_BYTES + header.chunkCount * TAG_BYTES;
  return piece(files, name, bodyOffset + body, SEAL_BYTES);
}

function sealPart(seal: Uint8Array): UploadPart {
  return {
    type: 'Seal',
    chunkCount: new DataView(seal.buffer, seal.byteOffset).getUint32(0),
    tagsDigest: seal.subarray(4, 4 + HASH_BYTES),
    signature: seal.subarray(4 + HASH_BYTES, SEAL_BYTES),
  };
}

async function piece(files: OutboxFiles, name: string, offset: number, bytes: number): Promise<Buffer> {
  for await (const read of files.read(name, offset, bytes))
    return Buffer.from(read.buffer, read.byteOffset, read.byteLength);
  return Buffer.alloc(0);
}

const corrupt = (name: string): TributaryError =>
  new TributaryError('STORE_CORRUPT', `${name}: not a whole envelope`);
