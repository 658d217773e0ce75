import assert from 'node:assert/strict';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { ERROR_TABLE } from '@tributary/proto';
import { parse } from 'yaml';

import { BINARIES, runCommand, type Finished } from '../support/daemon.js';
import { LocalFederation } from '../support/federation.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

describe('tributary-coordinator context', function () {
  this.timeout(90_000);
  let directory: TemporaryDirectory;
  let federation: LocalFederation;

  before(async () => {
    directory = await temporaryDirectory();
    federation = await LocalFederation.start(join(directory.path, 'federation'));
  });

  after(async () => {
    await federation.stop();
    await directory.remove();
  });

  const context = (...args: readonly string[]): Promise<Finished> =>
    runCommand(BINARIES.coordinator, ['context', ...args, '--data', federation.data]);
  const tributary = (file: string, ...args: readonly string[]): Promise<Finished> =>
    runCommand(BINARIES.tributary, args, { TRIBUTARY_CONFIG: file });
  const file = (name: string): string => join(directory.path, `${name}.yaml`);

  it('lets an operator in by the running daemon, who then cuts the lost context off', async () => {
    const printed = await context('second', '--context-file', '-');
    assert.equal(printed.code, 0, printed.stderr);
    await writeFile(file('second'), printed.stdout, { mode: 0o600 });
    const { admin } = await federation.addresses();
    assert.equal((parse(printed.stdout) as { contexts: { server: string }[] }).contexts[0]?.server, admin);
    assert.equal((await tributary(file('second'), 'context', 'revoke', 'admin')).code, 0);
    const cut = await tributary(federation.contextFile, 'get', 'sites');
    assert.equal(cut.code, ERROR_TABLE.UNAUTHENTICATED.exit, cut.stderr);
    assert.match(cut.stderr, /revoked/);
  });

  it('makes one in the directory of a daemon that is down, and the daemon then knows it', async () => {
    await federation.coordinator.stop();
    const made = await context('third', '--role', 'viewer', '--context-file', file('third'));
    assert.equal(made.code, 0, made.stderr);
    assert.equal((await stat(file('third'))).mode & 0o077, 0);
    await federation.serve();
    assert.equal((await tributary(file('third'), 'get', 'sites')).code, 0);
    const refused = await tributary(file('third'), 'invite', 'north');
    assert.equal(refused.code, ERROR_TABLE.PERMISSION_DENIED.exit, refused.stderr);
  });

  it('stands in the ledger as an act of the coordinator', async () => {
    const shown = await tributary(file('second'), 'audit', 'show', '--type', 'context.created', '-o', 'json');
    assert.equal(shown.code, 0, shown.stderr);
    const entries = shown.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { readonly actor: string; readonly subject: string });
    for (const name of ['second', 'third'])
      assert.equal(entries.find(({ subject }) => subject === `context/${name}`)?.actor, 'coordinator');
  });

  it('takes no name that is in use, here or there, and touches no file then', async () => {
    const before = await readFile(file('third'), 'utf8');
    const inFile = await context('third', '--context-file', file('third'));
    assert.equal(inFile.code, ERROR_TABLE.ALREADY_EXISTS.exit, inFile.stderr);
    assert.equal(await readFile(file('third'), 'utf8'), before);
    const there = await context('second', '--context-file', file('fourth'));
    assert.equal(there.code, ERROR_TABLE.ALREADY_EXISTS.exit, there.stderr);
    await assert.rejects(stat(file('fourth')));
    const unnamed = await context('no/name', '--context-file', file('fourth'));
    assert.equal(unnamed.code, ERROR_TABLE.INVALID_ARGUMENT.exit, unnamed.stderr);
  });

  it('asks for the sealing key where no daemon runs', async () => {
    await federation.coordinator.stop();
    await rm(join(federation.data, 'seal.key'));
    const { code, stderr } = await context('fifth', '--context-file', file('fifth'));
    assert.notEqual(code, 0);
    assert.match(stderr, /seal/);
    await assert.rejects(stat(file('fifth')));
  });
});
