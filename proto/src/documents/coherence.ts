import { LIMITS } from '../limits.js';
import { metricFits } from '../metrics/metric-names.js';
import { topologyProblems } from '../model/topology.js';
import { compileFeatures } from '../features/plan.js';
import type { FederatedJobSpec } from './federated-job.js';
import { DEFAULT_MISSING, type FeatureSpec } from './feature-spec.js';
import { quote, type Problem } from './problem.js';

/** What is wrong between the fields of a job whose fields are each right by themselves. */
export function coherenceProblems(spec: FederatedJobSpec): Problem[] {
  return [
    ...featureListProblems(spec),
    ...spec.features.flatMap((feature, index) => featureProblems(feature, index)),
    ...modelProblems(spec),
    ...evaluationProblems(spec),
    ...cohortProblems(spec),
  ];
}

function featureListProblems({ dataset, features }: FederatedJobSpec): Problem[] {
  const seen = new Map<string, number>();
  return features.flatMap(({ name }, index): Problem[] => {
    const path = ['spec', 'features', index, 'name'];
    const first = seen.get(name);
    seen.set(name, first ?? index);
    if (name === dataset.label) {
      return [{ path, what: 'is the label column, which would leak the answer', fix: 'remove the feature' }];
    }
    if (first === undefined) return [];
    return [
      {
        path,
        what: `column ${quote(name)} is used by spec.features[${String(first)}] already`,
        fix: 'remove one of them',
      },
    ];
  });
}

function featureProblems(feature: FeatureSpec, index: number): Problem[] {
  const path = ['spec', 'features', index];
  if (feature.type === 'Numeric') {
    if (feature.transform !== 'Log1p' || feature.impute === undefined || feature.impute > -1) return [];
    return [{ path: [...path, 'impute'], what: 'Log1p is undefined there', fix: 'choose a value above -1' }];
  }
  const missing = new Set(feature.missing ?? DEFAULT_MISSING);
  return feature.categories.flatMap((category, position): Problem[] => {
    if (!missing.has(category)) return [];
    const what = `${quote(category)} counts as missing and would never be met`;
    return [
      {
        path: [...path, 'categories', position],
        what,
        fix: "remove it, or leave it out of the feature's missing list",
      },
    ];
  });
}

function modelProblems({ features, model, task }: FederatedJobSpec): Problem[] {
  return topologyProblems(model.layers, task, compileFeatures(features).width).map(({ path, ...rest }) => ({
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
