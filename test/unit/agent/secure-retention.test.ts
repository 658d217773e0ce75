import assert from 'node:assert/strict';

import { LIMITS } from '@tributary/proto';
import { isForgettable, type SeenRounds } from '@tributary/edge-agent/internal/domain/secure-retention.js';

const held = { jobId: 'job-a', round: 2, attempt: 1, begunAt: 1_000 };
const nothing: SeenRounds = { newest: [], hasEnded: () => false, now: 1_000 };

describe('what a site keeps of a secure round', () => {
  it('stays as long as the coordinator may ask for it', () => {
    assert.equal(isForgettable(held, nothing), false);
    const others = [
      { ...held },
      { ...held, attempt: 0 },
      { ...held, round: 1, attempt: 7 },
      { jobId: 'job-b', round: 9, attempt: 0 },
    ];
    assert.equal(isForgettable(held, { ...nothing, newest: others }), false);
    assert.equal(isForgettable(held, { ...nothing, hasEnded: (jobId) => jobId === 'job-b' }), false);
    assert.equal(isForgettable(held, { ...nothing, now: held.begunAt + LIMITS.secureRoundKeptMs }), false);
    const { begunAt: _, ...before } = held;
    assert.equal(isForgettable(before, { ...nothing, now: Number.MAX_SAFE_INTEGER }), false);
  });

  it('goes with the next attempt, the next round, the end of the job, or with the time', () => {
    for (const newer of [
      { ...held, attempt: 2 },
      { ...held, round: 3, attempt: 0 },
    ])
      assert.equal(isForgettable(held, { ...nothing, newest: [newer] }), true);
    assert.equal(isForgettable(held, { ...nothing, hasEnded: (jobId) => jobId === 'job-a' }), true);
    assert.equal(isForgettable(held, { ...nothing, now: held.begunAt + LIMITS.secureRoundKeptMs + 1 }), true);
  });
});
