/** What becomes of a site in a round. */
export type RoundFate =
  | 'works'
  /** Says that its training failed. */
  | 'fails'
  /** Says nothing until the round is over, or for HANG_MS. */
  | 'hangs'
  /** Its agent ends in the middle of the training, and starts again. */
  | 'leaves';

/** Milliseconds for which a site says nothing: longer than a round of the others. */
export const HANG_MS = 1_500;

const DROPOUTS: readonly RoundFate[] = ['fails', 'hangs', 'leaves'];

/** Of `sites` sites the part `dropout` drops out in each round, others each time, by turns in one of three ways. */
export function fateOf(site: number, round: number, sites: number, dropout: number): RoundFate {
  const dropping = Math.round(sites * dropout);
  // Neighbours of the last round are left alone: who leaves needs a moment to come back.
  const place = (site + sites - ((round * 7) % sites)) % sites;
  return place < dropping ? (DROPOUTS[(place + round) % DROPOUTS.length] ?? 'fails') : 'works';
}
