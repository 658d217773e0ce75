import assert from 'node:assert/strict';

import { encodeBase64, signStage, signTreeHead, type ErrorCode } from '@tributary/proto';
import type { StageMessage } from '@tributary/edge-agent/internal/stage-ports.js';

import { refusal } from '../../support/refusal.js';
import type { SecureSite, Stage } from '../../support/secure-site.js';
import { SecureWorld } from '../../support/secure-world.js';
import { LOG_KEY } from '../../support/training-world.js';

/** A world in which the first site's message of a stage was written and held back, and that message. */
async function holding(
  stage: Stage,
  sites = 4,
): Promise<{ secure: SecureWorld; site: SecureSite; message: StageMessage }> {
  const secure = await SecureWorld.begin(sites);
  const site = secure.site(0);
  site.sends = (message) => message.stage !== stage;
  const message = await secure.until(`the message of ${stage}`, () => site.message(stage));
  return { secure, site, message };
}

function submit(
  { world }: SecureWorld,
  agentId: string,
  message: StageMessage,
  changes: Partial<StageMessage> = {},
): Promise<void> {
  const { stage, payload, signature, attachments, ...ref } = { ...message, ...changes };
  return world.training.stages.submit(agentId, {
    ...ref,
    stage,
    statement: { payload, signature, attachments },
  });
}

/** The message with another tree head, signed by whoever it is of. */
function altered(
  secure: SecureWorld,
  { agent }: SecureSite,
  message: StageMessage,
  change: object,
): StageMessage {
  const { jobId, round, attempt } = message;
  const of = { wire: '1.2', logId: secure.world.federation.logId, jobId, round, attempt };
  const payload = { ...(JSON.parse(new TextDecoder().decode(message.payload)) as object), ...change };
  return { ...message, ...signStage(of, 'advertise', agent.agentId, payload as never, agent.identity) };
}

describe('reception of what members say', function () {
  this.timeout(30_000);

  it('refuses what is not signed for the stage by a member of the cohort', async () => {
    const { secure, site, message } = await holding('advertise');
    const { agentId } = site.agent;
    const stranger = (await secure.world.enrol('stranger')).agentId;
    const cases: readonly (readonly [ErrorCode, string, Partial<StageMessage>])[] = [
      ['SIGNATURE_INVALID', agentId, { signature: new Uint8Array(64) }],
      ['SIGNATURE_INVALID', agentId, { payload: Uint8Array.of(1) }],
      ['SIGNATURE_INVALID', agentId, { stage: 'share' }],
      ['SIGNATURE_INVALID', secure.site(1).agent.agentId, {}],
      ['NOT_IN_COHORT', stranger, {}],
      ['UPDATE_WRONG_ROUND', agentId, { attempt: 1 }],
      ['UPDATE_WRONG_ROUND', agentId, { jobId: `job-${'0'.repeat(32)}` }],
      ['INVALID_ARGUMENT', agentId, { stage: 'mask' }],
      ['INVALID_ARGUMENT', agentId, { stage: 'collect' }],
      ['INVALID_ARGUMENT', agentId, { attachments: new Map([[stranger, Uint8Array.of(1)]]) }],
    ];
    for (const [code, sender, changes] of cases)
      await assert.rejects(
        submit(secure, sender, message, changes),
        refusal(code),
        JSON.stringify([code, changes]),
      );
    const reports = secure.job.round?.stages[0]?.reports;
    assert.ok(reports?.has(site.agent.site) === false, 'a refused message was recorded');
    await secure.world.close();
  });

  it('refuses keys for another base model, and names the agent', async () => {
    const { secure, site, message } = await holding('advertise');
    const foreign = altered(secure, site, message, { baseDigest: `sha256:${'0'.repeat(64)}` });
    await assert.rejects(
      submit(secure, site.agent.agentId, foreign),
      refusal('SECAGG_MESSAGE_INVALID', new RegExp(site.agent.agentId)),
    );
    await secure.world.close();
  });

  it('refuses a signed tree head that this ledger does not hold, as one from before it was restored', async () => {
    const { secure, site, message } = await holding('advertise');
    const { logId } = secure.world.federation;
    const { treeSize } = await secure.world.federation.treeHead();
    for (const size of [treeSize + 200, treeSize - 1]) {
      const rootHash = new Uint8Array(32).fill(7);
      const head = signTreeHead(LOG_KEY, {
        logId,
        treeSize: size,
        rootHash,
        time: '2026-01-01T00:00:00.000Z',
      });
      const treeHead = {
        ...{ treeSize: size, time: head.time, signature: encodeBase64(head.signature) },
        rootHash: Buffer.from(rootHash).toString('hex'),
      };
      await assert.rejects(
        submit(secure, site.agent.agentId, altered(secure, site, message, { treeHead })),
        refusal('SECAGG_MESSAGE_INVALID', /not of this ledger/),
      );
    }
    await secure.world.close();
  });

  it('takes a message once, answers its repeat at any time, and refuses another one', async () => {
    const { secure, site, message } = await holding('advertise');
    const { agentId } = site.agent;
    // Keeps the next stage open.
    secure.site(1).silent.set('1.0', 'share');
    await assert.rejects(site.client.stageResult(message), refusal('UPDATE_WRONG_ROUND', /not closed/));
    await Promise.all([submit(secure, agentId, message), submit(secure, agentId, message)]);
    const second = altered(secure, site, message, { maskKey: Buffer.alloc(32, 9).toString('base64') });
    await assert.rejects(submit(secure, agentId, second), refusal('UPDATE_DUPLICATE'));
    await secure.until('the next stage', () => (secure.job.round?.stage === 1 ? true : undefined));
    await submit(secure, agentId, message);
    await assert.rejects(submit(secure, agentId, second), refusal('UPDATE_DUPLICATE'));
    const messages = await secure.world.entries('stage.message');
    assert.equal(messages.filter(({ body }) => body.stage === 'advertise').length, 4);
    await secure.requirePlainModel();
  });

  it('refuses what comes late, and shows nothing to a site that is out', async () => {
    const { secure, site, message } = await holding('advertise', 7);
    secure.site(1).silent.set('1.0', 'share');
    await secure.until('the deadline', () => (secure.job.round?.stage === 1 ? true : undefined));
    await assert.rejects(submit(secure, site.agent.agentId, message), refusal('UPDATE_LATE'));
    await assert.rejects(site.client.stageResult(message), refusal('NOT_IN_COHORT'));
    await secure.requirePlainModel();
  });

  it('refuses shares for strangers, and a bundle that lacks one', async () => {
    const { secure, site, message } = await holding('share');
    const { agentId } = site.agent;
    const stranger = new Map([...message.attachments, [`agt-${'0'.repeat(32)}`, Uint8Array.of(1)]]);
    await assert.rejects(
      submit(secure, agentId, message, { attachments: stranger }),
      refusal('INVALID_ARGUMENT', /holds no share/),
    );
    const fewer = new Map([...message.attachments].slice(1));
    await assert.rejects(
      submit(secure, agentId, message, { attachments: fewer }),
      refusal('SECAGG_MESSAGE_INVALID'),
    );
    await submit(secure, agentId, message);
    await secure.requirePlainModel();
  });
});
