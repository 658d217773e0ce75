import { sha256 } from '../signing/hash.js';

/*
 * The Merkle tree of RFC 6962, section 2.1 (unchanged in RFC 9162): leaf and node hashes carry different prefixes, and a
 * tree of n leaves splits at the largest power of two below n. Node (level, index) is the complete subtree over leaves
 * index * 2^level up to (index + 1) * 2^level; a complete node never changes, so a store keeps each one once.
 */

const LEAF_PREFIX = Uint8Array.of(0);
const NODE_PREFIX = Uint8Array.of(1);

/** Root of the empty tree: SHA-256 of nothing. */
export const emptyRoot = (): Uint8Array => sha256();

/** Hash of one leaf: SHA-256(0x00 || bytes). */
export function leafHash(bytes: Uint8Array): Uint8Array {
  return sha256(LEAF_PREFIX, bytes);
}

/** Hash of an inner node: SHA-256(0x01 || left || right). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(NODE_PREFIX, left, right);
}

/** A complete subtree. */
export interface MerkleNode {
  readonly level: number;
  readonly index: number;
  /** 32 bytes. */
  readonly hash: Uint8Array;
}

/** Reads the hash of a complete node that lies within the tree asked about; rejects where it is missing. */
export type NodeReader = (level: number, index: number) => Uint8Array | Promise<Uint8Array>;

/** Root of the first `size` leaves. */
export async function merkleRoot(size: number, read: NodeReader): Promise<Uint8Array> {
  requireSize(size, Number.MAX_SAFE_INTEGER, 'size');
  return size === 0 ? emptyRoot() : rangeHash(0, size, read);
}

/**
 * Audit path of leaf `index` in the tree of `size` leaves, from the leaf upwards (RFC 6962, 2.1.1). Throws RangeError
 * unless 0 <= index < size: callers check what comes from outside.
 */
export async function inclusionProof(index: number, size: number, read: NodeReader): Promise<Uint8Array[]> {
  requireSize(index, size - 1, 'index');
  const ranges: Range[] = [];
  for (let start = 0, count = size; count > 1;) {
    const split = splitOf(count);
    const left = index - start < split;
    ranges.push(left ? [start + split, count - split] : [start, split]);
    start = left ? start : start + split;
    count = left ? split : count - split;
  }
  return hashes(ranges.reverse(), read);
}

/**
 * Proof that the first `first` leaves of the tree of `second` leaves are the tree of `first` leaves (RFC 6962, 2.1.2).
 * Empty where `first` is 0 or equals `second`. Throws RangeError unless 0 <= first <= second.
 */
export async function consistencyProof(
  first: number,
  second: number,
  read: NodeReader,
): Promise<Uint8Array[]> {
  requireSize(first, second, 'first');
  if (first === 0 || first === second) return [];
  const ranges: Range[] = [];
  let [start, count] = [0, second];
  while (first - start !== count) {
    const split = splitOf(count);
    const left = first - start <= split;
    ranges.push(left ? [start + split, count - split] : [start, split]);
    start = left ? start : start + split;
    count = left ? split : count - split;
  }
  // The verifier holds the old root already where the old tree is one complete subtree at the left edge.
  if (start > 0) ranges.push([start, count]);
  return hashes(ranges.reverse(), read);
}

type Range = readonly [start: number, count: number];

async function hashes(ranges: readonly Range[], read: NodeReader): Promise<Uint8Array[]> {
  return Promise.all(ranges.map(([start, count]) => rangeHash(start, count, read)));
}

/** Hash over `count` leaves from `start`, a subtree of the RFC's recursion: `start` is a multiple of its first split. */
async function rangeHash(start: number, count: number, read: NodeReader): Promise<Uint8Array> {
  const split = splitOf(count);
  if (split * 2 === count || count === 1) return read(Math.round(Math.log2(count)), start / count);
  const [left, right] = await Promise.all([
    rangeHash(start, split, read),
    rangeHash(start + split, count - split, read),
  ]);
  return nodeHash(left, right);
}

/** Largest power of two below `count`. */
function splitOf(count: number): number {
  let split = 1;
  while (split * 2 < count) split *= 2;
  return split;
}

function requireSize(value: number, most: number, name: string): void {
  if (!Number.isSafeInteger(value) || value < 0 || value > most)
    throw new RangeError(`${name} ${String(value)} is outside the tree`);
}
