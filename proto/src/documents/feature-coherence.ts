import { readDate } from '../features/civil-date.js';
import { tableBounds } from '../features/reading.js';
import { LIMITS } from '../limits.js';
import type { FederatedJobSpec } from './federated-job.js';
import {
  categoryCount,
  columnsOf,
  DEFAULT_MISSING,
  type CategoricalFeatureSpec,
  type FeatureSpec,
  type ScaledFeatureSpec,
  type SequenceFeatureSpec,
} from './feature-spec.js';
import { quote, type Path, type Problem } from './problem.js';

/** What is wrong between the features of a job, or between the fields of one; their shape is judged by inputProblems. */
export function featureProblems({ dataset, features }: FederatedJobSpec): Problem[] {
  return [
    ...nameProblems(features),
    ...features.flatMap((feature, index) => leakProblems(feature, index, dataset.label)),
    ...features.flatMap((feature, index) => ownProblems(feature, ['spec', 'features', index])),
  ];
}

function nameProblems(features: readonly FeatureSpec[]): Problem[] {
  const seen = new Map<string, number>();
  return features.flatMap(({ name }, index): Problem[] => {
    const first = seen.get(name);
    seen.set(name, first ?? index);
    if (first === undefined) return [];
    const what = `column ${quote(name)} is used by spec.features[${String(first)}] already`;
    return [{ path: ['spec', 'features', index, 'name'], what, fix: 'remove one of them' }];
  });
}

function leakProblems(feature: FeatureSpec, index: number, label: string): Problem[] {
  if (!columnsOf(feature).includes(label)) return [];
  const field =
    feature.type === 'Ratio' ? (feature.numerator === label ? 'numerator' : 'denominator') : 'name';
  const path = ['spec', 'features', index, feature.type === 'Date' && feature.column ? 'column' : field];
  return [{ path, what: 'is the label column, which would leak the answer', fix: 'remove the feature' }];
}

function ownProblems(feature: FeatureSpec, path: Path): Problem[] {
  if (feature.type === 'Categorical') return categoricalProblems(feature, path);
  return [
    ...fitProblems(feature, path),
    ...scalingProblems(feature, path),
    ...domainProblems(feature, path),
    ...partProblems(feature, path),
  ];
}

function categoricalProblems(feature: CategoricalFeatureSpec, path: Path): Problem[] {
  const { categories, vocabulary } = feature;
  if (categories === undefined && vocabulary === undefined)
    return [{ path: [...path, 'categories'], what: 'is missing', fix: 'add it (a list), or a vocabulary' }];
  if (categories !== undefined && vocabulary !== undefined)
    return [{ path: [...path, 'vocabulary'], what: 'stands beside categories', fix: 'remove one of them' }];
  const missing = new Set(feature.missing ?? DEFAULT_MISSING);
  return (categories ?? []).flatMap((category, position): Problem[] => {
    if (!missing.has(category)) return [];
    const what = `${quote(category)} counts as missing and would never be met`;
    const fix = "remove it, or leave it out of the feature's missing list";
    return [{ path: [...path, 'categories', position], what, fix }];
  });
}

/** A fit is written by the names of features, and JSON in JavaScript keeps one name for itself. */
function fitProblems({ name, scaling }: ScaledFeatureSpec, path: Path): Problem[] {
  if (name !== '__proto__' || scaling === 'Given') return [];
  const what = 'cannot be the name of a feature that is fitted';
  return [{ path: [...path, 'name'], what, fix: 'rename the column in the view of the dataset' }];
}

const GIVEN_FIELDS = ['center', 'scale'] as const;
const BOUND_FIELDS = ['low', 'high'] as const;

function scalingProblems(feature: ScaledFeatureSpec, path: Path): Problem[] {
  const { scaling, low, high } = feature;
  const foreign = [
    ...(scaling === 'Given' ? [] : GIVEN_FIELDS.map((field) => [field, 'Given'] as const)),
    ...(scaling === 'Federated' ? [] : BOUND_FIELDS.map((field) => [field, 'Federated'] as const)),
  ];
  const problems = foreign.flatMap(([field, owner]): Problem[] => {
    if (feature[field] === undefined) return [];
    const fix = `remove it, or use scaling ${owner}`;
    return [{ path: [...path, field], what: `does not belong to scaling ${scaling}`, fix }];
  });
  if (scaling !== 'Federated') return problems;
  for (const field of BOUND_FIELDS) {
    if (feature[field] !== undefined) continue;
    problems.push({
      path: [...path, field],
      what: 'is missing',
      fix: 'add the bound that values are expected to keep: it is public, so choose it without looking at data',
    });
  }
  const bounds = tableBounds(feature);
  if (low !== undefined && high !== undefined && !(bounds.high - bounds.low >= 1e-9))
    problems.push({
      path: [...path, 'high'],
      what: 'is not above low',
      fix: 'raise it, by 1e-9 or more after the transform',
    });
  return problems;
}

/** Fields that are given before a transform that is not defined everywhere. */
function domainProblems(feature: ScaledFeatureSpec, path: Path): Problem[] {
  if (feature.type !== 'Numeric' || feature.transform !== 'Log1p') return [];
  return (['impute', 'low'] as const).flatMap((field): Problem[] => {
    const value = feature[field];
    if (value === undefined || value > -1) return [];
    return [{ path: [...path, field], what: 'Log1p is undefined there', fix: 'choose a value above -1' }];
  });
}

function partProblems(feature: ScaledFeatureSpec, path: Path): Problem[] {
  if (feature.type === 'Ratio' && feature.numerator === feature.denominator)
    return [{ path: [...path, 'denominator'], what: 'is the numerator too', fix: 'name another column' }];
  if (feature.type !== 'Date') return [];
  const at = [...path, 'reference'];
  const { part, reference } = feature;
  if (part !== 'Days') {
    if (reference === undefined) return [];
    return [{ path: at, what: `does not belong to part ${part}`, fix: 'remove it, or use part Days' }];
  }
  if (reference === undefined)
    return [{ path: at, what: 'is missing', fix: 'add the date from which days are counted' }];
  if (readDate(reference) !== undefined) return [];
  return [{ path: at, what: 'no such day', fix: 'write a day of the calendar, such as 2024-05-31' }];
}

/** Scalars make a vector, sequences of one length a matrix; nothing else is an input that layers can take. */
export function inputProblems(features: readonly FeatureSpec[]): Problem[] {
  const sequences = features.filter((feature) => feature.type === 'Sequence');
  const mixed = mixedProblems(features, sequences);
  if (mixed.length > 0) return mixed;
  const elements = features.reduce((sum, feature) => sum + widthOf(feature), 0);
  if (elements <= LIMITS.inputElements) return [];
  const what = `${String(elements)} inputs a row are more than ${String(LIMITS.inputElements)}`;
  return [{ path: ['spec', 'features'], what, fix: 'use fewer categories or shorter sequences' }];
}

function mixedProblems(
  features: readonly FeatureSpec[],
  sequences: readonly SequenceFeatureSpec[],
): Problem[] {
  const length = sequences[0]?.length;
  if (length === undefined) return [];
  return features.flatMap((feature, index): Problem[] => {
    if (feature.type !== 'Sequence') {
      const what = `${feature.type} beside features of type Sequence makes no input of one shape`;
      const fix = 'use sequences only, or none';
      return [{ path: ['spec', 'features', index, 'type'], what, fix }];
    }
    if (feature.length === length) return [];
    const what = 'differs from the length of the sequences before';
    return [{ path: ['spec', 'features', index, 'length'], what, fix: `write ${String(length)}` }];
  });
}

function widthOf(feature: FeatureSpec): number {
  if (feature.type === 'Sequence') return feature.length;
  if (feature.type !== 'Categorical') return feature.indicator ? 2 : 1;
  return feature.encoding === 'Index' ? 1 : categoryCount(feature) + 1;
}
