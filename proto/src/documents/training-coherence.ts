import { lossesOf } from '../metrics/loss-names.js';
import type { LearningTask } from './learning-task.js';
import type { Problem } from './problem.js';
import type { TrainingSpec } from './training-spec.js';

interface TrainingPart {
  readonly task: LearningTask;
  readonly training: TrainingSpec;
}

/** What is wrong between the fields of `training`, and between them and the task. */
export function trainingProblems({ task, training }: TrainingPart): Problem[] {
  return [...lengthProblems(training), ...lossProblems(task, training), ...weightProblems(task, training)];
}

function lengthProblems({ epochs, steps, schedule, earlyStopping }: TrainingSpec): Problem[] {
  const problems: Problem[] = [];
  if (steps !== undefined && epochs !== 1) {
    problems.push({
      path: ['spec', 'training', 'steps'],
      what: 'takes the place of epochs, which are given too',
      fix: 'remove one of them',
    });
  }
  if (steps === undefined && epochs === 1 && earlyStopping !== undefined) {
    problems.push({
      path: ['spec', 'training', 'earlyStopping'],
      what: 'a round of one epoch cannot end earlier',
      fix: 'raise epochs, or remove it',
    });
  }
  if (steps !== undefined && schedule?.unit === 'Epoch' && schedule.type === 'Cosine') {
    problems.push({
      path: ['spec', 'training', 'schedule', 'unit'],
      what: 'the number of epochs of a round depends on the site where steps are given',
      fix: 'use Round, or give epochs in place of steps',
    });
  }
  return problems;
}

function lossProblems(task: LearningTask, { loss }: TrainingSpec): Problem[] {
  const losses = lossesOf(task.type);
  if (loss === undefined || losses.includes(loss)) return [];
  return [
    {
      path: ['spec', 'training', 'loss'],
      what: `${loss} is not defined for a task of type ${task.type}`,
      fix: `use ${losses.slice(0, -1).join(', ')} or ${String(losses.at(-1))}`,
    },
  ];
}

function weightProblems(task: LearningTask, { classWeights }: TrainingSpec): Problem[] {
  if (classWeights === undefined) return [];
  const path = ['spec', 'training', 'classWeights'];
  if (task.type === 'Regression')
    return [{ path, what: 'a task of type Regression has no classes', fix: 'remove them' }];
  const classes = task.type === 'Binary' ? 2 : task.classes.length;
  if (classWeights.length === classes) return [];
  return [
    {
      path,
      what: `the task has ${String(classes)} classes, not ${String(classWeights.length)}`,
      fix: 'give one factor for each',
    },
  ];
}
