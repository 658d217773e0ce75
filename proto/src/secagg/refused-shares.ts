import type { OpenCohort } from './cohort.js';
import type { OpenRoundRoster } from './roster.js';
import type { Culprit } from './secure-round.js';
import type { OpenSurvivors } from './survivors.js';

/** By each survivor that signed the survivor set: the dealers whose shares it cannot use. */
export type RefusedDealers = ReadonlyMap<string, readonly string[]>;

/** Members of a round whose secrets are needed to unmask it: each survivor, and of the others those that have a mask with one. */
export function neededOwners(cohort: OpenCohort, survivors: OpenSurvivors): readonly string[] {
  return cohort.agentIds.filter(
    (owner) => survivors.has(owner) || cohort.peersOf(owner).some(({ agentId }) => survivors.has(agentId)),
  );
}

export interface RefusalJudgement {
  readonly culprits: readonly Culprit[];
  /** Owners of a needed secret that has fewer than t usable shares left: the sum cannot be unmasked. */
  readonly lost: readonly string[];
}

/**
 * What shares that do not open mean for a round, before anything of it is unmasked. With at most c dishonest members a
 * dealer that more than c refuse is no honest one, nor is a member that refuses more than c. Where less than that costs a
 * secret, either the dealer lies or whoever refuses it, and both are named (player elimination: Hirt, Maurer and
 * Przydatek, ASIACRYPT 2000).
 */
export function judgeRefusals(
  { graph, roster: { plan } }: OpenRoundRoster,
  cohort: OpenCohort,
  survivors: OpenSurvivors,
  refused: RefusedDealers,
): RefusalJudgement {
  // One lie is to be expected also where nobody is taken to collude.
  const liars = Math.max(1, plan.colluders);
  const slanderers = new Set([...refused].filter(([, dealers]) => dealers.length > liars).map(([id]) => id));
  const refusersOf = (dealer: string): readonly string[] =>
    [...refused].filter(([, dealers]) => dealers.includes(dealer)).map(([id]) => id);
  const bad = cohort.agentIds.filter(
    (dealer) => refusersOf(dealer).filter((id) => !slanderers.has(id)).length > liars,
  );
  const lost = neededOwners(cohort, survivors).filter((owner) => {
    const refusers = new Set(refusersOf(owner));
    const usable = graph.holdersOf(owner).filter((holder) => refused.has(holder) && !refusers.has(holder));
    return usable.length < plan.threshold;
  });
  const culprits: Culprit[] = [
    ...bad.map((agentId) => ({ agentId, stage: 'share', reason: 'SharesDoNotOpen' }) as const),
    ...[...slanderers].map((agentId) => ({ agentId, stage: 'agree', reason: 'SharesRefused' }) as const),
  ];
  const named = new Set(culprits.map(({ agentId }) => agentId));
  for (const dealer of lost) {
    const refusers = refusersOf(dealer);
    if (named.has(dealer) || refusers.length === 0 || refusers.some((id) => slanderers.has(id))) continue;
    culprits.push({ agentId: dealer, stage: 'share', reason: 'SharesDisputed' });
    for (const agentId of refusers) culprits.push({ agentId, stage: 'agree', reason: 'SharesDisputed' });
  }
  return { culprits: distinct(culprits), lost };
}

/** The first of what is said about each. */
export function distinct(culprits: readonly Culprit[]): readonly Culprit[] {
  const first = new Map<string, Culprit>();
  for (const culprit of culprits) if (!first.has(culprit.agentId)) first.set(culprit.agentId, culprit);
  return [...first.values()];
}
