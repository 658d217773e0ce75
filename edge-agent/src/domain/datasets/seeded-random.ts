import { publicRandom } from '@tributary/proto';

/** 2^32 divided by the golden ratio: sets seed and value apart where both are small. */
const GOLDEN = 0x9e3779b9;
const UINT32 = 2 ** 32;

/**
 * One round of mixing that is a bijection on 32-bit words: the finaliser of MurmurHash3 (Appleby, public domain). It
 * spreads neighbouring numbers over the whole range; it keeps no secret.
 */
export function mix32(word: number): number {
  let hash = word >>> 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** A 32-bit hash of non-negative safe integers in order, each taken as its low and high word. */
export function hashIntegers(...values: readonly number[]): number {
  return values.reduce((hash, value) => {
    const low = mix32(hash + GOLDEN + (value >>> 0));
    return mix32(low + GOLDEN + Math.floor(value / UINT32));
  }, 0);
}

/**
 * A reproducible stream of numbers in [0, 1) with 32 random bits from any number of seeds. For shuffles and
 * resampling; never for keys, masks or noise.
 */
export function seededRandom(...seeds: readonly number[]): () => number {
  const random = publicRandom(hashIntegers(...seeds));
  return () => random.nextUint32() / UINT32;
}

/** Fisher-Yates in place (Durstenfeld, CACM 7, 1964): every order is possible, given enough random bits. */
export function shuffle(values: Uint32Array, random: () => number): void {
  for (let last = values.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    const value = values[last] ?? 0;
    values[last] = values[other] ?? 0;
    values[other] = value;
  }
}
