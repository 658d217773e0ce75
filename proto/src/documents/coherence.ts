import { LIMITS } from '../limits.js';
import { subgroupsOf } from '../metrics/evaluation-groups.js';
import { metricFits } from '../metrics/metric-names.js';
import { topologyProblems } from '../model/topology.js';
import { compileFeatures } from '../features/plan.js';
import type { FederatedJobSpec } from './federated-job.js';
import { featureProblems, inputProblems } from './feature-coherence.js';
import type { Problem } from './problem.js';
import { fewestSites, planSecureAggregation } from '../secagg/plan.js';
import { trainingProblems } from './training-coherence.js';

/** What is wrong between the fields of a job whose fields are each right by themselves. */
export function coherenceProblems(spec: FederatedJobSpec): Problem[] {
  const inputs = inputProblems(spec.features);
  return [
    ...featureProblems(spec),
    // Layers are judged over an input that has a shape.
    ...(inputs.length > 0 ? inputs : modelProblems(spec)),
    ...trainingProblems(spec),
    ...evaluationProblems(spec),
    ...evaluationOptionProblems(spec),
    ...cohortProblems(spec),
    ...secureAggregationProblems(spec),
  ];
}

function modelProblems({ features, model, task }: FederatedJobSpec): Problem[] {
  const { shape, indices } = compileFeatures(features);
  return topologyProblems(model.layers, task, shape, indices).map(({ path, ...rest }) => ({
    path: ['spec', 'model', 'layers', ...path],
    ...rest,
  }));
}

function evaluationProblems({ dataset, evaluation, task }: FederatedJobSpec): Problem[] {
  const path = ['spec', 'evaluation', 'metrics'];
  const problems: Problem[] = evaluation.metrics.flatMap((metric, index): Problem[] => {
    if (metricFits(metric, task.type)) return [];
    return [
      {
        path: [...path, index],
        what: `${metric} does not fit a task of type ${task.type}`,
        fix: 'remove it',
      },
    ];
  });
  if (evaluation.metrics.length > 0 && dataset.testFraction === 0) {
    problems.push({
      path,
      what: 'no row is kept for evaluation',
      fix: 'raise spec.dataset.testFraction or remove the metrics',
    });
  }
  return problems;
}

/** What the options of the evaluation need of the rest of the job. */
function evaluationOptionProblems({
  cohortSize,
  minSites,
  evaluation,
  dataset,
}: FederatedJobSpec): Problem[] {
  const at = (field: string) => ['spec', 'evaluation', field];
  const { holdOutSite, subgroups = [], intervals, perSite, metrics } = evaluation;
  const problems: Problem[] = [];
  const asked = holdOutSite !== undefined || subgroups.length > 0 || intervals === true || perSite === true;
  if (asked && metrics.length === 0) {
    problems.push({
      path: at('metrics'),
      what: 'no metric is listed',
      fix: 'list one, or remove the options',
    });
  }
  if (holdOutSite !== undefined && (minSites < 2 || cohortSize > 0)) {
    problems.push({
      path: at('holdOutSite'),
      what: 'every round needs this site and one that trains',
      fix: 'set minSites to 2 or more and leave cohortSize out',
    });
  }
  subgroups.forEach(({ column }, index) => {
    if (column === dataset.label)
      problems.push({
        path: [...at('subgroups'), index, 'column'],
        what: 'is the label column: metrics of one class alone say little',
        fix: 'choose another column',
      });
  });
  if (subgroupsOf(evaluation).length > LIMITS.evaluationGroups / 2) {
    const most = `at most ${String(LIMITS.evaluationGroups / 2)} values are reported in all`;
    problems.push({ path: at('subgroups'), what: most, fix: 'list fewer' });
  }
  return problems;
}

function cohortProblems({ cohortSize, minSites, overSelection }: FederatedJobSpec): Problem[] {
  const problems: Problem[] = [];
  if (cohortSize > 0 && cohortSize < minSites) {
    const what = `a cohort of ${String(cohortSize)} never delivers the ${String(minSites)} updates of minSites`;
    problems.push({
      path: ['spec', 'cohortSize'],
      what,
      fix: 'raise it, lower minSites, or set it to 0 (all sites)',
    });
  }
  if (cohortSize === 0 && overSelection > 0) {
    const what = 'there is nothing to select beyond all sites';
    problems.push({ path: ['spec', 'overSelection'], what, fix: 'set it to 0, or give cohortSize' });
  }
  if (Math.ceil(cohortSize * (1 + overSelection)) > LIMITS.updatesPerRound) {
    const what = `cohortSize and overSelection invite more than ${String(LIMITS.updatesPerRound)} sites`;
    problems.push({ path: ['spec', 'overSelection'], what, fix: 'lower one of them' });
  }
  return problems;
}

/** What is impossible with the fewest sites that a round may open with, and with the most where the job says so. */
function secureAggregationProblems(spec: FederatedJobSpec): Problem[] {
  const { privacy, minSites, cohortSize } = spec;
  const { secureAggregation, ...demand } = privacy;
  if (!secureAggregation) {
    const field = (['colluders', 'dropouts', 'threshold'] as const).find(
      (name) => demand[name] !== undefined,
    );
    const problem = { what: 'means nothing without secure aggregation', fix: 'remove it' };
    return field === undefined ? [] : [{ path: ['spec', 'privacy', field], ...problem }];
  }
  const agents = cohortSize === 0 ? fewestSites(spec) : cohortSize;
  const planned = planSecureAggregation({ agents, minimum: minSites, ...demand });
  if (planned.type === 'Planned') return [];
  return [
    {
      path: ['spec', 'privacy', 'secureAggregation'],
      what: `cannot protect the round: ${planned.detail}`,
      fix: 'ask for more sites or less, or set it to false if the coordinator may see single updates',
    },
  ];
}
