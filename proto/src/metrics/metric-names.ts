import type { LearningTask } from '../documents/learning-task.js';

type TaskType = LearningTask['type'];

export interface MetricEntry {
  /** Tasks that the metric fits. */
  readonly tasks: readonly TaskType[];
  readonly direction: 'maximize' | 'minimize';
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
  accuracy: {
    tasks: ['Binary', 'MultiClass'],
    direction: 'maximize',
    documentation: 'Part of rows whose class is predicted, 0 to 1; the threshold of a binary task is 0.5.',
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
  rmse: {
    tasks: ['Regression'],
    direction: 'minimize',
    documentation: 'Root of the mean squared error, in units of the label, from 0.',
  },
  mae: {
    tasks: ['Regression'],
    direction: 'minimize',
    documentation: 'Mean absolute error, in units of the label, from 0.',
  },
} as const satisfies Record<string, MetricEntry>;

export type MetricName = keyof typeof METRICS;

export const METRIC_NAMES = Object.freeze(Object.keys(METRICS)) as readonly [MetricName, ...MetricName[]];

/** True where a job of that task may ask for the metric. */
export function metricFits(metric: MetricName, task: TaskType): boolean {
  const { tasks }: MetricEntry = METRICS[metric];
  return tasks.includes(task);
}
