import { canonicalize, digestOf, TributaryError, type Digest } from '@tributary/proto';

import type { OpenedRound } from './order.js';

/** With fewer sites between two sums one of them could be told from the others. */
const FEWEST_SITES = 3;

/**
 * What sums have to share so that their difference tells something: the job document as its author signed it, whatever
 * number the coordinator gives the job, what the round is for, and the model that it begins with.
 */
export function sumBase({ opened, jobDigest }: Pick<OpenedRound, 'opened' | 'jobDigest'>): Digest {
  const { kind = 'Training', baseDigest } = opened;
  return digestOf(canonicalize({ jobDigest, kind, baseDigest }));
}

/**
 * Refuses to help with the sum over `sites` where, with one over other sites that was unmasked before, it would make one of
 * fewer than `minimum` sites, of fewer than three, and of fewer than `colluders` and two more. The same sites again are none. Throws SECAGG_DIFFERENCING.
 */
export function requireNoDifference(
  unmasked: readonly (readonly string[])[],
  sites: readonly string[],
  minimum: number,
  colluders = 0,
): void {
  // Colluders among them know what they sent; two more hide each other.
  const least = Math.max(FEWEST_SITES, minimum, colluders + 2);
  for (const earlier of unmasked) {
    const between = missing(earlier, sites) + missing(sites, earlier);
    if (between === 0 || between >= least) continue;
    throw new TributaryError(
      'SECAGG_DIFFERENCING',
      `the sum over ${String(sites.length)} sites and one over the same model before differ by ${String(between)}; ` +
        `the site helps to unmask both from ${String(least)} on`,
    );
  }
}

/** How many of `some` are not among `others`. */
function missing(some: readonly string[], others: readonly string[]): number {
  const known = new Set(others);
  return some.filter((site) => !known.has(site)).length;
}
