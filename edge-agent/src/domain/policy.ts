import type { ErrorCode, FederatedJobSpec, SitePolicySpec } from '@tributary/proto';

import type { DatasetTerms } from '../ports.js';
import type { MembershipFacts } from './policy-membership.js';
import type { PolicyRule } from './policy-rule.js';
import { author, coordinator, members, POLICY_RULES } from './policy-rules.js';

/** What the policy judges besides the job document: all proven or known at the site, nothing merely claimed. */
export interface PolicyFacts extends MembershipFacts {
  /** Log of the coordinator whose order it is. */
  readonly logId: string;
  /** Base64 of the Ed25519 key whose signature over the document was verified. */
  readonly authorKey: string;
  /** Parameters of the model by the layout that the agent computed. */
  readonly parameters: number;
  /** Name of this site. */
  readonly site: string;
  /** Sites in the round. */
  readonly cohort: number;
  /** Datasets that agent.yaml declares. */
  readonly datasets: readonly string[];
  /** Kind of trainer that agent.yaml names. */
  readonly trainer: 'Tfjs' | 'Socket';
  /** Updates on the same base model that have left the site before. */
  readonly sentOnBase: number;
  /** What the site decided about the job, where the signature of an approver of the policy was verified. */
  readonly decision: SiteDecision;
  /** Milliseconds since the epoch; undefined where nothing is to be trained any more. */
  readonly startsAt: number | undefined;
}

/** None: nobody that the policy names has decided. */
export type SiteDecision = 'Approved' | 'Rejected' | 'None';

/** What a job may take of the machine, and how exact its figures may be. */
export interface TrainingTerms {
  readonly cpuPercent: number;
  /** Absent: every one. */
  readonly backends?: NonNullable<SitePolicySpec['compute']['backends']>;
  /** Significant digits of figures that leave; absent: all. */
  readonly metricDigits?: number;
}

/** Why a site does not take part yet. */
export interface PolicyWait {
  readonly reason: 'Approval' | 'Schedule';
  /** Milliseconds since the epoch, where it is known when that ends. */
  readonly untilMs?: number;
}

export type PolicyVerdict =
  | {
      readonly allowed: true;
      /** On which terms the dataset may be read. */
      readonly terms: DatasetTerms;
      readonly training: TrainingTerms;
    }
  | {
      readonly allowed: false;
      readonly code: ErrorCode;
      /** Path of the rule in the policy document. */
      readonly rule: string;
      /** Names and numbers of job and policy, never of records. */
      readonly detail: string;
      /** Set where nothing but time or a person is missing: code is then SITE_NOT_READY. */
      readonly wait?: PolicyWait;
    };

export type PolicyRefusal = Extract<PolicyVerdict, { allowed: false }>;

/** What one rule says of a job. */
export interface Finding {
  readonly rule: string;
  /** Unknown: it judges what is not known outside a round. */
  readonly verdict: 'Allowed' | 'Refused' | 'Waits' | 'NotApplicable' | 'Unknown';
  /** What the policy demands, and what it found. */
  readonly demanded: string;
  readonly found: string;
  /** Where refused: why, and what it would take. */
  readonly detail?: string;
  readonly fix?: string;
  readonly code?: ErrorCode;
}

const NO_POLICY = 'the site has no policy file and refuses every job';

/** Judges a job; what no rule allows is refused. Without a policy every job is (POLICY_MISSING). */
export function evaluatePolicy(
  policy: SitePolicySpec | undefined,
  job: FederatedJobSpec,
  facts: PolicyFacts,
): PolicyVerdict {
  if (policy === undefined) return { allowed: false, code: 'POLICY_MISSING', rule: '', detail: NO_POLICY };
  for (const rule of POLICY_RULES) {
    const { refusal } = rule.judge(policy, job, facts);
    if (refusal !== undefined) return { rule: rule.path, ...refusal, allowed: false };
  }
  const allowed = policy.datasets.find(({ name }) => name === job.dataset.name);
  if (allowed === undefined)
    return { allowed: false, code: 'POLICY_REFUSED', rule: 'spec.datasets', detail: 'not listed' };
  const { minimumRows, minCount, vocabularies, deidentification } = allowed;
  return {
    allowed: true,
    terms: { minimumRows, minCount, vocabularies, deidentification },
    training: trainingTerms(policy),
  };
}

function trainingTerms({ compute: { cpuPercent, backends }, metricDigits }: SitePolicySpec): TrainingTerms {
  return {
    cpuPercent,
    ...(backends === undefined ? {} : { backends }),
    ...(metricDigits === undefined ? {} : { metricDigits }),
  };
}

/** Every rule with what it says, in the order in which they are checked; a fact that is not there makes a rule Unknown. */
export function explainPolicy(
  policy: SitePolicySpec | undefined,
  job: FederatedJobSpec,
  facts: Partial<PolicyFacts>,
): readonly Finding[] {
  if (policy === undefined) {
    const fix = 'write a SitePolicy and name it in agent.yaml (policy)';
    const none = { rule: 'policy', demanded: 'a policy file', found: 'none', detail: NO_POLICY, fix };
    return [{ ...none, verdict: 'Refused', code: 'POLICY_MISSING' }];
  }
  return POLICY_RULES.map((rule) => findingOf(rule, policy, job, facts));
}

function findingOf(
  rule: PolicyRule,
  policy: SitePolicySpec,
  job: FederatedJobSpec,
  facts: Partial<PolicyFacts>,
): Finding {
  const needs = [...rule.needs, ...(rule.needsToo?.(policy) ?? [])];
  const missing = needs.filter((name) => !(name in facts));
  if (missing.length > 0) {
    const found = `known in a round only: ${missing.join(', ')}`;
    return { rule: rule.path, verdict: 'Unknown', demanded: rule.demands(policy, job), found };
  }
  // Every fact that this rule reads is there.
  const { found, applies, refusal } = rule.judge(policy, job, facts as PolicyFacts);
  const said = { rule: rule.path, demanded: rule.demands(policy, job), found };
  if (refusal === undefined) return { ...said, verdict: applies === false ? 'NotApplicable' : 'Allowed' };
  const { detail, code, wait } = refusal;
  return { ...said, verdict: wait === undefined ? 'Refused' : 'Waits', detail, code, fix: rule.fix };
}

/** What the policy judges of a rollout: all proven. */
export interface ServingFacts extends Pick<PolicyFacts, 'logId' | 'authorKey' | 'roster'> {
  readonly model: string;
}

export type ServingVerdict = { readonly allowed: true } | PolicyRefusal;

/** Judges a rollout; what is not listed is refused. Without a policy every rollout is (POLICY_MISSING). */
export function evaluateServing(policy: SitePolicySpec | undefined, facts: ServingFacts): ServingVerdict {
  if (policy === undefined) {
    const detail = 'the site has no policy file and refuses every rollout';
    return { allowed: false, code: 'POLICY_MISSING', rule: '', detail };
  }
  for (const rule of [coordinator, members, author]) {
    const { refusal } = rule.judge(policy, undefined, facts);
    if (refusal !== undefined) return { rule: rule.path, ...refusal, allowed: false };
  }
  if (policy.serving?.models.includes(facts.model) === true) return { allowed: true };
  const rule = 'spec.serving.models';
  return {
    allowed: false,
    code: 'POLICY_REFUSED',
    rule,
    detail: `${rule}: model ${facts.model} is not listed`,
  };
}
