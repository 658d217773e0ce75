import assert from 'node:assert/strict';

import { LIMITS } from '@tributary/proto';
import {
  checkMode,
  planStages,
  retryDelayMs,
} from '@tributary/coordinator/internal/domain/rounds/aggregation-mode.js';

import { refusal } from '../../support/refusal.js';

describe('aggregation modes', () => {
  it('divide the deadline of the round among the stages', () => {
    const mode = {
      name: 'two',
      stages: [
        { name: 'advertise', reports: 'message' as const, share: 0.25 },
        { name: 'mask', reports: 'update' as const, share: 0.75 },
      ],
    };
    assert.deepEqual(
      planStages(mode, 1_000, 3).map(({ name, deadlineMs, minimum }) => [name, deadlineMs, minimum]),
      [
        ['advertise', 250, 3],
        ['mask', 750, 3],
      ],
    );
  });

  it('have distinct stages, exactly one of which gathers updates', () => {
    const collect = { name: 'collect', reports: 'update' as const, share: 0.5 };
    const share = { name: 'share', reports: 'message' as const, share: 0.5 };
    for (const stages of [
      [collect, collect],
      [share],
      [],
      [{ ...share, reports: 'update' as const }],
      [collect, { ...share, share: 0 }],
    ]) {
      assert.throws(() => checkMode({ name: 'wrong', stages }), refusal('INTERNAL'));
    }
    assert.equal(checkMode({ name: 'right', stages: [share, collect] }).name, 'right');
  });

  it('wait longer before each repeat', () => {
    assert.deepEqual(
      [0, 1, 2, 3].map(retryDelayMs),
      [0, 1, 2, 4].map((times) => times * LIMITS.roundRetryDelayMs),
    );
  });
});
