/** Keeps directions in which gradients hardly vary from drowning the others in rounding; a share of the mean variance. */
const RIDGE = 1e-4;

/**
 * Whether a record's gradient is part of a sum: the cosine of both, each centred and whitened by gradients of records
 * like them that the attacker has. Whitening is what makes a linear test most powerful (Sankararaman et al., Nature
 * Genetics 41, 2009, for means of independent features); the cosine makes thresholds comparable between records.
 */
export class TracingAttack {
  readonly #mean: Float64Array;
  /** Lower Cholesky factor of the covariance, row-major. */
  readonly #factor: Float64Array;

  /** `known` are gradients of the attacker's own records, at least two. */
  constructor(known: readonly Float64Array[]) {
    const size = known[0]?.length ?? 0;
    this.#mean = meanOf(known, size);
    this.#factor = covarianceOf(known, this.#mean);
    const trace = this.#mean.reduce((sum, _, at) => sum + (this.#factor[at * size + at] ?? 0), 0);
    for (let at = 0; at < size; at += 1)
      this.#factor[at * size + at] = (this.#factor[at * size + at] ?? 0) + (RIDGE * trace) / size;
    factorise(this.#factor, size);
  }

  /**
   * A gradient, centred, whitened and of length 1: products of two are the scores. `centre`: what is expected of it
   * where it is not that of a single record.
   */
  whiten(gradient: ArrayLike<number>, centre: ArrayLike<number> = this.#mean): Float64Array {
    const size = this.#mean.length;
    const white = new Float64Array(size);
    let squares = 0;
    for (let row = 0; row < size; row += 1) {
      let value = (gradient[row] ?? 0) - (centre[row] ?? 0);
      const start = row * size;
      for (let column = 0; column < row; column += 1)
        value -= (this.#factor[start + column] ?? 0) * (white[column] ?? 0);
      value /= this.#factor[start + row] ?? 0;
      white[row] = value;
      squares += value * value;
    }
    const length = Math.sqrt(squares);
    return white.map((value) => value / length);
  }
}

/** The score of a candidate: 1 where it is all there is in the update, around 0 where it is not in it. */
export function alignment(update: Float64Array, candidate: Float64Array): number {
  let product = 0;
  for (let at = 0; at < update.length; at += 1) product += (update[at] ?? 0) * (candidate[at] ?? 0);
  return product;
}

export function meanOf(vectors: readonly ArrayLike<number>[], size: number): Float64Array {
  const mean = new Float64Array(size);
  for (const vector of vectors)
    for (let at = 0; at < size; at += 1) mean[at] = (mean[at] ?? 0) + (vector[at] ?? 0) / vectors.length;
  return mean;
}

/** The lower triangle. */
function covarianceOf(vectors: readonly Float64Array[], mean: Float64Array): Float64Array {
  const size = mean.length;
  const covariance = new Float64Array(size * size);
  for (const vector of vectors) {
    const centred = vector.map((value, at) => value - (mean[at] ?? 0));
    for (let row = 0; row < size; row += 1) {
      const scaled = (centred[row] ?? 0) / (vectors.length - 1);
      if (scaled === 0) continue;
      for (let column = 0; column <= row; column += 1)
        covariance[row * size + column] =
          (covariance[row * size + column] ?? 0) + scaled * (centred[column] ?? 0);
    }
  }
  return covariance;
}

/** Cholesky in place, of a symmetric positive definite matrix whose lower triangle is given. */
function factorise(matrix: Float64Array, size: number): void {
  for (let row = 0; row < size; row += 1) {
    for (let column = 0; column <= row; column += 1) {
      let value = matrix[row * size + column] ?? 0;
      for (let at = 0; at < column; at += 1)
        value -= (matrix[row * size + at] ?? 0) * (matrix[column * size + at] ?? 0);
      matrix[row * size + column] =
        row === column ? Math.sqrt(value) : value / (matrix[column * size + column] ?? 0);
    }
  }
}
