import assert from 'node:assert/strict';

import type { ScheduleSpec } from '@tributary/proto';
import { learningRateAt } from '@tributary/edge-agent/internal/domain/training/learning-rate.js';

const ROUNDS = 10;
const near = (actual: readonly number[], expected: readonly number[]): void => {
  assert.equal(actual.length, expected.length);
  for (const [index, value] of actual.entries())
    assert.ok(Math.abs(value - (expected[index] ?? 0)) < 1e-12, `${String(index)}: ${String(value)}`);
};
const overRounds = (schedule: ScheduleSpec | undefined): number[] =>
  Array.from({ length: ROUNDS }, (_, round) =>
    learningRateAt(2, schedule, { round: round + 1, rounds: ROUNDS, epoch: 3, epochs: 5 }),
  );

describe('learning-rate schedules', () => {
  it('are constant without a schedule, and where it says so', () => {
    near(overRounds(undefined), new Array<number>(ROUNDS).fill(2));
    near(overRounds({ type: 'Constant', unit: 'Round' }), new Array<number>(ROUNDS).fill(2));
  });

  it('fall in steps, evenly on a logarithmic scale, or as half a cosine; rise evenly to the full rate', () => {
    const unit = 'Round';
    near(overRounds({ type: 'StepDecay', unit, factor: 0.5, every: 4 }), [2, 2, 2, 2, 1, 1, 1, 1, 0.5, 0.5]);
    near(
      overRounds({ type: 'Exponential', unit, factor: 0.9 }),
      Array.from({ length: ROUNDS }, (_, index) => 2 * 0.9 ** index),
    );
    near(
      overRounds({ type: 'Cosine', unit, floor: 0.1 }),
      Array.from({ length: ROUNDS }, (_, i) => 2 * (0.1 + 0.45 * (1 + Math.cos((Math.PI * i) / ROUNDS)))),
    );
    near(overRounds({ type: 'Warmup', unit, length: 4 }), [0.5, 1, 1.5, 2, 2, 2, 2, 2, 2, 2]);
  });

  it('count epochs of the round where the job says so', () => {
    const at = (round: number, epoch: number): number =>
      learningRateAt(
        1,
        { type: 'Exponential', unit: 'Epoch', factor: 0.5 },
        { round, rounds: 3, epoch, epochs: 4 },
      );
    assert.deepEqual([at(1, 0), at(1, 2), at(2, 0), at(3, 2)], [1, 0.25, 1, 0.25]);
  });
});
