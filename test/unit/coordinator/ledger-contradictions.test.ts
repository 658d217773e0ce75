import assert from 'node:assert/strict';

import { contradictedIdentities } from '@tributary/coordinator/internal/domain/ledger-contradictions.js';
import { RoundDurations } from '@tributary/coordinator/internal/adapters/http/round-durations.js';
import type { FederationState } from '@tributary/coordinator/internal/domain/federation-state.js';
import type { LedgerEntry } from '@tributary/proto';
import { Registry } from 'prom-client';

type Parts = Pick<FederationState, 'alarms' | 'agents'>;

const alarm = (subject: string, code: string, seq: number): Parts['alarms'][number] => ({
  ...{ subject, code, seq },
  ...{ detail: '', at: 0 },
});
const agents = (...ids: readonly string[]): Parts['agents'] =>
  new Map(
    ids.map((agentId) => [
      agentId,
      {
        ...{ agentId, site: agentId, kind: 'Training', tokenId: '', identityKey: '', keyDigests: [] },
        ...{ enrolledAt: 0, certifiedAt: 0, seq: 0, ...(agentId === 'gone' && { revokedAt: 1 }) },
      },
    ]),
  );

describe('identities that the ledger contradicts', () => {
  const never = (): boolean => false;
  const state: Parts = {
    alarms: [
      alarm('agent/a', 'LEDGER_FORKED', 5),
      alarm('agent/b', 'PROOF_INVALID', 6),
      alarm('agent/a', 'PROOF_INVALID', 9),
      alarm('agent/gone', 'LEDGER_FORKED', 7),
      alarm('agent/c', 'CONFLICT', 8),
      alarm('token/t', 'PROOF_INVALID', 10),
    ],
    agents: agents('a', 'b', 'c', 'gone'),
  };

  it('are those of alarms about heads, each once, while they are not revoked', () => {
    assert.deepEqual(contradictedIdentities(state, never), ['a', 'b']);
  });

  it('are settled by what came after their newest alarm', () => {
    const asked: unknown[] = [];
    const found = contradictedIdentities(state, (agentId, seq) => {
      asked.push([agentId, seq]);
      return agentId === 'b';
    });
    assert.deepEqual(found, ['a']);
    assert.deepEqual(asked, [
      ['a', 9],
      ['b', 6],
    ]);
  });
});

describe('durations of rounds', () => {
  const entry = (type: string, second: number, attempt: number): LedgerEntry =>
    ({
      type,
      time: new Date(second * 1_000).toISOString(),
      body: { jobId: 'job-x', round: 1, attempt },
    }) as unknown as LedgerEntry;

  it('are those of attempts that began under this process', async () => {
    const registry = new Registry();
    const durations = new RoundDurations(registry);
    durations.observe(entry('round.committed', 1, 0));
    durations.observe(entry('round.opened', 10, 0));
    durations.observe(entry('round.failed', 17, 0));
    durations.observe(entry('round.opened', 20, 1));
    durations.observe(entry('round.failed', 21, 7));
    durations.observe(entry('round.opened', 30, 2));
    durations.observe(entry('round.committed', 33, 2));
    const text = await registry.metrics();
    assert.match(text, /duration_seconds_sum\{outcome="failed"\} 7$/m);
    assert.match(text, /duration_seconds_count\{outcome="failed"\} 1$/m);
    assert.match(text, /duration_seconds_sum\{outcome="committed"\} 3$/m);
    assert.match(text, /duration_seconds_bucket\{le="5",outcome="committed"\} 1$/m);
  });
});
