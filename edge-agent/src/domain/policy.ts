import {
  fitVocabularies,
  TributaryError,
  type ErrorCode,
  type FederatedJobSpec,
  type SitePolicySpec,
} from '@tributary/proto';

import type { DatasetTerms } from '../ports.js';
import { jobColumns } from './datasets/job-columns.js';
import { crowd, knownAuthor, membership, type MembershipFacts } from './policy-membership.js';

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
  /** Updates on the same base model that have left the site before. */
  readonly sentOnBase: number;
}

export type PolicyVerdict =
  | {
      readonly allowed: true;
      /** On which terms the dataset may be read. */ readonly terms: DatasetTerms;
    }
  | {
      readonly allowed: false;
      readonly code: ErrorCode;
      /** Path of the rule in the policy document. */
      readonly rule: string;
      /** Names and numbers of job and policy, never of records. */
      readonly detail: string;
    };

type Refusal = Extract<PolicyVerdict, { allowed: false }>;
type Rule = (policy: SitePolicySpec, job: FederatedJobSpec, facts: PolicyFacts) => Refusal | undefined;

/** In the order in which they are checked: who asks, for what, and only then how. */
const RULES: readonly Rule[] = [
  coordinator,
  membership,
  knownAuthor,
  dataset,
  columns,
  dropped,
  vocabularies,
  rowsPerRound,
  minimumCohort,
  minimumReports,
  maximumParameters,
  maximumRounds,
  secureAggregation,
  strategy,
  metrics,
  metricsPerSite,
  retriesPerBase,
];

/** Judges a job; what no rule allows is refused. Without a policy every job is (POLICY_MISSING). */
export function evaluatePolicy(
  policy: SitePolicySpec | undefined,
  job: FederatedJobSpec,
  facts: PolicyFacts,
): PolicyVerdict {
  if (policy === undefined) {
    return {
      allowed: false,
      code: 'POLICY_MISSING',
      rule: '',
      detail: 'the site has no policy file and refuses every job',
    };
  }
  for (const rule of RULES) {
    const refusal = rule(policy, job, facts);
    if (refusal !== undefined) return refusal;
  }
  const allowed = policy.datasets.find(({ name }) => name === job.dataset.name);
  if (allowed === undefined) return refused('spec.datasets', 'the dataset is not listed');
  const { minimumRows, minCount, vocabularies, deidentification } = allowed;
  return { allowed: true, terms: { minimumRows, minCount, vocabularies, deidentification } };
}

/** What the policy judges of a rollout: all proven. */
export interface ServingFacts extends Pick<PolicyFacts, 'logId' | 'authorKey' | 'roster'> {
  readonly model: string;
}

export type ServingVerdict = { readonly allowed: true } | Refusal;

/** Judges a rollout; what is not listed is refused. Without a policy every rollout is (POLICY_MISSING). */
export function evaluateServing(policy: SitePolicySpec | undefined, facts: ServingFacts): ServingVerdict {
  if (policy === undefined) {
    return {
      allowed: false,
      code: 'POLICY_MISSING',
      rule: '',
      detail: 'the site has no policy file and refuses every rollout',
    };
  }
  const refusal =
    coordinator(policy, undefined, facts) ??
    membership(policy, undefined, facts) ??
    knownAuthor(policy, undefined, facts);
  if (refusal !== undefined) return refusal;
  if (policy.serving?.models.includes(facts.model) === true) return { allowed: true };
  return refused('spec.serving.models', `model ${facts.model} is not listed`);
}

function coordinator(
  policy: SitePolicySpec,
  _asked: unknown,
  facts: Pick<PolicyFacts, 'logId'>,
): Refusal | undefined {
  if (policy.coordinators.type === 'Enrolled' || policy.coordinators.logIds.includes(facts.logId))
    return undefined;
  return refused('spec.coordinators', `log ${facts.logId} is not listed`);
}

function dataset(policy: SitePolicySpec, job: FederatedJobSpec, facts: PolicyFacts): Refusal | undefined {
  const { name } = job.dataset;
  if (!facts.datasets.includes(name)) {
    return {
      allowed: false,
      code: 'DATASET_UNKNOWN',
      rule: 'datasets',
      detail: `the site declares no dataset ${name}`,
    };
  }
  if (policy.datasets.some((rule) => rule.name === name)) return undefined;
  return refused('spec.datasets', `dataset ${name} is not listed`);
}

function columns(policy: SitePolicySpec, job: FederatedJobSpec): Refusal | undefined {
  const allowed = policy.datasets.find(({ name }) => name === job.dataset.name)?.columns ?? [];
  if (allowed.includes('*')) return undefined;
  const denied = jobColumns(job).find((column) => !allowed.includes(column));
  return denied === undefined
    ? undefined
    : refused('spec.datasets.columns', `column ${denied} of ${job.dataset.name} is not listed`);
}

function dropped(policy: SitePolicySpec, job: FederatedJobSpec): Refusal | undefined {
  const rule = policy.datasets.find(({ name }) => name === job.dataset.name);
  const denied = jobColumns(job).find((column) => rule?.deidentification.drop.includes(column));
  return denied === undefined
    ? undefined
    : refused('spec.datasets.deidentification.drop', `column ${denied} of ${job.dataset.name} is dropped`);
}

function vocabularies(policy: SitePolicySpec, job: FederatedJobSpec): Refusal | undefined {
  const rule = policy.datasets.find(({ name }) => name === job.dataset.name);
  try {
    fitVocabularies(job.features, rule?.vocabularies ?? []);
    return undefined;
  } catch (error) {
    return refused('spec.datasets.vocabularies', TributaryError.from(error).message);
  }
}

/** An update from a few steps on small batches is the gradient of the rows in them. */
function rowsPerRound(
  policy: SitePolicySpec,
  { dataset: { name }, training: { steps, batchSize } }: FederatedJobSpec,
): Refusal | undefined {
  const rule = policy.datasets.find((one) => one.name === name);
  if (steps === undefined || rule === undefined) return undefined;
  return atLeast('spec.datasets.minCount', rule.minCount, steps * batchSize, 'rows in the steps of a round');
}

function minimumCohort(
  policy: SitePolicySpec,
  job: FederatedJobSpec,
  facts: PolicyFacts,
): Refusal | undefined {
  return atLeast(
    'spec.minimumCohort',
    policy.minimumCohort,
    crowd(policy, job, facts).training,
    'sites that train in the round',
  );
}

/** A round commits with `minSites` updates, so that, and not the invitation, is the crowd a site can count on. */
function minimumReports(
  policy: SitePolicySpec,
  job: FederatedJobSpec,
  facts: PolicyFacts,
): Refusal | undefined {
  return atLeast(
    'spec.minimumCohort',
    policy.minimumCohort,
    crowd(policy, job, facts).reports,
    'reports with which a round commits (minSites)',
  );
}

function maximumParameters(
  policy: SitePolicySpec,
  _job: FederatedJobSpec,
  { parameters }: PolicyFacts,
): Refusal | undefined {
  return atMost('spec.maximumParameters', policy.maximumParameters, parameters, 'parameters');
}

function maximumRounds(policy: SitePolicySpec, job: FederatedJobSpec): Refusal | undefined {
  return atMost('spec.maximumRounds', policy.maximumRounds, job.rounds, 'rounds');
}

function secureAggregation(policy: SitePolicySpec, job: FederatedJobSpec): Refusal | undefined {
  if (!policy.requireSecureAggregation || job.privacy.secureAggregation) return undefined;
  return refused('spec.requireSecureAggregation', 'the job does not use secure aggregation');
}

function strategy(policy: SitePolicySpec, job: FederatedJobSpec): Refusal | undefined {
  if (policy.strategies.includes(job.strategy.type)) return undefined;
  return refused('spec.strategies', `${job.strategy.type} is not listed`);
}

function metrics(policy: SitePolicySpec, job: FederatedJobSpec): Refusal | undefined {
  const denied = job.evaluation.metrics.find((metric) => !policy.metrics.includes(metric));
  return denied === undefined ? undefined : refused('spec.metrics', `metric ${denied} is not listed`);
}

/** Both ways in which figures of this site alone would be recorded. */
function metricsPerSite(
  policy: SitePolicySpec,
  { evaluation }: FederatedJobSpec,
  { site }: PolicyFacts,
): Refusal | undefined {
  if (policy.metricsPerSite || (evaluation.perSite !== true && evaluation.holdOutSite !== site))
    return undefined;
  return refused('spec.metricsPerSite', 'the job would record the metrics of this site alone');
}

function retriesPerBase(
  policy: SitePolicySpec,
  _job: FederatedJobSpec,
  { sentOnBase }: PolicyFacts,
): Refusal | undefined {
  return atMost(
    'spec.retriesPerBase',
    policy.retriesPerBase,
    sentOnBase,
    'updates sent on this base model before',
  );
}

function atLeast(rule: string, minimum: number, value: number, what: string): Refusal | undefined {
  return value >= minimum
    ? undefined
    : refused(rule, `at least ${String(minimum)}, but there are ${String(value)} ${what}`);
}

function atMost(rule: string, maximum: number, value: number, what: string): Refusal | undefined {
  return value <= maximum
    ? undefined
    : refused(rule, `at most ${String(maximum)}, but there are ${String(value)} ${what}`);
}

const refused = (rule: string, detail: string): Refusal => ({
  allowed: false,
  code: 'POLICY_REFUSED',
  rule,
  detail: `${rule}: ${detail}`,
});
