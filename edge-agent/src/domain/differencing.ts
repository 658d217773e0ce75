import { canonicalize, digestOf, TributaryError, type Digest } from '@tributary/proto';

import type { OpenedRound } from './order.js';

/** With fewer sites between two sums one of them could be told from the others. */
const FEWEST_SITES = 3;

/**
 * What sums have to share so that their difference tells something: what the author signed but for the name of the job,
 * whatever number the coordinator gives it and whatever it changes in the fields that operators set; what the round is
 * for; and the model that it begins with. Of evaluations the model does not count: two that hardly differ measure the
 * same, and a job has one that commits.
 */
export function sumBase({ opened, signedDigest }: Pick<OpenedRound, 'opened' | 'signedDigest'>): Digest {
  const { kind = 'Training', baseDigest } = opened;
  return digestOf(canonicalize({ signedDigest, kind, ...(kind === 'Evaluation' ? {} : { baseDigest }) }));
}

/** A set of sites whose sum was unmasked, and how many of them its round took for colluders. */
export interface UnmaskedSum {
  readonly sites: readonly string[];
  readonly colluders: number;
}

/** Whose company a site asks for in a sum. */
export interface Company {
  /** Fewest sites that count, by the policy. */
  readonly minimum: number;
  readonly colluders: number;
  /** Whether a site counts: those that the policy pins, where it pins some; not one that is held out and adds nothing. */
  readonly counts: (site: string) => boolean;
  /** Sites that provably cheated a round over the same model: a difference that tells of them alone tells no secret. */
  readonly convicted?: ReadonlySet<string>;
}

/**
 * Refuses to help with the sum over `sites` where fewer than `minimum` of them count (SECAGG_TOO_FEW), or where, with one
 * over other sites that was unmasked before, it would make a sum of which fewer count than `minimum`, three, or the
 * colluders of either and two more (SECAGG_DIFFERENCING). The same sites again make none.
 */
export function requireCompany(
  sites: readonly string[],
  unmasked: readonly UnmaskedSum[],
  { minimum, colluders, counts, convicted = new Set() }: Company,
): void {
  const company = sites.filter(counts).length;
  if (company < minimum) {
    const text = `${String(company)} sites that count would be in the sum; the site asks for ${String(minimum)}`;
    throw new TributaryError('SECAGG_TOO_FEW', text);
  }
  for (const earlier of unmasked) {
    // Colluders among them know what they sent; two more hide each other.
    const least = Math.max(FEWEST_SITES, minimum, Math.max(colluders, earlier.colluders) + 2);
    const all = [...missing(earlier.sites, sites), ...missing(sites, earlier.sites)];
    const between = all.filter((site) => !convicted.has(site));
    if (between.length === 0 || between.filter(counts).length >= least) continue;
    throw new TributaryError(
      'SECAGG_DIFFERENCING',
      `the sum over ${String(sites.length)} sites and one over the same model before differ by ${between.sort().join(', ')}; ` +
        `the site helps to unmask both where ${String(least)} that count are between them`,
    );
  }
}

/** Those of `some` that are not among `others`. */
function missing(some: readonly string[], others: readonly string[]): readonly string[] {
  const known = new Set(others);
  return some.filter((site) => !known.has(site));
}
