/*
 * Tails of the hypergeometric distribution: how many of an agent's k neighbours, drawn without replacement from all other
 * agents, belong to a marked part of them.
 */

/** P[X = x] for x = 0..draws, X the marked among `draws` of `population` of which `marked` are marked. */
export function hypergeometric(population: number, marked: number, draws: number): readonly number[] {
  const total = logChoose(population, draws);
  return Array.from({ length: draws + 1 }, (_, x) =>
    x > marked || draws - x > population - marked
      ? 0
      : Math.exp(logChoose(marked, x) + logChoose(population - marked, draws - x) - total),
  );
}

/** P[X >= least]: summed from the small terms up. */
export function upperTail(probabilities: readonly number[], least: number): number {
  return probabilities.slice(Math.max(0, least)).reduceRight((sum, probability) => sum + probability, 0);
}

/** P[all of `draws` agents are marked], as its logarithm; -Infinity where there are too few marked. */
export function logAllMarked(population: number, marked: number, draws: number): number {
  return draws > marked ? Number.NEGATIVE_INFINITY : logChoose(marked, draws) - logChoose(population, draws);
}

/** Natural logarithm of the binomial coefficient. */
export function logChoose(n: number, k: number): number {
  let sum = 0;
  for (let index = 1; index <= k; index += 1) sum += Math.log((n - k + index) / index);
  return sum;
}
