import { TributaryError } from '../errors/tributary-error.js';
import { LIMITS } from '../limits.js';
import { planRegular } from './regular-plan.js';

/** What the coordinator is taken for. Active: it chooses messages, cohorts and models, and may own one of the sites. */
export type Adversary = 'HonestButCurious' | 'Active';

/** What a job asks of secure aggregation. */
export interface SecureAggregationDemand {
  /** n: sites of the cohort. */
  readonly agents: number;
  /** c: sites that may collude with the coordinator; a third on the complete graph and a tenth beyond where absent. */
  readonly colluders?: number | undefined;
  /** Sites that may drop out, at least; a tenth beyond the complete graph where absent. */
  readonly dropouts?: number | undefined;
  /** t: shares that recover a secret; the least that is safe where absent. */
  readonly threshold?: number | undefined;
  /** Fewest sites in a sum that the job, or a site's policy, accepts. */
  readonly minimum?: number | undefined;
  /** HonestButCurious where absent. */
  readonly adversary?: Adversary | undefined;
}

export type Topology =
  | { readonly type: 'Complete' }
  /** Each agent shares and masks with k others. */
  | { readonly type: 'KRegular'; readonly neighbours: number };

/** The parameters of a secure round; public, and part of its roster. */
export interface SecureAggregationPlan {
  readonly agents: number;
  readonly topology: Topology;
  readonly threshold: number;
  readonly colluders: number;
  /** Sites that may drop out after the first stage without loss of the round. */
  readonly dropouts: number;
  /** Fewest sites in the sum: max(t, c + 2, minimum). Agents check it. */
  readonly survivors: number;
  readonly adversary: Adversary;
}

export type PlanRefusal =
  | 'TooFewSites'
  | 'TooManySites'
  | 'TooManyColluders'
  | 'TooManyDropouts'
  | 'ThresholdUnsafe'
  | 'MinimumAboveCohort'
  | 'ActiveNeedsCompleteGraph';

export type PlanResult =
  | { readonly type: 'Planned'; readonly plan: SecureAggregationPlan }
  | { readonly type: 'Refused'; readonly reason: PlanRefusal; readonly detail: string };

/** With two sites each knows the other's update from the sum. */
const FEWEST_SITES = 3;

/** Fewest sites with which a round of a job opens: more than it commits with where each would know the other's update. */
export function fewestSites({
  minSites,
  privacy,
}: {
  readonly minSites: number;
  readonly privacy: { readonly secureAggregation: boolean };
}): number {
  return privacy.secureAggregation ? Math.max(FEWEST_SITES, minSites) : minSites;
}

/**
 * Plans secure aggregation (Bonawitz et al., CCS 2017; beyond LIMITS.completeGraphAgents Bell et al., CCS 2020). On the
 * complete graph 2t > n + c: two different survivor sets can then never both find t signatures, and no peer can be asked
 * for both kinds of share, although c sites sign anything. Throws INVALID_ARGUMENT for what is not a count.
 */
export function planSecureAggregation(demand: SecureAggregationDemand): PlanResult {
  for (const field of ['agents', 'colluders', 'dropouts', 'threshold', 'minimum'] as const)
    requireCount(demand[field], field);
  const { agents, adversary = 'HonestButCurious', minimum = 0 } = demand;
  if (agents < FEWEST_SITES)
    return refused(
      'TooFewSites',
      `${String(agents)} sites: each would know the others' update from the sum; 3 are needed`,
    );
  if (agents > LIMITS.updatesPerRound)
    return refused(
      'TooManySites',
      `${String(agents)} sites; at most ${String(LIMITS.updatesPerRound)} are added`,
    );
  if (minimum > agents)
    return refused(
      'MinimumAboveCohort',
      `a sum of ${String(minimum)} is asked for, of ${String(agents)} sites`,
    );
  if (agents <= LIMITS.completeGraphAgents) return planComplete(demand, adversary);
  return adversary === 'Active'
    ? refused(
        'ActiveNeedsCompleteGraph',
        `an active coordinator is met up to ${String(LIMITS.completeGraphAgents)} sites; lower cohortSize`,
      )
    : planRegular(demand);
}

/** The plan, or SECAGG_IMPOSSIBLE with the reason. */
export function requirePlan(demand: SecureAggregationDemand): SecureAggregationPlan {
  const result = planSecureAggregation(demand);
  if (result.type === 'Planned') return result.plan;
  throw new TributaryError('SECAGG_IMPOSSIBLE', `secure aggregation: ${result.detail}`, {
    fields: { reason: result.reason },
  });
}

function planComplete(demand: SecureAggregationDemand, adversary: Adversary): PlanResult {
  const { agents, dropouts = 0, minimum = 0 } = demand;
  const asked = demand.colluders ?? Math.floor((agents - 1) / 3);
  // An active coordinator that owns no site at all is nothing to rely on.
  const colluders = adversary === 'Active' ? Math.max(1, asked) : asked;
  const least = Math.floor((agents + colluders) / 2) + 1;
  if (colluders + 2 > agents || least > agents) {
    const detail = `${colluderText(colluders)} of ${String(agents)} sites leave no two honest ones to hide among`;
    return refused('TooManyColluders', detail);
  }
  const threshold = demand.threshold ?? least;
  if (threshold < least || threshold > agents) {
    const detail = `t=${String(threshold)} is not between ${String(least)} and ${String(agents)}, as 2t > n + c demands with n=${String(agents)}, c=${String(colluders)}`;
    return refused('ThresholdUnsafe', detail);
  }
  const survivors = Math.max(threshold, colluders + 2, minimum);
  if (agents - survivors < dropouts) {
    const detail = `with ${colluderText(colluders)} ${String(survivors)} of ${String(agents)} sites must stay: at most ${dropoutText(agents - survivors)}, not ${String(dropouts)}`;
    return refused('TooManyDropouts', detail);
  }
  const topology = { type: 'Complete' as const };
  return {
    type: 'Planned',
    plan: { agents, topology, threshold, colluders, dropouts: agents - survivors, survivors, adversary },
  };
}

/** One line for whoever starts a job: "n=10: t=7, three colluders, three dropouts". */
export function describePlan(plan: SecureAggregationPlan): string {
  const { agents, topology, threshold, colluders, dropouts, adversary } = plan;
  const graph = topology.type === 'KRegular' ? `k=${String(topology.neighbours)}, ` : '';
  if (adversary === 'Active') {
    return `n=${String(agents)} against an active coordinator: ${dropoutText(dropouts)} (t=${String(threshold)}, ${colluderText(colluders)})`;
  }
  return `n=${String(agents)}: ${graph}t=${String(threshold)}, ${colluderText(colluders)}, ${dropoutText(dropouts)}`;
}

const WORDS = [
  'no',
  'one',
  'two',
  'three',
  'four',
  'five',
  'six',
  'seven',
  'eight',
  'nine',
  'ten',
  'eleven',
  'twelve',
];

function counted(count: number, noun: string): string {
  return `${WORDS[count] ?? String(count)} ${noun}${count < 2 ? '' : 's'}`;
}

const colluderText = (count: number): string => counted(count, 'colluder');
const dropoutText = (count: number): string => counted(count, 'dropout');

/** A refusal with its reason. */
export function refused(reason: PlanRefusal, detail: string): PlanResult {
  return { type: 'Refused', reason, detail };
}

function requireCount(value: number | undefined, field: string): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= 0)) return;
  throw new TributaryError('INVALID_ARGUMENT', `${field}: an integer of at least 0`, { fields: { field } });
}
