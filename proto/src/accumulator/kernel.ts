/** What the values of one chunk are like. */
export interface ChunkFigures {
  /** Largest magnitude; NaN where a value is NaN. */
  readonly most: number;
  /** Sum of squares, float64. */
  readonly squares: number;
}

/**
 * One segment of an accumulator: int64 sums and the arithmetic on them. Two implementations agree bit for bit: one in
 * WebAssembly, and a portable one for machines without SIMD, which is also the oracle of the first.
 */
export interface Segment {
  /** The sums, as they are; the memory is the segment's own. */
  readonly sums: BigInt64Array;
  /** sums[offset + i] += rint(values[i] * scale); `scale` is +-2^s and |values[i] * scale| < 2^51. */
  fold(offset: number, values: Float32Array, scale: number): void;
  /** into[i] = sums[offset + i] * unit. */
  read(offset: number, into: Float64Array, unit: number): void;
}

export interface Kernel {
  readonly name: 'wasm' | 'portable';
  /** Zeroed sums of `length` elements, at most SEGMENT_LENGTH. */
  segment(length: number): Segment;
  check(values: Float32Array): ChunkFigures;
}

/** Elements of a segment: 512 MiB of int64, well below the 4 GiB of one WebAssembly memory. */
export const SEGMENT_LENGTH = 2 ** 26;
