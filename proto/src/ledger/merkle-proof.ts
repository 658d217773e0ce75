import { emptyRoot, nodeHash } from './merkle.js';

/** A path never has more steps than a safe integer has bits, twice. */
const MAX_STEPS = 106;

/**
 * True where `path` proves that the leaf of hash `leaf` is number `index` of the tree of `size` leaves and root `root`
 * (RFC 9162, 2.1.3.2). Never throws: any malformed input is false.
 */
export function verifyInclusion(
  index: number,
  size: number,
  leaf: Uint8Array,
  path: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  if (!isCount(size) || !isCount(index) || index >= size || !areHashes([leaf, root, ...path])) return false;
  let node = index;
  let last = size - 1;
  let hash = leaf;
  for (const sibling of path) {
    if (last === 0) return false;
    if (isOdd(node) || node === last) {
      hash = nodeHash(sibling, hash);
      // A right edge skips the levels at which it has no sibling.
      while (!isOdd(node) && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && same(hash, root);
}

/**
 * True where `path` proves that the tree of `first` leaves with root `firstRoot` is a prefix of the tree of `second`
 * leaves with root `secondRoot` (RFC 9162, 2.1.4.2). Never throws.
 */
export function verifyConsistency(
  first: number,
  second: number,
  firstRoot: Uint8Array,
  secondRoot: Uint8Array,
  path: readonly Uint8Array[],
): boolean {
  if (!isCount(first) || !isCount(second) || first > second) return false;
  if (!areHashes([firstRoot, secondRoot, ...path])) return false;
  if (first === second) return path.length === 0 && same(firstRoot, secondRoot);
  if (first === 0) return path.length === 0 && same(firstRoot, emptyRoot());
  let node = first - 1;
  let last = second - 1;
  while (isOdd(node)) [node, last] = [half(node), half(last)];
  const steps = node === 0 ? [firstRoot, ...path] : [...path];
  const seed = steps.shift();
  if (seed === undefined) return false;
  return climb(node, last, seed, steps, firstRoot, secondRoot);
}

function climb(
  start: number,
  end: number,
  seed: Uint8Array,
  steps: readonly Uint8Array[],
  firstRoot: Uint8Array,
  secondRoot: Uint8Array,
): boolean {
  let [node, last, oldHash, newHash] = [start, end, seed, seed];
  for (const step of steps) {
    if (last === 0) return false;
    if (isOdd(node) || node === last) {
      oldHash = nodeHash(step, oldHash);
      newHash = nodeHash(step, newHash);
      while (!isOdd(node) && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      newHash = nodeHash(newHash, step);
    }
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && same(oldHash, firstRoot) && same(newHash, secondRoot);
}

// Sizes may exceed 32 bits, where JavaScript's shifts end.
const half = (value: number): number => Math.floor(value / 2);
const isOdd = (value: number): boolean => value % 2 === 1;
const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
const areHashes = (values: readonly Uint8Array[]): boolean =>
  values.length <= MAX_STEPS && values.every((value) => value.length === 32);
const same = (a: Uint8Array, b: Uint8Array): boolean => a.every((byte, index) => byte === b[index]);
