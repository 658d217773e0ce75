/**
 * Reproducible randomness that anybody may know: initial weights, the order of rows. Never for keys, masks or noise,
 * because the whole stream follows from 32 public bits.
 */
export interface PublicRandom {
  /** 0 to 2^32 - 1. */
  readonly nextUint32: () => number;
  /** [0, 1) in steps of 2^-24, so that it is exact as float32. */
  readonly nextUnit: () => number;
}

const MASK64 = (1n << 64n) - 1n;

/** xoshiro128** 1.1 (Blackman and Vigna, ACM TOMS 2021), its state from SplitMix64 over `seed`, 0 to 2^32 - 1. */
export function publicRandom(seed: number): PublicRandom {
  const next = splitMix64(BigInt(seed));
  const [low, high] = [next(), next()];
  const word = (value: bigint): number => Number(BigInt.asUintN(32, value));
  return xoshiro128([word(low), word(low >> 32n), word(high), word(high >> 32n)]);
}

/** SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): 64-bit words from a 64-bit state. */
export function splitMix64(seed: bigint): () => bigint {
  let state = seed & MASK64;
  return () => {
    state = (state + 0x9e3779b97f4a7c15n) & MASK64;
    let word = ((state ^ (state >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK64;
    word = ((word ^ (word >> 27n)) * 0x94d049bb133111ebn) & MASK64;
    return word ^ (word >> 31n);
  };
}

/** xoshiro128** from four 32-bit words, not all zero. */
export function xoshiro128(state: readonly [number, number, number, number]): PublicRandom {
  let [a, b, c, d] = state;
  const nextUint32 = (): number => {
    const result = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotateLeft(d, 11);
    return result;
  };
  return { nextUint32, nextUnit: () => (nextUint32() >>> 8) / 2 ** 24 };
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
