/** Repeatable pseudo-random numbers (xorshift128+ seeded by SplitMix64): for tests, never for secrets. */
export class SeededRandom {
  #a: bigint;
  #b: bigint;

  constructor(seed: number) {
    this.#a = splitMix(BigInt(seed));
    this.#b = splitMix(this.#a);
  }

  /** 0 to 2^32 - 1. */
  uint32(): number {
    let x = this.#a;
    const y = this.#b;
    this.#a = y;
    x ^= (x << 23n) & MASK;
    this.#b = x ^ y ^ (x >> 17n) ^ (y >> 26n);
    return Number((this.#b + y) & 0xffff_ffffn);
  }

  /** 0 to `end` - 1. */
  below(end: number): number {
    return end <= 1 ? 0 : this.uint32() % end;
  }

  chance(probability: number): boolean {
    return this.uint32() / 2 ** 32 < probability;
  }

  pick<T>(choices: readonly T[]): T {
    const chosen = choices[this.below(choices.length)];
    if (chosen === undefined) throw new RangeError('nothing to pick from');
    return chosen;
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let i = 0; i < length; i++) bytes[i] = this.below(256);
    return bytes;
  }
}

const MASK = 2n ** 64n - 1n;

function splitMix(seed: bigint): bigint {
  let z = (seed + 0x9e3779b97f4a7c15n) & MASK;
  z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
  z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & MASK;
  return z ^ (z >> 31n);
}
