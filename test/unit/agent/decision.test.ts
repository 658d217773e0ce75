import assert from 'node:assert/strict';

import { DecisionLog } from '@tributary/edge-agent/internal/app/decision-log.js';
import {
  encodeDecision,
  EMPTY_DECISIONS,
  followLine,
  type Decision,
} from '@tributary/edge-agent/internal/domain/decision.js';
import type { LineLog } from '@tributary/edge-agent/internal/ports.js';
import { MemoryStateStore } from '@tributary/edge-agent/internal/adapters/store/memory-state-store.js';
import {
  canonicalize,
  digestOf,
  encodeBase64,
  LIMITS,
  signingKeyFromSeed,
  type JsonObject,
} from '@tributary/proto';

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

const IDENTITY = signingKeyFromSeed(new Uint8Array(32).fill(5));

const open = (lines: Uint8Array[], store: MemoryStateStore): Promise<DecisionLog> =>
  DecisionLog.open({
    lines: linesOf(lines),
    store,
    identity: IDENTITY,
    logId: 'ab'.repeat(32),
    agentId: 'agt',
    clock: { now: () => 0, at: () => () => undefined },
  });

/** Number and key of each signed head. */
function signers(lines: readonly Uint8Array[]): (readonly [count: number, key: string])[] {
  let head = EMPTY_DECISIONS;
  return lines.flatMap((line) => {
    const next = followLine(head, line);
    head = next.head;
    return next.signedBy === undefined ? [] : [[head.count, next.signedBy] as const];
  });
}

describe('decision log of a site', () => {
  it('chains its lines, also over a restart and for decisions at the same time', async () => {
    const lines: Uint8Array[] = [];
    const store = new MemoryStateStore();
    const first = await open(lines, store);
    await Promise.all([first.record(decision(1)), first.record(decision(2))]);
    const second = await open(lines, store);
    assert.deepEqual(second.head, first.head);
    await second.record(decision(3));
    assert.equal((await open(lines, store)).head.count, 3);
    assert.deepEqual(second.recent, [decision(3)]);
  });

  it('notices that lines are missing at its end, or were made anew', async () => {
    const lines: Uint8Array[] = [];
    const store = new MemoryStateStore();
    const log = await open(lines, store);
    for (const round of [1, 2, 3]) await log.record(decision(round));
    await assert.rejects(
      open(lines.slice(0, 2), store),
      refusal('STORE_CORRUPT', /3 lines were written, and 2/),
    );
    await assert.rejects(open([], store), refusal('STORE_CORRUPT'));
    const forged: Uint8Array[] = [];
    const other = await open(forged, new MemoryStateStore());
    for (const round of [1, 2, 4]) await other.record(decision(round));
    await assert.rejects(open(forged, store), refusal('STORE_CORRUPT', /line 3/));
  });

  it('signs all lines before now and then and when it is closed', async () => {
    const lines: Uint8Array[] = [];
    const store = new MemoryStateStore();
    const log = await open(lines, store);
    for (let round = 1; round <= LIMITS.signedHeadEveryLines; round += 1) await log.record(decision(round));
    assert.equal(lines.length, LIMITS.signedHeadEveryLines + 1);
    await log.close();
    assert.equal(lines.length, LIMITS.signedHeadEveryLines + 1, 'nothing new to sign');
    await log.policy('');
    await log.policy('');
    await log.close();
    assert.equal(lines.length, LIMITS.signedHeadEveryLines + 3);
    const heads = signers(lines);
    assert.deepEqual(
      heads.map(([count]) => count),
      [LIMITS.signedHeadEveryLines + 1, LIMITS.signedHeadEveryLines + 3],
    );
    assert.deepEqual(new Set(heads.map(([, key]) => key)), new Set([encodeBase64(IDENTITY.publicKey)]));
  });

  it('refuses a signed head over other lines, whoever chained it', async () => {
    const [mine, other]: [Uint8Array[], Uint8Array[]] = [[], []];
    for (const [lines, round] of [
      [mine, 1],
      [other, 2],
    ] as const) {
      const log = await open(lines, new MemoryStateStore());
      await log.record(decision(round));
      await log.close();
    }
    const [first = new Uint8Array()] = mine;
    const fields = JSON.parse(new TextDecoder().decode(other[1])) as JsonObject;
    const moved = canonicalize({ ...fields, prev: digestOf(first) });
    assert.throws(() => signers([first, moved]), refusal('STORE_CORRUPT', /line 2: has a signature/));
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
    const follow = (...lines: Uint8Array[]) =>
      lines.reduce((head, line) => followLine(head, line).head, EMPTY_DECISIONS);
    assert.equal(follow(one, two).count, 2);
    for (const lines of [[altered, two], [two], [one, one], [two, one]])
      assert.throws(() => follow(...lines), refusal('STORE_CORRUPT'));
    assert.throws(() => follow(canonicalize({ v: 2 })), refusal('FORMAT_UNSUPPORTED'));
    assert.throws(() => follow(canonicalize([])), refusal('STORE_CORRUPT'));
  });
});
