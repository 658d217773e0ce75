import assert from 'node:assert/strict';

import { Challenges } from '@tributary/coordinator/internal/adapters/grpc/challenges.js';
import { LIMITS } from '@tributary/proto';

describe('challenges of renewal', () => {
  let now: number;
  let drawn: number;
  let challenges: Challenges;

  beforeEach(() => {
    now = 1_000_000;
    drawn = 0;
    challenges = new Challenges(
      { now: () => now, at: () => () => undefined },
      { bytes: (length) => new Uint8Array(length).fill((drawn += 1)) },
    );
  });

  it('takes back the nonce that it gave, of that agent only', () => {
    const { nonce } = challenges.issue('agt-a');
    challenges.require('agt-a', nonce);
    assert.throws(
      () => {
        challenges.require('agt-b', nonce);
      },
      { code: 'SIGNATURE_INVALID' },
    );
    assert.throws(
      () => {
        challenges.require('agt-a', new Uint8Array(32));
      },
      { code: 'SIGNATURE_INVALID' },
    );
  });

  it('serves once', () => {
    const { nonce } = challenges.issue('agt-a');
    challenges.consume('agt-a');
    assert.throws(
      () => {
        challenges.require('agt-a', nonce);
      },
      { code: 'SIGNATURE_INVALID' },
    );
  });

  it('gives the outstanding nonce again, so that nobody can void the challenge of another', () => {
    const { nonce } = challenges.issue('agt-a');
    now += LIMITS.challengeTtlMs - 1;
    const again = challenges.issue('agt-a');
    assert.deepEqual(again.nonce, nonce);
    assert.equal(again.expiresInMs, 1);
  });

  it('expires', () => {
    const { nonce } = challenges.issue('agt-a');
    now += LIMITS.challengeTtlMs;
    assert.throws(
      () => {
        challenges.require('agt-a', nonce);
      },
      { code: 'SIGNATURE_INVALID' },
    );
    assert.notDeepEqual(challenges.issue('agt-a').nonce, nonce);
  });

  it('is bounded, and recovers when challenges expire', () => {
    for (let agent = 0; agent < LIMITS.challenges; agent += 1) challenges.issue(`agt-${String(agent)}`);
    assert.throws(() => challenges.issue('agt-late'), { code: 'OVERLOADED' });
    now += LIMITS.challengeTtlMs;
    assert.equal(challenges.issue('agt-late').expiresInMs, LIMITS.challengeTtlMs);
  });
});
