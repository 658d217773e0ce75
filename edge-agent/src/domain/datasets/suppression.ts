/** A count that may be told, or that there is one which may not: more than none, fewer than the policy's minCount. */
export type TellableCount = number | 'Suppressed';

/** 0 and what reaches `minCount` may be told. */
export function tellable(count: number, minCount: number): TellableCount {
  return count === 0 || count >= minCount ? count : 'Suppressed';
}

/**
 * Counts that add up to a known total. Where one alone would be suppressed, subtraction would give it back: then the
 * smallest of the others that is not 0 is suppressed with it (complementary suppression; A. Hundepool et al.,
 * "Statistical Disclosure Control", 2012, chapter 4).
 */
export function tellableParts(counts: readonly number[], minCount: number): readonly TellableCount[] {
  const told = counts.map((count) => tellable(count, minCount));
  if (told.filter((count) => count === 'Suppressed').length !== 1) return told;
  let partner = -1;
  for (const [place, count] of told.entries()) {
    if (count === 'Suppressed' || count === 0) continue;
    if (partner < 0 || count < (counts[partner] ?? 0)) partner = place;
  }
  return told.map((count, place) => (place === partner ? 'Suppressed' : count));
}
