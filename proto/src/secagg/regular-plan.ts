import { LIMITS } from '../limits.js';
import type { PlanResult, SecureAggregationDemand } from './plan.js';
import { hypergeometric, logAllMarked, logChoose, upperTail } from './tail-bounds.js';

/**
 * Probabilities that a round on the k-regular graph may fail with (Bell et al., CCS 2020, use the same): some agent has t
 * colluding neighbours, or the honest survivors fall into parts whose sums show separately; and some agent keeps fewer
 * than t neighbours, so that the round is lost. Both over the random placing of the agents, all agents together.
 */
export const REGULAR_FAILURES = Object.freeze({ privacy: 2 ** -40, correctness: 2 ** -30 });

/** An even k makes a circulant graph that is regular for any number of agents. */
const STEP = 2;

/** The smallest k, and for it the smallest t > k/2, that keep both probabilities for c colluders and d dropouts. */
export function planRegular(demand: SecureAggregationDemand): PlanResult {
  const { agents, minimum = 0 } = demand;
  const colluders = demand.colluders ?? Math.floor(agents / 10);
  const wanted = demand.dropouts ?? Math.floor(agents / 10);
  const dropouts = Math.min(wanted, agents - Math.max(minimum, colluders + 2));
  if (dropouts < wanted || colluders + 2 > agents) {
    const detail = `${String(colluders)} colluders and ${String(wanted)} dropouts of ${String(agents)} sites leave too few in the sum`;
    return { type: 'Refused', reason: 'TooManyDropouts', detail };
  }
  for (let neighbours = STEP; neighbours <= Math.min(LIMITS.neighbours, agents - 1); neighbours += STEP) {
    const threshold = thresholdFor(neighbours, { ...demand, colluders, dropouts });
    if (threshold === undefined) continue;
    const topology = { type: 'KRegular' as const, neighbours };
    const survivors = agents - dropouts;
    const plan = {
      agents,
      topology,
      threshold,
      colluders,
      dropouts,
      survivors,
      adversary: 'HonestButCurious' as const,
    };
    return { type: 'Planned', plan };
  }
  const detail = `no k up to ${String(LIMITS.neighbours)} meets ${String(colluders)} colluders and ${String(dropouts)} dropouts of ${String(agents)} sites; lower one of them`;
  return { type: 'Refused', reason: 'TooManyColluders', detail };
}

/** The smallest threshold of a graph with that many neighbours, or undefined where none will do. */
function thresholdFor(
  neighbours: number,
  {
    agents,
    colluders,
    dropouts,
    threshold,
  }: SecureAggregationDemand & { readonly colluders: number; readonly dropouts: number },
): number | undefined {
  if (disconnection(agents, colluders + dropouts, neighbours) > REGULAR_FAILURES.privacy) return undefined;
  const colluding = hypergeometric(agents - 1, colluders, neighbours);
  const dropped = hypergeometric(agents - 1, dropouts, neighbours);
  for (let t = neighbours / 2 + 1; t <= neighbours; t += 1) {
    if (threshold !== undefined && t !== threshold) continue;
    if (agents * upperTail(colluding, t) > REGULAR_FAILURES.privacy) continue;
    return agents * upperTail(dropped, neighbours - t + 1) > REGULAR_FAILURES.correctness ? undefined : t;
  }
  return undefined;
}

/**
 * A circulant graph falls apart only where two runs of k/2 neighbouring places are empty: at most the number of pairs of
 * places where such runs begin, times the probability that those k places are all empty.
 */
function disconnection(agents: number, missing: number, neighbours: number): number {
  return Math.exp(logChoose(agents, 2) + logAllMarked(agents, missing, neighbours));
}
