import {
  fitVocabularies,
  TributaryError,
  type DatasetRule,
  type FederatedJobSpec,
  type SitePolicySpec,
} from '@tributary/proto';

import { jobColumns } from './datasets/job-columns.js';
import type { PolicyFacts } from './policy.js';
import { crowd, knownAuthor, membership, type MembershipFacts } from './policy-membership.js';
import { atLeast, atMost, listOf, refused, type PolicyRule } from './policy-rule.js';
import { describeWindow, isOpen, nextOpening } from './schedule.js';

export const coordinator: PolicyRule<unknown, Pick<PolicyFacts, 'logId'>> = {
  path: 'spec.coordinators',
  needs: ['logId'],
  demands: ({ coordinators }) =>
    coordinators.type === 'Enrolled' ? 'the enrolled coordinator' : coordinators.logIds.join(', '),
  judge: ({ coordinators }, _job, { logId }) =>
    coordinators.type === 'Enrolled' || coordinators.logIds.includes(logId)
      ? { found: logId }
      : refused('spec.coordinators', logId, `log ${logId} is not listed`),
  fix: 'add the log id to spec.coordinators.logIds',
};

export const members: PolicyRule<unknown, MembershipFacts> = {
  path: 'spec.federation.root',
  needs: [],
  needsToo: ({ federation }) => (federation === undefined ? [] : ['members', 'roster']),
  demands: ({ federation }) => (federation === undefined ? 'nothing' : 'sites that the root has signed for'),
  judge: (policy, _job, facts) => {
    const found = `${String(facts.members?.length ?? 0)} sites`;
    const refusal = membership(policy, undefined, facts);
    return refusal === undefined ? { found, applies: policy.federation !== undefined } : { found, refusal };
  },
  fix: 'publish a roster of the federation root that names every site of the round',
};

export const author: PolicyRule<unknown, MembershipFacts & Pick<PolicyFacts, 'authorKey'>> = {
  path: 'spec.authors',
  needs: ['authorKey'],
  needsToo: ({ federation }) => (federation === undefined ? [] : ['roster']),
  demands: ({ authors, federation }) =>
    federation?.authors === 'Roster'
      ? 'an author of the roster'
      : `one of ${listOf(authors.map(({ name }) => name))}`,
  judge: (policy, _job, facts) => {
    const { authorKey } = facts;
    const found = policy.authors.find(({ key }) => key === authorKey)?.name ?? authorKey;
    const refusal = knownAuthor(policy, undefined, facts);
    return refusal === undefined ? { found } : { found, refusal };
  },
  fix: "add the author's key to spec.authors, and to the roster where the policy pins a root",
};

const declared: PolicyRule = {
  path: 'datasets',
  needs: ['datasets'],
  demands: () => 'a dataset that agent.yaml declares',
  judge: (_policy, { dataset: { name } }, { datasets }) =>
    datasets.includes(name)
      ? { found: name }
      : {
          found: name,
          refusal: { code: 'DATASET_UNKNOWN', detail: `the site declares no dataset ${name}` },
        },
  fix: 'declare the dataset in agent.yaml and restart the agent',
};

const dataset: PolicyRule = {
  path: 'spec.datasets',
  needs: [],
  demands: ({ datasets }) => `one of ${listOf(datasets.map(({ name }) => name))}`,
  judge: (policy, job) =>
    ruleFor(policy, job) === undefined
      ? refused('spec.datasets', job.dataset.name, `dataset ${job.dataset.name} is not listed`)
      : { found: job.dataset.name },
  fix: 'add the dataset with its columns to spec.datasets',
};

const columns: PolicyRule = {
  path: 'spec.datasets.columns',
  needs: [],
  demands: (policy, job) => listOf(ruleFor(policy, job)?.columns ?? []),
  judge: (policy, job) => {
    const wanted = jobColumns(job);
    const allowed = ruleFor(policy, job)?.columns ?? [];
    const denied = allowed.includes('*') ? undefined : wanted.find((column) => !allowed.includes(column));
    return denied === undefined
      ? { found: listOf(wanted) }
      : refused(columns.path, listOf(wanted), `column ${denied} of ${job.dataset.name} is not listed`);
  },
  fix: 'add the columns to the dataset in spec.datasets, or leave them out of the job',
};

const dropped: PolicyRule = {
  path: 'spec.datasets.deidentification.drop',
  needs: [],
  demands: (policy, job) => `none of ${listOf(ruleFor(policy, job)?.deidentification.drop ?? [])}`,
  judge: (policy, job) => {
    const wanted = jobColumns(job);
    const drop = ruleFor(policy, job)?.deidentification.drop ?? [];
    const denied = wanted.find((column) => drop.includes(column));
    return denied === undefined
      ? { found: listOf(wanted), applies: drop.length > 0 }
      : refused(dropped.path, listOf(wanted), `column ${denied} of ${job.dataset.name} is dropped`);
  },
  fix: 'leave the column out of the job',
};

const vocabularies: PolicyRule = {
  path: 'spec.datasets.vocabularies',
  needs: [],
  demands: (policy, job) => listOf((ruleFor(policy, job)?.vocabularies ?? []).map(({ name }) => name)),
  judge: (policy, job) => {
    const named = job.features.flatMap((feature) =>
      'vocabulary' in feature && !Array.isArray(feature.vocabulary) ? [feature.name] : [],
    );
    const found = listOf(named);
    try {
      fitVocabularies(job.features, ruleFor(policy, job)?.vocabularies ?? []);
      return { found, applies: named.length > 0 };
    } catch (error) {
      return refused(vocabularies.path, found, TributaryError.from(error).message);
    }
  },
  fix: 'list the vocabulary of the federation in the dataset of spec.datasets',
};

/** An update from a few steps on small batches is the gradient of the rows in them. */
const rowsPerRound: PolicyRule = {
  path: 'spec.datasets.minCount',
  needs: [],
  demands: (policy, job) => `at least ${String(ruleFor(policy, job)?.minCount ?? 0)}`,
  judge: (policy, job) => {
    const { steps, batchSize } = job.training;
    const rule = ruleFor(policy, job);
    if (steps === undefined || rule === undefined) return { found: 'whole epochs', applies: false };
    return atLeast(rowsPerRound.path, rule.minCount, steps * batchSize, 'rows in the steps of a round');
  },
  fix: 'raise training.steps or training.batchSize of the job',
};

const minimumCohort: PolicyRule = {
  path: 'spec.minimumCohort',
  needs: ['cohort'],
  needsToo: ({ federation }) => (federation === undefined ? [] : ['members']),
  demands: ({ minimumCohort: least }) => `at least ${String(least)}`,
  judge: (policy, job, facts) =>
    atLeast(
      minimumCohort.path,
      policy.minimumCohort,
      crowd(policy, job, facts).training,
      'sites that train in the round',
    ),
  fix: 'let more sites take part',
};

/** A round commits with `minSites` updates, so that, and not the invitation, is the crowd a site can count on. */
const minimumReports: PolicyRule = {
  path: 'spec.minimumCohort',
  needs: [],
  needsToo: ({ federation }) => (federation === undefined ? [] : ['members']),
  demands: ({ minimumCohort: least }) => `at least ${String(least)}`,
  judge: (policy, job, facts) =>
    atLeast(
      minimumReports.path,
      policy.minimumCohort,
      crowd(policy, job, facts).reports,
      'reports with which a round commits (minSites)',
    ),
  fix: 'raise minSites of the job',
};

const maximumParameters: PolicyRule = {
  path: 'spec.maximumParameters',
  needs: ['parameters'],
  demands: (policy) => `at most ${String(policy.maximumParameters)}`,
  judge: (policy, _job, { parameters }) =>
    atMost(maximumParameters.path, policy.maximumParameters, parameters, 'parameters'),
  fix: 'use a smaller model, or raise spec.maximumParameters',
};

const maximumRounds: PolicyRule = {
  path: 'spec.maximumRounds',
  needs: [],
  demands: (policy) => `at most ${String(policy.maximumRounds)}`,
  judge: (policy, { rounds }) => atMost(maximumRounds.path, policy.maximumRounds, rounds, 'rounds'),
  fix: 'ask for fewer rounds, or raise spec.maximumRounds',
};

const secureAggregation: PolicyRule = {
  path: 'spec.requireSecureAggregation',
  needs: [],
  demands: (policy) => (policy.requireSecureAggregation ? 'secure aggregation' : 'nothing'),
  judge: (policy, { privacy }) => {
    const found = privacy.secureAggregation ? 'secure aggregation' : 'plain aggregation';
    return !policy.requireSecureAggregation || privacy.secureAggregation
      ? { found, applies: policy.requireSecureAggregation }
      : refused(secureAggregation.path, found, 'the job does not use secure aggregation');
  },
  fix: 'set privacy.secureAggregation in the job',
};

/** Without a root the coordinator says who is who, and may be everybody else. */
const activeAdversary: PolicyRule = {
  path: 'spec.federation.root',
  needs: [],
  demands: ({ federation }, { privacy }) =>
    federation === undefined && isActive(privacy) ? 'a pinned root' : 'nothing',
  judge: ({ federation }, { privacy }) => {
    const found = privacy.secureAggregation
      ? `adversary ${privacy.adversary ?? 'HonestButCurious'}`
      : 'plain aggregation';
    return federation !== undefined || !isActive(privacy)
      ? { found, applies: isActive(privacy) }
      : refused(
          activeAdversary.path,
          found,
          'the job takes the coordinator for active, and this site pins no root: it could invent every other site',
        );
  },
  fix: 'pin the root of the federation in spec.federation.root, or set privacy.adversary to HonestButCurious in the job',
};

const isActive = ({ secureAggregation, adversary }: FederatedJobSpec['privacy']): boolean =>
  secureAggregation && adversary === 'Active';

const strategy: PolicyRule = {
  path: 'spec.strategies',
  needs: [],
  demands: ({ strategies }) => `one of ${listOf(strategies)}`,
  judge: ({ strategies }, { strategy: { type } }) =>
    strategies.includes(type) ? { found: type } : refused('spec.strategies', type, `${type} is not listed`),
  fix: 'add the strategy to spec.strategies',
};

const metrics: PolicyRule = {
  path: 'spec.metrics',
  needs: [],
  demands: (policy) => `none but ${listOf(policy.metrics)}`,
  judge: (policy, { evaluation }) => {
    const found = listOf(evaluation.metrics);
    const denied = evaluation.metrics.find((metric) => !policy.metrics.includes(metric));
    return denied === undefined
      ? { found, applies: evaluation.metrics.length > 0 }
      : refused(metrics.path, found, `metric ${denied} is not listed`);
  },
  fix: 'add the metric to spec.metrics, or ask for fewer in the job',
};

/** Both ways in which figures of this site alone would be recorded. */
const metricsPerSite: PolicyRule = {
  path: 'spec.metricsPerSite',
  needs: ['site'],
  demands: (policy) => (policy.metricsPerSite ? 'nothing' : 'no figures of this site alone'),
  judge: (policy, { evaluation }, { site }) => {
    const alone = evaluation.perSite === true || evaluation.holdOutSite === site;
    const found = alone ? 'figures of this site alone' : 'figures of all sites';
    return policy.metricsPerSite || !alone
      ? { found, applies: alone }
      : refused(metricsPerSite.path, found, 'the job would record the metrics of this site alone');
  },
  fix: 'set spec.metricsPerSite, or leave perSite and holdOutSite out of the job',
};

/** A trainer of the site's own cannot be slowed down, and chooses where it computes. */
const compute: PolicyRule = {
  path: 'spec.compute',
  needs: ['trainer'],
  demands: ({ compute: { cpuPercent, backends } }) =>
    `${String(cpuPercent)} % of a thread${backends === undefined ? '' : ` on ${listOf(backends)}`}`,
  judge: (policy, _job, { trainer }) => {
    const { cpuPercent, backends } = policy.compute;
    const limited = cpuPercent < 100 || backends !== undefined;
    return trainer === 'Socket' && limited
      ? refused(compute.path, trainer, 'a trainer of type Socket does not follow it')
      : { found: trainer, applies: limited };
  },
  fix: 'limit the process of the trainer itself, and leave spec.compute out',
};

const retriesPerBase: PolicyRule = {
  path: 'spec.retriesPerBase',
  needs: ['sentOnBase'],
  demands: (policy) => `at most ${String(policy.retriesPerBase)}`,
  judge: (policy, _job, { sentOnBase }) =>
    atMost(retriesPerBase.path, policy.retriesPerBase, sentOnBase, 'updates sent on this base model before'),
  fix: 'raise spec.retriesPerBase, or let the author apply the job anew',
};

const approval: PolicyRule = {
  path: 'spec.approval',
  needs: ['decision'],
  demands: (policy) => {
    if (policy.approval.type === 'Automatic') return 'nothing';
    const names = policy.approval.approvers.map(({ name }) => name);
    return `the signature of ${names.length === 0 ? 'the agent' : `one of ${listOf(names)}`}`;
  },
  judge: (policy, _job, { decision }) => {
    if (decision === 'Rejected') return refused(approval.path, decision, 'the site has rejected the job');
    if (policy.approval.type === 'Automatic') return { found: 'Automatic', applies: false };
    if (decision === 'Approved') return { found: decision };
    const detail = `${approval.path}: the site has not approved the job yet`;
    return { found: decision, refusal: { code: 'SITE_NOT_READY', detail, wait: { reason: 'Approval' } } };
  },
  fix: 'run `tributary-agent approve JOB` at the site',
};

const schedule: PolicyRule = {
  path: 'spec.schedule',
  needs: ['startsAt'],
  demands: (policy) => (policy.schedule ?? []).map(describeWindow).join('; ') || 'nothing',
  judge: (policy, _job, { startsAt }) => {
    if (policy.schedule === undefined || startsAt === undefined) return { found: 'any time', applies: false };
    const found = new Date(startsAt).toISOString();
    if (isOpen(policy.schedule, startsAt)) return { found };
    const untilMs = nextOpening(policy.schedule, startsAt);
    const until =
      untilMs === undefined ? '' : `; the next window opens at ${new Date(untilMs).toISOString()}`;
    const detail = `${schedule.path}: trainings do not begin now${until}`;
    const wait = { reason: 'Schedule', ...(untilMs === undefined ? {} : { untilMs }) } as const;
    return { found, refusal: { code: 'SITE_NOT_READY', detail, wait } };
  },
  fix: 'wait for the next window, or widen spec.schedule',
};

/** In the order in which they are checked: who asks, for what, how, and only then whether now. */
export const POLICY_RULES: readonly PolicyRule[] = [
  coordinator,
  members,
  author,
  declared,
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
  activeAdversary,
  strategy,
  metrics,
  metricsPerSite,
  compute,
  retriesPerBase,
  approval,
  schedule,
];

const ruleFor = (policy: SitePolicySpec, job: FederatedJobSpec): DatasetRule | undefined =>
  policy.datasets.find(({ name }) => name === job.dataset.name);
