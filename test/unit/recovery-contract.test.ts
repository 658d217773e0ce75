import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { KINDS } from '../chaos/kinds/registry.js';
import { clausesOf, problemsOf } from '../support/contract-page.js';
import { repositoryRoot } from '../support/daemon.js';

describe('the recovery contract (coordinator/RECOVERY.md)', () => {
  it('names a test for every sentence, and every test is there', async () => {
    const clauses = clausesOf(await readFile(join(repositoryRoot, 'coordinator/RECOVERY.md'), 'utf8'));
    assert.ok(clauses.length >= 25, `${String(clauses.length)} sentences`);
    assert.deepEqual(await problemsOf(clauses, repositoryRoot), []);
  });

  it('names every kind of fault that is played, as it is called', async () => {
    const clauses = clausesOf(await readFile(join(repositoryRoot, 'coordinator/RECOVERY.md'), 'utf8'));
    const named = clauses.flatMap(({ tests }) =>
      tests.filter(({ file }) => file === 'test/chaos/chaos.test.ts'),
    );
    assert.deepEqual(
      named.map(({ title }) => title),
      KINDS.map(({ about }) => `holds in one case of: ${about}`),
    );
  });

  it('would not pass with a sentence without a test or with one twice, or a test that is not there', async () => {
    const page = [
      '- **Nothing is lost.** It is so.',
      '- **Nothing is doubled.**',
      '  - `test/unit/recovery-contract.test.ts`: names a test for every sentence, and every test is there',
      '  - `test/unit/recovery-contract.test.ts`: names a test for every sentence, and every test is there',
      '  - `test/unit/recovery-contract.test.ts`: names a test',
      '  - `test/unit/none.test.ts`: names a test',
      '  - `test/support/daemon.ts`: names a test',
    ].join('\n');
    assert.deepEqual(await problemsOf(clausesOf(page), repositoryRoot), [
      'no test: Nothing is lost.** It is so.',
      'twice: test/unit/recovery-contract.test.ts: names a test for every sentence, and every test is there',
      'no test in test/unit/recovery-contract.test.ts: names a test',
      'no file test/unit/none.test.ts',
      'nobody runs test/support/daemon.ts',
      'no test in test/support/daemon.ts: names a test',
    ]);
  });
});
