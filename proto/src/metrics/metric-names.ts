import { labelScaling, type LearningTask } from '../documents/learning-task.js';

type TaskType = LearningTask['type'];

export interface MetricEntry {
  /** Tasks that the metric fits. */
  readonly tasks: readonly TaskType[];
  readonly direction: 'maximize' | 'minimize' | 'target';
  /** Where the direction is `target`: the best value. */
  readonly target?: number;
  /** Whether it is measured in units of the label: sites tell it in units of the scaled label. */
  readonly inLabelUnits?: true;
  /** Definition and range. */
  readonly documentation: string;
}

/**
 * Every metric that a job may ask for besides the loss. A site computes it over its own test rows; the round reports
 * the mean over sites weighted by test rows, so that pooled metrics (auc) and the reported mean may differ.
 */
export const METRICS = {
  auc: {
    tasks: ['Binary'],
    direction: 'maximize',
    documentation: 'Area under the ROC curve, 0 to 1: the Mann-Whitney statistic, ties count one half.',
  },
  averagePrecision: {
    tasks: ['Binary'],
    direction: 'maximize',
    documentation:
      'Area under the precision-recall curve as the sum of precision times gain of recall, 0 to 1; chance gives the part of positives.',
  },
  accuracy: {
    tasks: ['Binary', 'MultiClass'],
    direction: 'maximize',
    documentation: 'Part of rows whose class is predicted, 0 to 1; the threshold of a binary task is 0.5.',
  },
  f1: {
    tasks: ['Binary', 'MultiClass'],
    direction: 'maximize',
    documentation:
      'Harmonic mean of precision and recall, 0 to 1: of the positive class at 0.5, or the mean over the classes that occur (macro).',
  },
  logLoss: {
    tasks: ['Binary', 'MultiClass'],
    direction: 'minimize',
    documentation: 'Mean negative natural logarithm of the probability given to the true class, from 0.',
  },
  brier: {
    tasks: ['Binary'],
    direction: 'minimize',
    documentation: 'Mean squared difference of probability and outcome, 0 to 1.',
  },
  calibrationError: {
    tasks: ['Binary', 'MultiClass'],
    direction: 'minimize',
    documentation:
      'Expected calibration error, 0 to 1: mean distance of predicted and observed frequency in ten bins of equal width; of the predicted class in a multi-class task. Few rows make it larger than it is.',
  },
  calibrationSlope: {
    tasks: ['Binary'],
    direction: 'target',
    target: 1,
    documentation:
      'Slope of the outcome on the logit of the probability (logistic regression), best at 1; below 1 the probabilities are too extreme.',
  },
  calibrationIntercept: {
    tasks: ['Binary'],
    direction: 'target',
    target: 0,
    documentation:
      'Calibration in the large: the intercept of that regression with the slope fixed at 1, best at 0; below 0 the probabilities are too high.',
  },
  rmse: {
    tasks: ['Regression'],
    direction: 'minimize',
    inLabelUnits: true,
    documentation:
      'Root of the mean squared error, in units of the label, from 0; reported up to 64 times the scale of the task, so give it a fitting one.',
  },
  mae: {
    tasks: ['Regression'],
    direction: 'minimize',
    inLabelUnits: true,
    documentation:
      'Mean absolute error, in units of the label, from 0; reported up to 64 times the scale of the task, so give it a fitting one.',
  },
  r2: {
    tasks: ['Regression'],
    direction: 'maximize',
    documentation:
      "Part of the label's variance that is explained, at most 1; below 0 where the mean of the test rows would be better.",
  },
} as const satisfies Record<string, MetricEntry>;

export type MetricName = keyof typeof METRICS;

export const METRIC_NAMES = Object.freeze(Object.keys(METRICS)) as readonly [MetricName, ...MetricName[]];

/**
 * Figures (metrics or their standard errors) by name as they are shown and stored, from those of update vectors: in units
 * of the label instead of units of its scaled value.
 */
export function inLabelUnits(
  task: LearningTask,
  figures: Readonly<Record<string, number>>,
): Readonly<Record<string, number>> {
  const scale = labelScaling(task)?.scale;
  if (scale === undefined) return figures;
  const entries: Readonly<Record<string, MetricEntry>> = METRICS;
  return Object.fromEntries(
    Object.entries(figures).map(([name, value]) => [
      name,
      entries[name]?.inLabelUnits === true ? value * scale : value,
    ]),
  );
}

/** True where a job of that task may ask for the metric. */
export function metricFits(metric: MetricName, task: TaskType): boolean {
  const { tasks }: MetricEntry = METRICS[metric];
  return tasks.includes(task);
}
