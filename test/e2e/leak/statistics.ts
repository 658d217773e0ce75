/** Pearson's coefficient of two series of one length; 0 where one of them does not change. */
export function correlation(some: ArrayLike<number>, others: ArrayLike<number>): number {
  const count = some.length;
  let [sum, otherSum] = [0, 0];
  for (let index = 0; index < count; index += 1) {
    sum += some[index] ?? 0;
    otherSum += others[index] ?? 0;
  }
  const [mean, otherMean] = [sum / count, otherSum / count];
  let [both, squares, otherSquares] = [0, 0, 0];
  for (let index = 0; index < count; index += 1) {
    const [x, y] = [(some[index] ?? 0) - mean, (others[index] ?? 0) - otherMean];
    both += x * y;
    squares += x * x;
    otherSquares += y * y;
  }
  return squares === 0 || otherSquares === 0 ? 0 : both / Math.sqrt(squares * otherSquares);
}

/** Five standard deviations of the coefficient of series that have nothing to do with each other. */
export const correlationBound = (count: number): number => 5 / Math.sqrt(count);

/**
 * How far the bytes of words (0: the low ones, 3: the high ones) are from uniform: Pearson's chi-square over 256 cells, in
 * standard deviations above its mean. Uniform ones stay below 6 but for one time in a million and more.
 */
export function unevenness(words: Uint32Array, byte: 0 | 1 | 2 | 3): number {
  const cells = new Float64Array(256);
  for (const word of words) {
    const cell = (word >>> (8 * byte)) & 255;
    cells[cell] = (cells[cell] ?? 0) + 1;
  }
  const expected = words.length / cells.length;
  const chiSquare = cells.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  return (chiSquare - (cells.length - 1)) / Math.sqrt(2 * (cells.length - 1));
}
