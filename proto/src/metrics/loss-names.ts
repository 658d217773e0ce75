import type { LearningTask } from '../documents/learning-task.js';

/** Losses that a job may name. */
export const LOSS_NAMES = [
  'BinaryCrossEntropy',
  'CategoricalCrossEntropy',
  'SquaredError',
  'AbsoluteError',
  'LogCosh',
  'Hinge',
  'CosineProximity',
] as const;

export type LossName = (typeof LOSS_NAMES)[number];

/** Losses by task, the default first. */
const BY_TASK: Readonly<Record<LearningTask['type'], readonly [LossName, ...LossName[]]>> = Object.freeze({
  Binary: ['BinaryCrossEntropy', 'SquaredError', 'AbsoluteError', 'LogCosh', 'Hinge'],
  MultiClass: [
    'CategoricalCrossEntropy',
    'SquaredError',
    'AbsoluteError',
    'LogCosh',
    'Hinge',
    'CosineProximity',
  ],
  // With one output the cosine is a sign, whose derivative is zero.
  Regression: ['SquaredError', 'AbsoluteError', 'LogCosh'],
});

/** Losses that are defined for a task, its default first. */
export function lossesOf(task: LearningTask['type']): readonly [LossName, ...LossName[]] {
  return BY_TASK[task];
}
