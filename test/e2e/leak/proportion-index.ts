import type { Evidence } from './planted.js';

/** A vector that may appear times anything. */
export interface SecretVector {
  readonly name: string;
  readonly values: Float32Array;
}

/** Elements that have to be in proportion, one after the other. */
const RUN = 8;
/** By how much a ratio may be off: rounding to words of the ring changes small elements most. */
const TOLERANCE = 1e-3;
const BINS_PER_UNIT = 200;
/** Part of a bin by which a ratio may be off. */
const EDGE = 2 * TOLERANCE * BINS_PER_UNIT;
/** Elements that are much smaller than the largest have no digits left once they are rounded. */
const SMALLEST_PART = 1e-2;

/** Little-endian words as the machines have them that this runs on. */
const KINDS = { 'float32 LE': Float32Array, 'int32 LE': Int32Array } as const;
const WORD_BYTES = 4;
/** A bit for every run of three: most places are ruled out by it. */
const FILTER_BITS = 2 ** 24;

interface Place {
  readonly vector: number;
  readonly at: number;
}

/** Finds eight elements of a vector times whatever it may be: a weight, a scale of the ring, a count. */
export class ProportionIndex {
  readonly #vectors: readonly SecretVector[];
  readonly #places = new Map<number, Place[]>();
  readonly #filter = new Uint8Array(FILTER_BITS);

  constructor(vectors: readonly SecretVector[]) {
    this.#vectors = vectors;
    for (const [vector, { values }] of vectors.entries()) {
      const least = SMALLEST_PART * values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      for (let at = 0; at + RUN <= values.length; at += 1) {
        if (values.subarray(at, at + RUN).some((value) => Math.abs(value) < least)) continue;
        const [first = 0, second = 0, third = 0] = values.subarray(at, at + RUN);
        for (const one of binsOf(second / first))
          for (const other of binsOf(third / second)) this.#keep(keyOf(one, other), { vector, at });
      }
    }
  }

  /** Runs that are sought. */
  get size(): number {
    return this.#places.size;
  }

  find({ place, bytes }: Evidence): string[] {
    const found = new Set<string>();
    for (const shift of [0, 1, 2, 3]) {
      const copy = Uint8Array.prototype.slice.call(bytes, shift);
      for (const [kind, Words] of Object.entries(KINDS)) {
        const words = new Words(copy.buffer, 0, Math.floor(copy.length / WORD_BYTES));
        for (const name of this.#within(words)) found.add(`${place}: ${name} times something, as ${kind}`);
      }
    }
    return [...found];
  }

  *#within(words: Float32Array | Int32Array): Generator<string> {
    for (let at = 0; at + RUN <= words.length; at += 1) {
      const second = words[at + 1] ?? 0;
      const [ratio, next] = [second / (words[at] ?? 0), (words[at + 2] ?? 0) / second];
      if (!isRatio(ratio) || !isRatio(next)) continue;
      const key = keyOf(binOf(ratio), binOf(next));
      if (this.#filter[key % FILTER_BITS] !== 1) continue;
      for (const known of this.#places.get(key) ?? []) {
        const vector = this.#vectors[known.vector];
        if (vector !== undefined && inProportion(words, at, vector.values, known.at)) yield vector.name;
      }
    }
  }

  #keep(key: number, place: Place): void {
    this.#filter[key % FILTER_BITS] = 1;
    const known = this.#places.get(key);
    if (known === undefined) this.#places.set(key, [place]);
    else known.push(place);
  }
}

const isRatio = (ratio: number): boolean => Number.isFinite(ratio) && ratio !== 0;

/** Logarithm of the magnitude in bins, those of negative ratios far away. */
function binOf(ratio: number, shift = 0): number {
  const bin = Math.floor(Math.log(Math.abs(ratio)) * BINS_PER_UNIT + shift);
  return ratio < 0 ? bin + LEAST_BIN : bin;
}

/** Those that a ratio may be in that is a little off. */
const binsOf = (ratio: number): readonly number[] => [
  ...new Set([binOf(ratio, -EDGE), binOf(ratio), binOf(ratio, EDGE)]),
];

/** More than the logarithm of any float32 makes, with and without a sign; a prime, so that keys spread over the filter. */
const MOST_BINS = 1_048_573;
const LEAST_BIN = 2 ** 18;
const keyOf = (one: number, other: number): number => (one + LEAST_BIN) * MOST_BINS + other + LEAST_BIN;

function inProportion(
  words: Float32Array | Int32Array,
  from: number,
  values: Float32Array,
  at: number,
): boolean {
  const factor = (words[from] ?? 0) / (values[at] ?? 0);
  for (let index = 1; index < RUN; index += 1) {
    const expected = (values[at + index] ?? 0) * factor;
    const off = Math.abs((words[from + index] ?? 0) - expected);
    if (!(off <= TOLERANCE * Math.abs(expected))) return false;
  }
  return true;
}
