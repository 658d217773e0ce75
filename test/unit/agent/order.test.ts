import assert from 'node:assert/strict';

import { verifyOrder, type OrderReader } from '@tributary/edge-agent/internal/domain/order.js';
import type { RawOrder } from '@tributary/edge-agent/internal/coordinator-messages.js';
import { encodeBase64, signingKeyFromSeed, type ErrorCode } from '@tributary/proto';
import fc from 'fast-check';

import { refusal } from '../../support/refusal.js';
import {
  ScriptedLog,
  scriptedId,
  type RoundOptions,
  type ScriptedRound,
} from '../../support/scripted-log.js';

const agentId = scriptedId('agt', 'west');
const cohort = [{ site: 'west', agentId }];

describe('verification of orders', () => {
  let log: ScriptedLog;
  let reader: OrderReader;

  beforeEach(() => {
    log = new ScriptedLog();
    reader = { agentId, site: 'west', logId: log.logId, logKey: log.key.publicKey };
  });

  const orderOf = (options: Partial<RoundOptions> = {}): Promise<RawOrder> =>
    log.order('train', log.openRound({ cohort, ...options }).seqs);
  const settle = (round: ScriptedRound, seq: number): Promise<RawOrder> =>
    log.order('settle', [...round.seqs, seq]);

  it('gives the job, the key of its author and the layout that follows from it', async () => {
    const verified = verifyOrder(reader, await orderOf());
    assert.ok(verified.kind === 'Opened');
    assert.equal(verified.job.metadata.name, 'loans');
    assert.equal(verified.authorKey, encodeBase64(log.author.publicKey));
    assert.equal(verified.layout.length, verified.opened.vectorLength - 3);
  });

  it('knows every entry that settles', async () => {
    const round = log.openRound({ cohort });
    const { jobId } = round;
    const place = { actor: 'coordinator', subject: `job/${jobId}` };
    const upload = { uploadId: 'u', code: 'UPDATE_CORRUPT', detail: '' };
    const own = log.append({
      type: 'update.refused',
      ...place,
      body: { jobId, round: 1, attempt: 0, site: 'west', agentId, ...upload },
    });
    const other = log.append({
      type: 'update.refused',
      ...place,
      body: { jobId, round: 1, attempt: 0, site: 'east', agentId: 'agt-other', ...upload },
    });
    const failed = log.append({
      type: 'job.failed',
      ...place,
      body: { jobId, code: 'JOB_CANCELLED', detail: '' },
    });
    const resumed = log.append({ type: 'job.resumed', ...place, body: { jobId } });
    const first = { jobId, round: 1, attempt: 0 };
    for (const how of ['committed', 'failed'] as const) {
      const verified = verifyOrder(reader, await settle(round, log.closeRound(round, how)));
      assert.deepEqual(verified, { kind: 'Settled', round: first, how: `round.${how}` });
    }
    assert.deepEqual(verifyOrder(reader, await settle(round, own)), {
      kind: 'Settled',
      round: first,
      how: 'update.refused',
    });
    const whole = verifyOrder(reader, await settle(round, failed));
    assert.ok(whole.kind === 'Settled' && whole.round.round > 1_000_000);
    for (const seq of [other, resumed]) {
      const order = await settle(round, seq);
      assert.throws(() => verifyOrder(reader, order), refusal('PROOF_INVALID'));
    }
  });

  const FORGED: readonly (readonly [title: string, code: ErrorCode, forge: (order: RawOrder) => RawOrder])[] =
    [
      ['no entries', 'PROOF_INVALID', (order) => ({ ...order, entries: [] })],
      ['no submission', 'PROOF_INVALID', (order) => ({ ...order, entries: order.entries.slice(1) })],
      [
        'the submission twice',
        'PROOF_INVALID',
        (order) => ({ ...order, entries: [...order.entries.slice(0, 1), ...order.entries] }),
      ],
      [
        'another position',
        'PROOF_INVALID',
        (order) => ({ ...order, entries: order.entries.map((entry) => ({ ...entry, seq: entry.seq + 1 })) }),
      ],
      [
        'another tree size',
        'PROOF_INVALID',
        (order) => ({ ...order, treeHead: { ...order.treeHead, treeSize: 99 } }),
      ],
      [
        'another signature',
        'PROOF_INVALID',
        (order) => ({ ...order, treeHead: { ...order.treeHead, signature: new Uint8Array(64) } }),
      ],
      [
        'another log',
        'PROOF_INVALID',
        (order) => ({ ...order, treeHead: { ...order.treeHead, logId: '00'.repeat(32) } }),
      ],
    ];
  for (const [title, code, forge] of FORGED) {
    it(`refuses ${title}`, async () => {
      const order = forge(await orderOf());
      assert.throws(() => verifyOrder(reader, order), refusal(code));
    });
  }

  it('refuses a round of another job than the one submitted', async () => {
    const round = log.openRound({ cohort });
    const other = log.openRound({ cohort, job: 'other' });
    const order = await log.order('train', [...round.seqs.slice(0, 2), other.seqs.at(-1) ?? 0]);
    assert.throws(() => verifyOrder(reader, order), refusal('PROOF_INVALID', /different jobs/));
  });

  it('refuses a job that its author did not sign', async () => {
    const forger = signingKeyFromSeed(new Uint8Array(32));
    Object.assign(log, { author: { ...log.author, sign: (message: Uint8Array) => forger.sign(message) } });
    const order = await orderOf();
    assert.throws(() => verifyOrder(reader, order), refusal('SIGNATURE_INVALID'));
  });

  it('refuses a cohort in which another agent stands for the site', async () => {
    const order = await orderOf({ cohort: [{ site: 'west', agentId: scriptedId('agt', 'east') }] });
    assert.throws(() => verifyOrder(reader, order), refusal('NOT_IN_COHORT'));
  });

  it('accepts no order of which any byte of entries, paths or head was changed', async () => {
    const order = await orderOf();
    const places = [
      order.treeHead.rootHash,
      order.treeHead.signature,
      ...order.entries.flatMap(({ entry, path }) => [entry, ...path]),
    ];
    fc.assert(
      fc.property(
        fc.nat(places.length - 1),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (place, at, change) => {
          const bytes = places[place] ?? new Uint8Array(1);
          const index = at % bytes.length;
          const before = bytes[index] ?? 0;
          bytes[index] = before ^ change;
          try {
            assert.throws(() => verifyOrder(reader, order), refusal('PROOF_INVALID'));
          } finally {
            bytes[index] = before;
          }
        },
      ),
      { numRuns: 300 },
    );
    assert.equal(verifyOrder(reader, order).kind, 'Opened');
  });
});
