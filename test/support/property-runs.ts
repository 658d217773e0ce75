/**
 * Runs of a property that is worth a long search: `usual` in the suite, TRIBUTARY_PROPERTY_RUNS times as many by hand.
 * A failure prints the seed and the path that repeat it.
 */
export function propertyRuns(usual: number): number {
  const factor = Number(process.env['TRIBUTARY_PROPERTY_RUNS'] ?? '1');
  return Math.max(1, Math.round(usual * (Number.isFinite(factor) ? factor : 1)));
}
