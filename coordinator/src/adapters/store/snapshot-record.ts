import { sha256 } from '@tributary/proto';

const FORMAT_VERSION = 1;
const HASH_BYTES = 32;

/**
 * A snapshot as stored: format version (1 byte), root of the tree that it is the fold of, SHA-256 of all of it, content.
 * One that does not fit is named and not used: the fold can be made again.
 */
export function encodeSnapshot(rootHash: Uint8Array, snapshot: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.of(FORMAT_VERSION), rootHash, sha256(rootHash, snapshot), snapshot]);
}

/** The content; undefined where the record is damaged, of another tree or of a newer format. */
export function decodeSnapshot(record: Uint8Array, rootHash: Uint8Array): Uint8Array | undefined {
  const root = record.subarray(1, 1 + HASH_BYTES);
  const sum = record.subarray(1 + HASH_BYTES, 1 + 2 * HASH_BYTES);
  const snapshot = record.subarray(1 + 2 * HASH_BYTES);
  if (record[0] !== FORMAT_VERSION || Buffer.compare(root, rootHash) !== 0) return undefined;
  return Buffer.compare(sum, sha256(rootHash, snapshot)) === 0 ? new Uint8Array(snapshot) : undefined;
}
