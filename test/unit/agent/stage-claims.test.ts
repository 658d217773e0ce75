import assert from 'node:assert/strict';

import {
  verifyOrder,
  type OpenedRound,
  type OrderReader,
} from '@tributary/edge-agent/internal/domain/order.js';
import {
  requireParticipants,
  requireTranscript,
} from '@tributary/edge-agent/internal/domain/stage-claims.js';
import { digestOf, stageTranscriptDigest, type EntryBody } from '@tributary/proto';

import { refusal } from '../../support/refusal.js';
import { ScriptedLog, scriptedId, type ScriptedRound } from '../../support/scripted-log.js';

const STAGES = ['advertise', 'share', 'mask', 'agree', 'unmask'];
const SITES = ['east', 'north', 'west'];
const cohort = SITES.map((site) => ({ site, agentId: scriptedId('agt', site) }));
const reports = SITES.map((site) => ({ site, digest: digestOf(new TextEncoder().encode(site)) }));

describe('closed stages of a round', () => {
  let log: ScriptedLog;
  let reader: OrderReader;
  let round: ScriptedRound;

  beforeEach(() => {
    log = new ScriptedLog();
    reader = {
      agentId: scriptedId('agt', 'west'),
      site: 'west',
      logId: log.logId,
      logKey: log.key.publicKey,
    };
    const stages = STAGES.map((name) => ({ name, deadlineMs: 1_000, minimum: 2 }));
    round = log.openRound({ cohort, alter: (body) => ({ ...body, stages }) });
  });

  const closed = (stage: string, changes: Partial<EntryBody<'stage.closed'>> = {}): number => {
    const ref = { jobId: round.jobId, round: round.round, attempt: round.attempt };
    const transcriptDigest = stageTranscriptDigest(ref, stage, reports);
    const body = { ...ref, stage, participants: SITES, transcriptDigest, ...changes };
    return log.append({ type: 'stage.closed', actor: 'coordinator', subject: `job/${round.jobId}`, body });
  };
  const read = async (...seqs: readonly number[]): Promise<OpenedRound> => {
    const verified = verifyOrder(reader, await log.order('go-on', [...round.seqs, ...seqs]));
    assert.ok(verified.kind === 'Opened');
    return verified;
  };

  it('are those that the order proves, in the order of the round', async () => {
    assert.deepEqual((await read()).closed, []);
    const seqs = STAGES.map((stage) => closed(stage));
    for (let count = 1; count <= STAGES.length; count += 1) {
      const verified = await read(...seqs.slice(0, count));
      assert.deepEqual(
        verified.closed.map(({ stage }) => stage),
        STAGES.slice(0, count),
      );
      assert.equal(verified.opened.baseDigest, round.baseDigest);
    }
  });

  it('are refused in another order, twice, with one left out, or of another round', async () => {
    const [advertise, share] = [closed('advertise'), closed('share')];
    const foreign: readonly (readonly number[])[] = [
      [share, advertise],
      [advertise, advertise],
      [share],
      [advertise, closed('mask')],
      [closed('advertise', { attempt: 1 })],
      [closed('advertise', { round: 2 })],
      [closed('advertise', { jobId: scriptedId('job', 'other') })],
      [advertise, share, closed('mask'), closed('agree'), closed('unmask'), closed('collect')],
    ];
    for (const seqs of foreign) await assert.rejects(read(...seqs), refusal('PROOF_INVALID', /stage/));
  });

  it('are no order for a site that was not in each of them', async () => {
    const without = { participants: ['east', 'north'] };
    await assert.rejects(read(closed('advertise', without)), refusal('NOT_IN_COHORT', /advertise/));
    const seqs = [closed('advertise', without), closed('share')];
    await assert.rejects(read(...seqs), refusal('NOT_IN_COHORT'));
  });

  it('hold the coordinator to what was said in them', async () => {
    const verified = await read(closed('advertise'), closed('share'), closed('mask'));
    requireTranscript(verified, 'advertise', [...reports].reverse());
    const [first, second, third] = reports;
    assert.ok(first && second && third);
    const lies = [
      [first, second],
      [first, second, { ...third, digest: first.digest }],
      [first, second, { ...third, site: 'south' }],
      [...reports, { ...third, site: 'south' }],
    ];
    for (const lie of lies)
      assert.throws(() => requireTranscript(verified, 'advertise', lie), refusal('SECAGG_MESSAGE_INVALID'));
    // Not closed yet, so nothing of it can be shown.
    assert.throws(() => requireTranscript(verified, 'agree', reports), refusal('SECAGG_MESSAGE_INVALID'));
    requireParticipants(verified, 'mask', ['west', 'east', 'north']);
    for (const sites of [['east', 'north'], [...SITES, 'south'], ['east', 'north', 'south'], []])
      assert.throws(() => requireParticipants(verified, 'mask', sites), refusal('SECAGG_MESSAGE_INVALID'));
  });
});
