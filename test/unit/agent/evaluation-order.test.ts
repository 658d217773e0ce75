import assert from 'node:assert/strict';

import { MemoryOutbox } from '@tributary/edge-agent/internal/adapters/files/memory-outbox.js';
import { MemoryStateStore } from '@tributary/edge-agent/internal/adapters/store/memory-state-store.js';
import { numbersOf, Outbox, shapeOf } from '@tributary/edge-agent/internal/app/outbox.js';
import { verifyOrder, type OpenedRound } from '@tributary/edge-agent/internal/domain/order.js';
import { roundKey } from '@tributary/edge-agent/internal/domain/round-key.js';
import {
  EMPTY_LAYOUT,
  layoutDigest,
  updateTail,
  vectorLength,
  type FederatedJobInput,
} from '@tributary/proto';

import { refusal } from '../../support/refusal.js';
import { ScriptedLog, scriptedId, type RoundOptions } from '../../support/scripted-log.js';

const agentId = scriptedId('agt', 'west');
const SPEC: Partial<FederatedJobInput['spec']> = { rounds: 3, evaluation: { metrics: ['auc'] } };

type Opened = Parameters<NonNullable<RoundOptions['alter']>>[0];

const evaluation = (body: Opened): Opened => ({
  ...body,
  kind: 'Evaluation',
  layoutDigest: layoutDigest(EMPTY_LAYOUT),
  vectorLength: vectorLength({ parameters: 0, metrics: ['auc'] }),
});

async function ordered(options: Partial<RoundOptions> = {}): Promise<OpenedRound> {
  const log = new ScriptedLog();
  const reader = { agentId, site: 'west', logId: log.logId, logKey: log.key.publicKey };
  const cohort = [{ site: 'west', agentId }];
  const scripted = log.openRound({ cohort, spec: SPEC, round: 4, alter: evaluation, ...options });
  const verified = verifyOrder(reader, await log.order('evaluate', scripted.seqs));
  assert.ok(verified.kind === 'Opened');
  return verified;
}

describe('orders to evaluate', () => {
  it('are about the model of the job and ask for nothing of it', async () => {
    const round = await ordered();
    assert.equal(round.layout.length, 0);
    assert.ok(round.model.length > 0);
  });

  const refused: readonly (readonly [what: string, options: Partial<RoundOptions>])[] = [
    ['before the last round', { round: 3 }],
    ['after it', { round: 5 }],
    ['of a job without metrics', { spec: { ...SPEC, evaluation: { metrics: [] } } }],
    ['that ask for the model', { alter: (body: Opened) => ({ ...body, kind: 'Evaluation' }) }],
  ];
  for (const [what, options] of refused) {
    it(`are refused: ${what}`, async () => {
      await assert.rejects(ordered(options), refusal('PROOF_INVALID', /./));
    });
  }

  it('are answered with a tail that weighs nothing, through the outbox', async () => {
    const round = await ordered();
    const random = { bytes: (length: number) => new Uint8Array(length).fill(3) };
    const outbox = new Outbox(new MemoryStateStore(), new MemoryOutbox(), random, agentId);
    const result = {
      delta: new Float32Array(0),
      examples: 0,
      loss: 0,
      metrics: { auc: 0.75 },
      testExamples: 100,
    };
    await outbox.hold(round, result);
    const item = await outbox.item(roundKey(round.opened));
    assert.equal(shapeOf(item).trains, false);
    assert.deepEqual([...updateTail(numbersOf(item), shapeOf(item), 200)], [0, 0, 0.5, 0.375]);
  });
});
