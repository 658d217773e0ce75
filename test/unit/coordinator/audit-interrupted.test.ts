import assert from 'node:assert/strict';
import { open, readFile, stat } from 'node:fs/promises';

import type { TributaryError } from '@tributary/proto';
import { auditFile } from '@tributary/coordinator/internal/cli/audit/export-file.js';

import { auditCommands } from '../../support/audit-commands.js';
import { decided, LOG } from '../../support/audited-ledger.js';
import { CliSession } from '../../support/cli-session.js';

/** What writes of a file: the prototype of handles, of which a test bounds the room. */
interface Writer {
  write: (this: unknown, bytes: Uint8Array, offset: number, length: number) => Promise<unknown>;
}

describe('tributary audit export, interrupted', function () {
  this.timeout(60_000);
  const audit = auditCommands({ site: 'east', size: 7 }, { site: 'north', size: 12 });
  const { at, exported } = audit;

  it('goes on where an export was interrupted, under the head of its beginning', async () => {
    const whole = await readFile(await exported('whole'), 'utf8');
    for (const [words, reads] of [
      [[], 9],
      [['--job', 'loans'], 18],
    ] as const) {
      const name = `cut-${String(reads)}`;
      const cut = new CliSession(audit.ledger.answers({ failAfter: reads }));
      await assert.rejects(cut.run('audit', 'export', '--file', at(name), ...words));
      await assert.rejects(stat(at(name)));
      await audit.ledger.add(decided('north', 'job.approved'));
      const again = new CliSession(audit.ledger.answers());
      await assert.rejects(again.run('audit', 'export', '--file', at(name), '--to', '3'), {
        code: 'CONFLICT',
      });
      await again.run('audit', 'export', '--file', at(name), ...words);
      const entries = again.calls.filter(({ method }) => method === 'GetEntries');
      assert.equal(entries.at(-1)?.request['start'], words.length === 0 ? String(reads) : '0');
      if (words.length === 0) assert.equal(await readFile(at(name), 'utf8'), whole);
      await auditFile(at(name), { logKey: LOG.publicKey });
      await assert.rejects(again.run('audit', 'export', '--file', at(name)), { code: 'ALREADY_EXISTS' });
    }
  });

  it('leaves whole lines and says so where the disk is full, and goes on when there is room', async () => {
    const whole = await readFile(await exported('whole'), 'utf8');
    const probe = await open(at('probe'), 'w');
    const handle = Object.getPrototypeOf(probe) as Writer;
    await probe.close();
    const { write } = handle;
    let room = 5_000;
    const short: Writer['write'] = async function (bytes, offset, length) {
      if (room === 0) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
      const fits = Math.min(room, length);
      room -= fits;
      return write.call(this, bytes, offset, fits);
    };
    try {
      Object.assign(handle, { write: short });
      const full = await new CliSession(audit.ledger.answers())
        .run('audit', 'export', '--file', at('full'))
        .catch((error: unknown) => error);
      assert.deepEqual([(full as TributaryError).code, room], ['STORE_FULL', 0]);
    } finally {
      Object.assign(handle, { write });
    }
    await assert.rejects(stat(at('full')));
    const left = await readFile(at('full.part'), 'utf8');
    assert.ok(left === '' || left.endsWith('\n'), left.slice(-50));
    await exported('full');
    assert.equal(await readFile(at('full'), 'utf8'), whole);
    await assert.rejects(stat(at('full.part')));
  });
});
