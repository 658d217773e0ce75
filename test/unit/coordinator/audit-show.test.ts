import assert from 'node:assert/strict';

import { encodeBase64, logIdOf } from '@tributary/proto';

import { auditCommands } from '../../support/audit-commands.js';
import { LOG } from '../../support/audited-ledger.js';
import { keyOf } from '../../support/roster.js';

const KEY = encodeBase64(LOG.publicKey);

describe('tributary audit show', function () {
  this.timeout(60_000);
  const audit = auditCommands({ site: 'east', size: 7 }, { site: 'north', size: 12 });
  const { at, run, exported } = audit;

  it('shows entries for people, by type, site and time', async () => {
    const lines = async (...words: readonly string[]) => (await run('show', ...words)).terminal.results;
    const submitted = await lines('--type', 'job.submitted');
    assert.match(
      submitted.join('\n'),
      /^#5 .*job\.submitted {2}by context\/root .*privacy=\{.*secureAggregation: false/,
    );
    assert.equal((await lines('--site', 'west', '--type', 'round.opened')).length, 1);
    assert.equal((await lines('--since', '2026-01-02T00:03', '--until', '2026-01-02T00:04')).length, 2);
    assert.equal((await lines()).length, audit.ledger.bytes.length);
  });

  it('refuses types that there are not, and times that it could not compare', async () => {
    await assert.rejects(run('show', '--type', 'job.submited'), { code: 'USAGE' });
    await assert.rejects(run('export', '--file', at('typo'), '--redact', 'update.acepted'), {
      code: 'USAGE',
    });
    for (const time of [
      'yesterday',
      '2026-1-5',
      '2026-02-30',
      '2026-01-02 00:03',
      '2026-01-02T00:03:00+02:00',
      '',
    ])
      await assert.rejects(run('show', '--since', time), { code: 'USAGE' }, time);
    const { length } = (await run('show', '--until', '2026-01-02T00:03')).terminal.results;
    for (const same of ['2026-01-02T00:03Z', '2026-01-02T00:03:59.999Z'])
      assert.equal((await run('show', '--until', same)).terminal.results.length, length, same);
  });

  it('shows how a version of a model came to be', async () => {
    const { terminal } = await run('show', '--model', 'loans@1');
    const text = terminal.results.join('\n');
    for (const step of [
      /#5 {2}job loans/,
      /"secureAggregation":false/,
      /#6 {2}Approved by east/,
      /#7 {2}Rejected by west/,
      /#9 {2}round 1\.1 .* of east, north, west/,
      /#10 {2}update of east/,
      /#12 {2}committed with east, north, without west/,
      /#14 {2}registered/,
      /#15 {2}rollout\.applied/,
    ])
      assert.match(text, step);
    await assert.rejects(run('show', '--model', 'loans@2'), { code: 'NOT_FOUND' });
    await assert.rejects(run('show', '--model', 'loans'), { code: 'USAGE' });
  });

  it('says by which key what it shows is signed, and whose word that is', async () => {
    const file = await exported('all');
    const note = async (...words: readonly string[]): Promise<string> =>
      (await run('show', '--since', '2999', ...words)).terminal.notes.join('\n');
    assert.match(
      await note('--file', file),
      new RegExp(`log ${logIdOf(LOG.publicKey)}, .*nobody vouches for`),
    );
    assert.match(await note(), /nobody vouches for/);
    assert.match(await note('--file', file, '--log-key', KEY), /the key that --log-key gave/);
    await run('verify', '--save-head', at('head'));
    assert.match(await note('--file', file, '--head', at('head')), /that of the head that --head gave/);
    const stranger = encodeBase64(keyOf('somebody else').publicKey);
    await assert.rejects(note('--file', file, '--log-key', stranger), { code: 'SIGNATURE_INVALID' });
  });
});
