import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { ERROR_TABLE } from '@tributary/proto';
import { AdminConnection } from '@tributary/coordinator/internal/cli/admin-connection.js';
import { findContext, readContextFile } from '@tributary/coordinator/internal/cli/context-file.js';

import { CliSession } from '../support/cli-session.js';
import { flipUnderReader, uncompressed } from '../support/damage.js';
import { BINARIES, runCommand } from '../support/daemon.js';
import { LocalFederation, requireSuccess } from '../support/federation.js';
import { pointsJob, pointsOf } from '../support/points.js';
import { verifyWithPython, withoutPython } from '../support/python-verifier.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';

const SITES = ['east', 'north'];
/** Milliseconds for heartbeats and connections on a machine that does much else. */
const PATIENCE_MS = 60_000;
const why = withoutPython();
const both = why === undefined ? 'both verifiers' : `one verifier (${why})`;

interface Report {
  readonly whole: boolean;
  readonly redacted: number;
  readonly signatures: number;
  readonly unchecked: number;
  readonly head: { readonly treeSize: number };
  readonly witnesses: readonly { readonly site: string; readonly treeSize: number }[];
}

/** A coordinator and two agents as processes, and an auditor who has commands, files and public keys. */
describe('the audit trail of a federation', function () {
  this.timeout(300_000);
  let folder: TemporaryDirectory;
  let federation: LocalFederation;
  let connection: AdminConnection | undefined;
  /** What the auditor was told by a site. */
  let logId: string;
  const at = (name: string): string => join(folder.path, name);

  before(async () => {
    folder = await temporaryDirectory();
    federation = await LocalFederation.start(join(folder.path, 'federation'));
    await connect();
    await command('federation', 'init', '--name', 'hearts', '--out', at('one'));
    const csv = pointsOf(1, 60).csv;
    await Promise.all(SITES.map((name) => federation.joinSite({ name, csv, dataset: 'points' })));
    for (const name of SITES) await command('approve', name);
    await roster('one', 'init');
    await roster('one', 'add', ...(await Promise.all(SITES.map((name) => agent(name, 'identity')))));
    await publish('one');
    for (const name of SITES) federation.startAgent(name);
    await federation.apply(pointsJob('points', { rounds: 1, minSites: 2 }));
    await command('wait', '--for=condition=Complete', 'fj/points', '--timeout', '90s');
  });
  after(async function () {
    connection?.close();
    await federation.stop();
    if (this.test?.parent?.tests.some((test) => test.isFailed()) === true)
      console.log(`logs are in ${federation.folder}`);
    else await folder.remove();
  });

  async function connect(): Promise<void> {
    connection?.close();
    const contexts = await readContextFile(federation.contextFile);
    connection = await AdminConnection.open(findContext(contexts, undefined), federation.contextFile);
  }
  /** What a command prints, with the coordinator at hand or without. */
  async function command(...words: readonly string[]): Promise<string> {
    const session = new CliSession();
    session.now = Date.now();
    session.connection = connection;
    await session.run(...words);
    return session.terminal.results.join('\n');
  }
  const roster = (root: string, ...words: readonly string[]): Promise<string> =>
    command('federation', 'roster', ...words, '-f', at('roster.json'), '--root', at(`${root}/root.json`));
  async function publish(root: string, ...words: readonly string[]): Promise<void> {
    await roster(root, 'sign', '--key', at(`${root}/root.key`));
    await roster(root, 'publish', ...words);
  }
  /** The file with what a command of a site printed. */
  async function agent(site: string, ...words: readonly string[]): Promise<string> {
    const config = ['--config', join(federation.siteFolder(site), 'agent.yaml')];
    const said = requireSuccess(words.join(' '), await runCommand(BINARIES.agent, [...words, ...config]));
    const file = at(`${site} ${words.join(' ')}`);
    await writeFile(file, said.stdout);
    return file;
  }
  async function exported(name: string, ...words: readonly string[]): Promise<string> {
    await command('audit', 'export', '--file', at(name), ...words);
    return at(name);
  }
  const report = async (...words: readonly string[]): Promise<Report> =>
    JSON.parse(await command('audit', 'verify', '-o', 'json', ...words)) as Report;
  /** Of a file, by both verifiers, with public keys alone. */
  async function verified(file: string, ...words: readonly string[]): Promise<Report> {
    const said = await report('--file', file, '--log-key', logId, ...words);
    if (why === undefined) {
      const { exit, signatures, what } = verifyWithPython(file, '--log-key', logId, ...words);
      assert.deepEqual([exit, signatures], [0, said.signatures], what);
    }
    return said;
  }
  /** The newest head, once every site has signed that it saw it. */
  const seenByBoth = (...words: readonly string[]): Promise<Report> =>
    eventually(
      'both sites to have seen the newest head',
      async () => {
        const said = await report(...words);
        const seen = said.witnesses.filter(({ treeSize }) => treeSize === said.head.treeSize);
        return seen.length === SITES.length ? said : undefined;
      },
      PATIENCE_MS,
    );

  it(`is verified from afar and from a file, with a root and a head of a site, by ${both}`, async () => {
    const head = await agent('east', 'log', 'head');
    logId = (JSON.parse(await readFile(head, 'utf8')) as { logId: string }).logId;
    const keys = ['--log-key', logId, '--root', at('one/root.json'), '--head', head];
    const process = await federation.cli('audit', 'verify', ...keys);
    assert.match(requireSuccess('verify', process).stdout, /in order\n.*\nentries +all/);
    const { unchecked } = await seenByBoth(...keys, '--save-head', at('kept'));
    assert.equal(unchecked, 0);
    const whole = await exported('whole');
    const said = await verified(whole, '--root', at('one/root.json'), '--witnesses', '2');
    // The author's, the model's and the roster's.
    assert.deepEqual([said.whole, said.unchecked, said.signatures, said.redacted], [true, 0, 3, 0]);
    const part = await exported('part', '--job', 'points', '--redact', 'update.accepted');
    const { whole: all, redacted } = await verified(part, '--root', at('one/root.json'));
    assert.ok(!all && redacted >= SITES.length, String(redacted));
    assert.match(
      await command('audit', 'show', '--file', whole, '--model', 'points@1'),
      /round 1\.0 .*of east, north/,
    );
    assert.match(await command('audit', 'show', '--type', 'model.registered'), /model\.registered/);
    const other = ['audit', 'verify', '--file', whole, '--log-key', 'f'.repeat(64)];
    const nowhere = await runCommand(BINARIES.tributary, other, { TRIBUTARY_CONFIG: at('nothing') });
    assert.equal(nowhere.code, ERROR_TABLE.SIGNATURE_INVALID.exit, nowhere.stderr);
  });

  it(`is verified after the root has handed over, from either root, by ${both}`, async () => {
    await command('federation', 'init', '--name', 'hearts', '--out', at('two'));
    const [from, to] = [at('one/root.json'), at('two/root.json')];
    const rotation = ['--from', from, '--to', to, '--key', at('one/root.key'), '-f', at('rotation')];
    await command('federation', 'rotate', ...rotation);
    await roster('two', 'renew');
    await publish('two', '--rotation', at('rotation'));
    await seenByBoth('--root', to, '--head', at('kept'));
    const file = await exported('handed-over');
    for (const [root, signatures] of [
      [from, 5],
      [to, 3],
    ] as const) {
      const said = await verified(file, '--root', root, '--head', at('kept'), '--witnesses', '2');
      assert.equal(said.signatures, signatures);
    }
  });

  it(`is found to be shorter, then another one, where it was restored: by sites, and by ${both}`, async () => {
    await federation.backup(at('backup'));
    const size = (await report()).head.treeSize;
    await federation.fillLedger(size + 1);
    await seenByBoth('--save-head', at('newest'));
    await federation.coordinator.stop();
    await federation.restore(at('backup'));
    await connect();
    await assert.rejects(report('--head', at('newest')), { code: 'LEDGER_SHORTENED' });
    await federation.fillLedger((await report()).head.treeSize + 51);
    await assert.rejects(report('--head', at('newest')), { code: 'LEDGER_FORKED' });
    const forked = await exported('forked');
    const told = ['--head', at('newest')];
    await assert.rejects(verified(forked, ...told), { code: 'LEDGER_FORKED' });
    if (why === undefined) assert.equal(verifyWithPython(forked, ...told).code, 'LEDGER_FORKED');
    const [alarm] = await eventually(
      'the site to raise an alarm',
      async () => {
        const forks = await readFile(await agent('east', 'log', 'forks', '-o', 'json'), 'utf8');
        const { alarms } = JSON.parse(forks) as { readonly alarms: readonly { readonly kept: string }[] };
        return alarms.length > 0 ? alarms : undefined;
      },
      PATIENCE_MS,
    );
    await writeFile(at('evidence'), `${alarm?.kept ?? ''}\n`);
    await assert.rejects(report('--file', forked, '--head', at('evidence')), { code: 'LEDGER_FORKED' });
    for (const site of SITES)
      await eventually(
        `${site} to settle`,
        () => agent(site, 'log', 'resolve', '--accept').catch(() => undefined),
        PATIENCE_MS,
      );
    await seenByBoth();
  });

  it('names the entry that somebody changed under a coordinator that serves, and is refused at its start', async () => {
    await federation.coordinator.stop();
    const bytes = await uncompressed(join(federation.data, 'ledger'), 'e/0000000000000003');
    await federation.serve();
    await connect();
    assert.equal((await report()).whole, true);
    await flipUnderReader(join(federation.data, 'ledger'), bytes);
    const named = { code: 'STORE_CORRUPT', message: /entry 3/ } as const;
    await assert.rejects(report(), named);
    await assert.rejects(exported('tampered'), named);
    await federation.coordinator.stop();
    const daemon = await federation.spawnCoordinator();
    const { code } = await daemon.exited;
    assert.equal(code, ERROR_TABLE.STORE_CORRUPT.exit);
    assert.match(await daemon.log(), /STORE_CORRUPT: ledger entry 3 does not match its hash in the tree/);
  });
});
