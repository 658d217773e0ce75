/** Words of a piece that is worked on at a time, 64 KiB: masks of that size stay in the cache of one core. */
export const PIECE_WORDS = 16_384;

/**
 * A piece of the ring Z/2^32 and the arithmetic on it, in place. Two implementations agree bit for bit: one in
 * WebAssembly, and a portable one that is also the oracle of the first.
 */
export interface RingPiece {
  /** PIECE_WORDS words; the memory is the piece's own. */
  readonly words: Uint32Array;
  /** words[i] += terms[i], modulo 2^32; `terms` are little-endian words, at most PIECE_WORDS. */
  add(terms: Uint8Array): void;
  /** words[i] -= terms[i], likewise. */
  subtract(terms: Uint8Array): void;
  /**
   * words[i] = floor(clamp(values[i] * scale, -most, most) + u_i) as int32, u_i the i-th little-endian word of `random`
   * times 2^-32: stochastic rounding, exact in the mean up to 2^-22. `values` are finite, `most` is at most 2^31 - 2.
   * The words behind them are undefined afterwards.
   */
  quantise(values: Float32Array, random: Uint8Array, scale: number, most: number): void;
}

export interface RingKernel {
  readonly name: 'wasm' | 'portable';
  /** A piece whose words are zero. */
  piece(): RingPiece;
}
