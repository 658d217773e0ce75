import type { Evidence } from './planted.js';

/** Bytes that nobody outside of a site may have, and how far the places at which a part of them begins are apart. */
export interface SecretBytes {
  readonly name: string;
  readonly bytes: Buffer;
  /** 4: words; 8: doubles. */
  readonly step: 4 | 8;
}

const WINDOW_BYTES = 8;
const MULTIPLIER = 0x9e37_79b1;
/** Words that any data has: they tell nothing, whatever is beside them. */
const COMMON: ReadonlySet<number> = new Set([0, 1, 0xffff_ffff]);

/** Windows that are no accident. Three bytes of a double that was a float32 are zeros, as many are that mean nothing. */
const FEWEST = { 4: 1, 8: 2 } as const;

/**
 * Finds any eight bytes of secrets at any place: two elements of a vector that lie beside each other; of doubles two windows. Of n
 * windows in m random bytes about n * m / 2^64 are found by chance.
 */
export class WindowIndex {
  readonly #secrets: readonly SecretBytes[];
  readonly #starts: readonly number[];
  /** Open addressing: number of a window, and 1. */
  readonly #slots: Int32Array;
  readonly #mask: number;
  readonly #low: Uint32Array;
  readonly #high: Uint32Array;
  #count = 0;

  constructor(secrets: readonly SecretBytes[]) {
    this.#secrets = secrets;
    const most = secrets.reduce((sum, { bytes, step }) => sum + Math.ceil(bytes.length / step), 0);
    this.#slots = new Int32Array(2 ** Math.ceil(Math.log2(2 * most + 2)));
    this.#mask = this.#slots.length - 1;
    [this.#low, this.#high] = [new Uint32Array(most), new Uint32Array(most)];
    this.#starts = secrets.map((secret) => {
      const start = this.#count;
      this.#add(secret);
      return start;
    });
  }

  /** Windows that are sought. */
  get size(): number {
    return this.#count;
  }

  /** How many windows of which secrets are in the bytes. */
  find({ place, bytes }: Evidence): string[] {
    const found = new Map<SecretBytes, number>();
    if (bytes.length < WINDOW_BYTES) return [];
    for (let at = 0; at + WINDOW_BYTES <= bytes.length; at += 1) {
      const window = this.#lookUp(bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4));
      if (window === undefined) continue;
      const secret = this.#secretOf(window);
      if (secret !== undefined) found.set(secret, (found.get(secret) ?? 0) + 1);
    }
    return [...found]
      .filter(([{ step }, count]) => count >= FEWEST[step])
      .map(([{ name }, count]) => `${place}: ${name} (${String(count)} windows)`);
  }

  #add({ bytes, step }: SecretBytes): void {
    for (let at = 0; at + WINDOW_BYTES <= bytes.length; at += step) {
      const [low, high] = [bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4)];
      if (COMMON.has(high) || low === high || (step === 4 && COMMON.has(low))) continue;
      let slot = this.#slotOf(low, high);
      while (this.#slots[slot] !== 0 && !this.#isAt(slot, low, high)) slot = (slot + 1) & this.#mask;
      if (this.#slots[slot] !== 0) continue;
      [this.#low[this.#count], this.#high[this.#count]] = [low, high];
      this.#count += 1;
      this.#slots[slot] = this.#count;
    }
  }

  #lookUp(low: number, high: number): number | undefined {
    let slot = this.#slotOf(low, high);
    while (this.#slots[slot] !== 0) {
      if (this.#isAt(slot, low, high)) return (this.#slots[slot] ?? 0) - 1;
      slot = (slot + 1) & this.#mask;
    }
    return undefined;
  }

  #slotOf(low: number, high: number): number {
    const mixed = Math.imul(Math.imul(low, MULTIPLIER) ^ high, MULTIPLIER);
    return (mixed ^ (mixed >>> 15)) & this.#mask;
  }

  #isAt(slot: number, low: number, high: number): boolean {
    const window = (this.#slots[slot] ?? 0) - 1;
    return this.#low[window] === low && this.#high[window] === high;
  }

  #secretOf(window: number): SecretBytes | undefined {
    return this.#secrets[this.#starts.findLastIndex((start) => start <= window)];
  }
}

/** A float32 vector as float32 and float64, in both byte orders. */
export function floatForms(name: string, values: Float32Array): SecretBytes[] {
  const [single, double] = [Buffer.alloc(values.length * 4), Buffer.alloc(values.length * 8)];
  values.forEach((value, index) => {
    single.writeFloatLE(value, index * 4);
    double.writeDoubleLE(value, index * 8);
  });
  return [
    { name: `${name}, float32 LE`, bytes: single, step: 4 },
    { name: `${name}, float32 BE`, bytes: Buffer.from(single).swap32(), step: 4 },
    { name: `${name}, float64 LE`, bytes: double, step: 8 },
    { name: `${name}, float64 BE`, bytes: Buffer.from(double).swap64(), step: 8 },
  ];
}

/** Words of the ring in both byte orders. */
export function wordForms(name: string, words: Uint32Array): SecretBytes[] {
  const bytes = Buffer.alloc(words.length * 4);
  words.forEach((word, index) => bytes.writeUInt32LE(word, index * 4));
  return [
    { name: `${name}, LE`, bytes, step: 4 },
    { name: `${name}, BE`, bytes: Buffer.from(bytes).swap32(), step: 4 },
  ];
}
