import assert from 'node:assert/strict';

import type { StageResult } from '@tributary/edge-agent/internal/stage-ports.js';
import type { ErrorCode } from '@tributary/proto';

import { refusal } from '../../support/refusal.js';
import { STAGES } from '../../support/secure-site.js';
import { SecureWorld } from '../../support/secure-world.js';

/** The set with a field changed, in canonical form as it was. */
function changed(
  { set, records }: StageResult,
  field: string,
  change: (value: unknown) => unknown,
): StageResult {
  const value = JSON.parse(new TextDecoder().decode(set)) as Record<string, unknown>;
  assert.ok(field in value, field);
  value[field] = change(value[field]);
  return { set: new TextEncoder().encode(JSON.stringify(value)), records };
}

const withoutLast = (list: unknown): unknown => (list as unknown[]).slice(0, -1);
const otherSeed = (): string => Buffer.alloc(32, 9).toString('base64');

const LIES: readonly (readonly [
  title: string,
  stage: string,
  code: ErrorCode,
  lie: (result: StageResult) => StageResult,
])[] = [
  [
    'a roster with one less',
    'advertise',
    'SECAGG_MESSAGE_INVALID',
    (told) => changed(told, 'members', withoutLast),
  ],
  [
    'a cohort with one less',
    'share',
    'SECAGG_MESSAGE_INVALID',
    (told) => changed(told, 'members', withoutLast),
  ],
  ['fewer survivors', 'mask', 'SECAGG_MESSAGE_INVALID', (told) => changed(told, 'survivors', withoutLast)],
  [
    'an agreement less',
    'agree',
    'SECAGG_MESSAGE_INVALID',
    ({ set, records }) => ({ set, records: records.slice(1) }),
  ],
  [
    'an agreement that nobody signed',
    'agree',
    'SECAGG_MESSAGE_INVALID',
    ({ set, records }) => ({
      set,
      records: records.map((record) => ({ ...record, signature: new Uint8Array(64) })),
    }),
  ],
];

describe('sites of a secure round', function () {
  this.timeout(30_000);

  for (const [title, stage, code, lie] of LIES)
    it(`leave a round in which they are shown ${title}, and the others go on`, async () => {
      const secure = await SecureWorld.begin(4);
      const site = secure.site(0);
      site.tamper = (shown, result) => (shown === stage ? lie(result) : result);
      await secure.requirePlainModel();
      assert.deepEqual(
        site.refusals.map((error) => error.code),
        [code],
      );
      // What it would have said next never left.
      const next = STAGES[STAGES.findIndex((name) => name === stage) + 1] ?? assert.fail();
      assert.equal(site.message(next), undefined);
      assert.equal(site.plain.size, stage === 'advertise' || stage === 'share' ? 0 : 1);
      const [declined] = await secure.world.entries('site.declined');
      assert.equal(declined?.body.site, 'site-0');
    });

  it('answer no second roster, of another graph', async () => {
    const secure = await SecureWorld.begin(4);
    const site = secure.site(0);
    secure.site(1).silent.set('1.0', 'share');
    await secure.until('its shares', () => site.message('share'));
    await secure.until('its rest', () => (site.busy ? undefined : true));
    const order = site.agent.orders.at(-1) ?? assert.fail();
    const before = site.message('share');
    await site.take(order);
    assert.deepEqual(site.message('share')?.payload, before?.payload);
    site.tamper = (_stage, told) => changed(told, 'graphSeed', otherSeed);
    await assert.rejects(site.take(order), refusal('SECAGG_MESSAGE_INVALID', /graph/));
    site.restart();
    await assert.rejects(site.take(order), refusal('SECAGG_MESSAGE_INVALID', /graph/));
    await secure.world.close();
  });

  it('mask no second update of a round', async () => {
    const secure = await SecureWorld.begin(4);
    const site = secure.site(0);
    secure.site(1).silent.set('1.0', 'mask');
    await secure.until('its vector', () => (site.plain.size > 0 && !site.busy ? true : undefined));
    const order = site.agent.orders.at(-1) ?? assert.fail();
    await site.take(order);
    site.delta = 'upl-2';
    site.restart();
    await assert.rejects(site.take(order), refusal('SECAGG_STAGE_PASSED', /another update/));
    await secure.world.close();
  });

  it('skip a share that does not open, and lose nothing by it', async () => {
    const secure = await SecureWorld.begin(4);
    secure.site(0).tamper = (stage, { set, records }) => ({
      set,
      records: records.map((record, index) =>
        stage === 'share' && index === 1
          ? { ...record, attachment: new Uint8Array(record.attachment.length) }
          : record,
      ),
    });
    await secure.requirePlainModel();
    const [committed] = await secure.world.entries('round.committed');
    assert.equal(committed?.body.reporting.length, 4);
  });
});
