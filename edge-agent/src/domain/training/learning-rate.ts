import type { ScheduleSpec } from '@tributary/proto';

/** Where a training stands; rounds count from 1, epochs of the round from 0. */
export interface Position {
  readonly round: number;
  /** Rounds of the job. */
  readonly rounds: number;
  readonly epoch: number;
  /** Epochs of a round. */
  readonly epochs: number;
}

/** The learning rate at a position: `base` times the factor of the schedule, which stays within 0 and 1. */
export function learningRateAt(base: number, schedule: ScheduleSpec | undefined, at: Position): number {
  if (schedule === undefined) return base;
  const [index, length] = schedule.unit === 'Round' ? [at.round - 1, at.rounds] : [at.epoch, at.epochs];
  return base * factorAt(schedule, Math.max(0, index), length);
}

function factorAt(schedule: ScheduleSpec, index: number, length: number): number {
  switch (schedule.type) {
    case 'Constant':
      return 1;
    case 'StepDecay':
      return schedule.factor ** Math.floor(index / schedule.every);
    case 'Exponential':
      return schedule.factor ** index;
    case 'Cosine': {
      const fall = (1 + Math.cos((Math.PI * Math.min(index, length)) / length)) / 2;
      return schedule.floor + (1 - schedule.floor) * fall;
    }
    case 'Warmup':
      return Math.min(1, (index + 1) / schedule.length);
  }
}
