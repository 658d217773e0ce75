import { hkdfSync, randomBytes } from 'node:crypto';

import { requireLength } from '../byte-text.js';
import { ByteReader } from '../byte-reader.js';
import { TributaryError } from '../errors/tributary-error.js';
import { LIMITS } from '../limits.js';
import { requireFormat } from '../versions.js';
import { STREAM, StreamCipher } from './stream-cipher.js';

/*
 * File: "TRIBSEAL" | uint8 formatVersion | uint32 BE bytes of plaintext per chunk | 32-byte salt | sealed chunks.
 * HKDF-SHA256 (RFC 5869) of key and salt gives each file a key and a nonce prefix of its own, so that one sealing key
 * serves any number of files. Each chunk authenticates the header and the name of the content.
 */

export const SEALED_VERSION = 1;

const MAGIC = new TextEncoder().encode('TRIBSEAL');
const SALT_BYTES = 32;
const HEADER_BYTES = MAGIC.length + 1 + 4 + SALT_BYTES;
const KEY_BYTES = 32;

/** How content is sealed at rest. */
export interface SealOptions {
  /** 32 bytes: the sealing key of the process. */
  readonly key: Uint8Array;
  /** Name of the content, such as its path below the data directory: a file moved to another name does not open. */
  readonly name: string;
  /** Where the content lies, for errors; its name unless given. */
  readonly path?: string;
  /** 32 random bytes, fresh for each content; drawn here unless given. Tests give it, nobody else. */
  readonly salt?: Uint8Array;
}

/** Seals small content at once. */
export function sealBytes(options: SealOptions, plaintext: Uint8Array): Uint8Array {
  const header = createHeader(options.salt ?? randomBytes(SALT_BYTES));
  const cipher = cipherOf(options, header);
  const parts = [header];
  const chunks = Math.max(1, Math.ceil(plaintext.length / LIMITS.chunkBytes));
  for (let index = 0; index < chunks; index += 1) {
    const chunk = plaintext.subarray(index * LIMITS.chunkBytes, (index + 1) * LIMITS.chunkBytes);
    parts.push(cipher.seal(index, index === chunks - 1, chunk));
  }
  return new Uint8Array(Buffer.concat(parts));
}

/**
 * Opens what {@link sealBytes} or {@link sealStream} wrote. Throws SEAL_BROKEN for another key, another name or altered
 * content, FORMAT_UNSUPPORTED where a newer version wrote it.
 */
export function openBytes(options: Omit<SealOptions, 'salt'>, sealed: Uint8Array): Uint8Array {
  const header = sealed.subarray(0, HEADER_BYTES);
  const chunkBytes = readHeader(options, header) + STREAM.tagBytes;
  const cipher = cipherOf(options, header);
  const body = sealed.subarray(HEADER_BYTES);
  const chunks = Math.max(1, Math.ceil(body.length / chunkBytes));
  const parts: Uint8Array[] = [];
  for (let index = 0; index < chunks; index += 1) {
    const chunk = body.subarray(index * chunkBytes, (index + 1) * chunkBytes);
    parts.push(cipher.open(index, index === chunks - 1, chunk) ?? broken(options));
  }
  return new Uint8Array(Buffer.concat(parts));
}

/** Seals content of any length as it comes; holds one chunk. What it yields is valid until it is asked for more. */
export async function* sealStream(
  options: SealOptions,
  plaintext: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const header = createHeader(options.salt ?? randomBytes(SALT_BYTES));
  const cipher = cipherOf(options, header);
  yield header;
  let sealed: Buffer | undefined;
  for await (const { index, last, chunk } of chunksOf(plaintext, LIMITS.chunkBytes)) {
    // The first chunk is the longest.
    sealed ??= Buffer.allocUnsafeSlow(chunk.length + STREAM.tagBytes);
    yield cipher.seal(index, last, chunk, sealed);
  }
}

/**
 * Opens sealed content as it comes. Each chunk is verified before it is given out, but only the end of the iteration
 * says that none is missing: act on the whole after the loop, not inside. Throws as {@link openBytes}.
 */
export async function* openStream(
  options: Omit<SealOptions, 'salt'>,
  sealed: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = new ByteReader(sealed, () => brokenError(options, 'the sealed content ends early'));
  try {
    const header = new Uint8Array(await reader.take(HEADER_BYTES));
    const chunkBytes = readHeader(options, header) + STREAM.tagBytes;
    const cipher = cipherOf(options, header);
    for await (const { index, last, chunk } of readChunks(reader, chunkBytes))
      yield cipher.open(index, last, chunk) ?? broken(options);
  } finally {
    await reader.close();
  }
}

interface Chunk {
  readonly index: number;
  readonly last: boolean;
  readonly chunk: Uint8Array;
}

async function* chunksOf(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  bytes: number,
): AsyncGenerator<Chunk> {
  const reader = new ByteReader(
    source,
    () => new TributaryError('INTERNAL', 'the content to seal ends early'),
  );
  try {
    yield* readChunks(reader, bytes);
  } finally {
    await reader.close();
  }
}

/** Whole chunks of `bytes` and a last one of 0 to `bytes`: at least one. */
async function* readChunks(reader: ByteReader, bytes: number): AsyncGenerator<Chunk> {
  let held = new Uint8Array(0);
  for (let index = 0, last = false; !last; index += 1) {
    let chunk = await reader.takeUpTo(bytes);
    if (reader.buffered === 0) {
      // Looking for the end asks the source for more, which may fill its buffer anew.
      if (held.length < chunk.length) held = new Uint8Array(chunk.length);
      held.set(chunk);
      chunk = held.subarray(0, chunk.length);
    }
    last = await reader.atEnd();
    yield { index, last, chunk };
  }
}

function createHeader(salt: Uint8Array): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES);
  header.set(MAGIC);
  header[MAGIC.length] = SEALED_VERSION;
  new DataView(header.buffer).setUint32(MAGIC.length + 1, LIMITS.chunkBytes);
  header.set(requireLength(salt, SALT_BYTES, 'salt'), HEADER_BYTES - SALT_BYTES);
  return header;
}

/** Bytes of plaintext per chunk. */
function readHeader(options: Named, header: Uint8Array): number {
  if (header.length < HEADER_BYTES || MAGIC.some((byte, index) => header[index] !== byte)) broken(options);
  const version = header[MAGIC.length] ?? 0;
  requireFormat(version, `sealed content of ${placeOf(options)}`, SEALED_VERSION);
  const chunkBytes = new DataView(header.buffer, header.byteOffset).getUint32(MAGIC.length + 1);
  if (version !== SEALED_VERSION || chunkBytes < 1 || chunkBytes > LIMITS.chunkBytes) broken(options);
  return chunkBytes;
}

function cipherOf({ key, name }: SealOptions, header: Uint8Array): StreamCipher {
  requireLength(key, KEY_BYTES, 'sealing key');
  const salt = header.subarray(HEADER_BYTES - SALT_BYTES);
  const derived = new Uint8Array(
    hkdfSync('sha256', key, salt, 'tributary.v1/sealing', STREAM.keyBytes + STREAM.prefixBytes),
  );
  const associated = Buffer.concat([header, new TextEncoder().encode(name)]);
  return new StreamCipher(
    derived.subarray(0, STREAM.keyBytes),
    derived.subarray(STREAM.keyBytes),
    associated,
  );
}

type Named = Pick<SealOptions, 'name' | 'path'>;

const placeOf = ({ name, path = name }: Named): string => path;

function brokenError(options: Named, what: string): TributaryError {
  return new TributaryError('SEAL_BROKEN', `${placeOf(options)}: ${what}`, {
    hint: 'check that the sealing key is the one this data was written with; if it is, the file was altered',
  });
}

function broken(options: Named): never {
  throw brokenError(options, 'sealed content does not open');
}
