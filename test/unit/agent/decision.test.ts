import assert from 'node:assert/strict';

import { DecisionLog } from '@tributary/edge-agent/internal/app/decision-log.js';
import {
  encodeDecision,
  EMPTY_DECISIONS,
  followDecision,
  type Decision,
} from '@tributary/edge-agent/internal/domain/decision.js';
import type { LineLog } from '@tributary/edge-agent/internal/ports.js';
import { canonicalize, digestOf } from '@tributary/proto';

import { refusal } from '../../support/refusal.js';

const decision = (round: number): Decision => ({
  ...{
    time: '2026-01-01T00:00:00.000Z',
    orderId: 'o',
    jobId: 'j',
    round,
    attempt: 0,
    job: 'loans',
    dataset: 'loans',
  },
  ...{ authorKey: 'k', allowed: true, code: '', rule: '', detail: '', policyDigest: '' },
});

/** Lines in memory. */
function linesOf(lines: Uint8Array[]): LineLog {
  return {
    append: (line) => {
      lines.push(line);
      return Promise.resolve();
    },
    async *read() {
      await Promise.resolve();
      yield* lines;
    },
  };
}

describe('decision log of a site', () => {
  it('chains its lines, also over a restart and for decisions at the same time', async () => {
    const lines: Uint8Array[] = [];
    const first = await DecisionLog.open(linesOf(lines));
    await Promise.all([first.record(decision(1)), first.record(decision(2))]);
    const second = await DecisionLog.open(linesOf(lines));
    assert.deepEqual(second.head, first.head);
    await second.record(decision(3));
    assert.equal((await DecisionLog.open(linesOf(lines))).head.count, 3);
    assert.deepEqual(second.recent, [decision(3)]);
  });

  it('has fixed bytes', () => {
    // Canonical JSON by hand (RFC 8785): keys in order, no spaces.
    const expected =
      `{"allowed":true,"attempt":0,"authorKey":"k","code":"","dataset":"loans","detail":"","job":"loans","jobId":"j","orderId":"o","policyDigest":"",` +
      `"prev":"${EMPTY_DECISIONS.digest}","round":1,"rule":"","seq":0,"time":"2026-01-01T00:00:00.000Z","v":1}`;
    assert.equal(new TextDecoder().decode(encodeDecision(decision(1), 0, EMPTY_DECISIONS.digest)), expected);
  });

  it('refuses a chain in which a line is altered, missing, repeated or swapped', () => {
    const one = encodeDecision(decision(1), 0, EMPTY_DECISIONS.digest);
    const two = encodeDecision(decision(2), 1, digestOf(one));
    const altered = encodeDecision(decision(9), 0, EMPTY_DECISIONS.digest);
    const follow = (...lines: Uint8Array[]) => lines.reduce(followDecision, EMPTY_DECISIONS);
    assert.equal(follow(one, two).count, 2);
    for (const lines of [[altered, two], [two], [one, one], [two, one]])
      assert.throws(() => follow(...lines), refusal('STORE_CORRUPT'));
    assert.throws(() => follow(canonicalize({ v: 2 })), refusal('FORMAT_UNSUPPORTED'));
    assert.throws(() => follow(canonicalize([])), refusal('STORE_CORRUPT'));
  });
});
