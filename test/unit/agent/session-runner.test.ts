import assert from 'node:assert/strict';

import type { DecisionNote } from '@tributary/edge-agent/internal/domain/decision.js';
import { verifyOrder } from '@tributary/edge-agent/internal/domain/order.js';
import type { AgentMessage, FleetClient } from '@tributary/edge-agent/internal/ports.js';
import { SessionRunner } from '@tributary/edge-agent/internal/app/session-runner.js';
import { TributaryError, type ErrorCode } from '@tributary/proto';

import { cheatedFederation } from '../../support/cheated-federation.js';
import { eventually } from '../../support/waiting.js';

const TERMS = { terms: { purposes: 'Any' }, training: {}, minimum: 3 } as never;

/** What a runner does whose secure rounds refuse their first stage with `code`. */
async function refused(code: ErrorCode): Promise<readonly (AgentMessage | DecisionNote | 'asked again')[]> {
  const { coordinator, log, basel } = await cheatedFederation();
  const { site, agentId } = basel;
  const reader = { site, agentId, logId: log.logId, logKey: log.key.publicKey };
  const done: (AgentMessage | DecisionNote | 'asked again')[] = [];
  const nothing = (): Promise<never> => Promise.reject(new Error('the site does no work'));
  const client = {} as FleetClient;
  const runner = new SessionRunner({
    review: {
      review: (_client, order) => {
        const round = verifyOrder(reader, order);
        assert.ok(round.kind === 'Opened');
        return Promise.resolve({ outcome: 'Allowed' as const, round, ...(TERMS as object) } as never);
      },
    },
    work: {
      train: nothing,
      stopTraining: () => undefined,
      upload: nothing,
      stopUpload: () => undefined,
      discard: () => Promise.resolve(),
      settled: () => Promise.resolve(),
      drained: () => Promise.resolve(),
    },
    secure: {
      follow: () => Promise.reject(new TributaryError(code, 'not this one')),
      settled: () => Promise.resolve(),
    },
    decisions: { note: (note) => Promise.resolve(void done.push(note)) },
    client: () => client,
    send: (message) => void done.push(message),
    askAgain: () => void done.push('asked again'),
    jobEnded: () => Promise.resolve(),
    alarm: (error) => assert.fail(error),
    clock: { now: () => 0, at: () => () => undefined },
    random: { bytes: (length) => new Uint8Array(length) },
    log: { info: () => undefined, warn: () => undefined, error: () => undefined } as never,
  });
  runner.up(true);
  const round = coordinator.open();
  runner.order(await log.order('the order', round.ref.seqs));
  await eventually('the stage', () => done.find((one) => one === 'asked again' || one.type === 'Failure'));
  await runner.stop();
  return done;
}

describe('the runner of a session', () => {
  it('writes a stage that it refuses into the log of the site before it says so', async () => {
    for (const code of ['SECAGG_STAGE_PASSED', 'SECAGG_MESSAGE_INVALID', 'SECAGG_TOO_FEW'] as const) {
      const done = await refused(code);
      const types = done.flatMap((one) => (typeof one === 'string' ? one : one.type));
      const [noted, told] = [types.indexOf('StageRefused'), types.indexOf('Failure')];
      assert.ok(noted >= 0 && noted < told, `${code}: ${types.join(', ')}`);
      const note = done[noted];
      assert.ok(typeof note === 'object' && note.type === 'StageRefused');
      assert.deepEqual([note.code, note.stage, note.round, note.attempt], [code, 'advertise', 1, 0]);
      assert.equal(note.detail, 'not this one');
    }
  });

  it('writes nothing of a stage that it will answer later', async () => {
    const done = await refused('UNAVAILABLE');
    assert.ok(done.includes('asked again'));
    assert.ok(!done.some((one) => typeof one === 'object' && one.type === 'StageRefused'));
  });
});
