/** Row numbers by ascending score; undefined where a score is not a number, since such rows have no rank. */
export function rowsByScore(scores: ArrayLike<number>, rows: number): Uint32Array | undefined {
  const order = new Uint32Array(rows);
  for (let row = 0; row < rows; row += 1) {
    if (Number.isNaN(scores[row] ?? Number.NaN)) return undefined;
    order[row] = row;
  }
  return order.sort((left, right) => compare(scores[left] ?? 0, scores[right] ?? 0));
}

/** Infinities are equal to themselves, which a difference would not say. */
const compare = (left: number, right: number): number => (left < right ? -1 : left > right ? 1 : 0);

/** The place in `order` behind the last row with the score of the row at `first`. */
export function endOfTie(order: Uint32Array, scores: ArrayLike<number>, first: number): number {
  const score = scores[order[first] ?? 0];
  let end = first + 1;
  while (end < order.length && scores[order[end] ?? 0] === score) end += 1;
  return end;
}
