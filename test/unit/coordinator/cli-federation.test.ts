import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import {
  identityStatement,
  parseRoot,
  parseRoster,
  parseSitePolicy,
  rootDigest,
  TributaryError,
  verifyRoster,
  verifyRotation,
  type JsonValue,
} from '@tributary/proto';
import { parse } from 'yaml';

import { CliSession } from '../../support/cli-session.js';
import { policyDocument } from '../../support/job-document.js';
import { keyOf, memberOf, publicKeyOf } from '../../support/roster.js';
import { temporaryDirectory, type TemporaryDirectory } from '../../support/temporary-directory.js';

const NOW = Date.parse('2026-01-01T00:00:00.000Z');

describe('tributary federation', function () {
  this.timeout(20_000);
  let folder: TemporaryDirectory;
  const at = (name: string): string => join(folder.path, name);
  const json = async (name: string): Promise<JsonValue> =>
    JSON.parse(await readFile(at(name), 'utf8')) as JsonValue;

  beforeEach(async () => {
    folder = await temporaryDirectory();
  });
  afterEach(() => folder.remove());

  async function run(...words: readonly string[]): Promise<CliSession> {
    const session = new CliSession();
    await session.run('federation', ...words);
    return session;
  }
  const roster = (...words: readonly string[]) => run('roster', ...words, '-f', at('roster.json'));
  async function identity(site: string): Promise<string> {
    const { agentId } = memberOf(site);
    const statement = identityStatement({ site, agentId, logId: 'ab'.repeat(32) }, keyOf(`agent of ${site}`));
    await writeFile(at(`${site}.identity`), JSON.stringify(statement));
    return at(`${site}.identity`);
  }
  const code =
    (expected: string, message = /./) =>
    (error: unknown) =>
      error instanceof TributaryError && error.code === expected && message.test(error.message);

  it('init makes a key that only its owner can read, and the text that a policy pins', async () => {
    const session = await run('init', '--name', 'hearts', '--out', folder.path);
    assert.equal((await stat(at('root.key'))).mode & 0o777, 0o600);
    const root = parseRoot(await json('root.json'));
    const document = policyDocument();
    const pinned = parse(session.terminal.results.join('\n')) as object;
    const { federation } = parseSitePolicy({ ...document, spec: { ...document.spec, ...pinned } }).spec;
    assert.deepEqual({ ...federation?.root, formatVersion: 1 }, { ...root });
    await assert.rejects(run('init', '--name', 'other', '--out', folder.path), code('ALREADY_EXISTS'));
  });

  it('seals the key with a passphrase, which signing then asks for', async () => {
    await writeFile(at('phrase'), 'correct horse\n');
    await writeFile(at('wrong'), 'correct horse battery\n');
    await run('init', '--name', 'hearts', '--out', folder.path, '--key-passphrase-file', at('phrase'));
    assert.doesNotMatch(await readFile(at('root.key'), 'utf8'), /seed/);
    await roster('init');
    const sign = (...more: readonly string[]) => roster('sign', '--key', at('root.key'), ...more);
    await assert.rejects(sign(), code('CONFIG_INVALID', /sealed with a passphrase/));
    await assert.rejects(sign('--key-passphrase-file', at('wrong')), code('SEAL_BROKEN'));
    await sign('--key-passphrase-file', at('phrase'));
    assert.match((await roster('verify')).terminal.results.join(), /version 1 of hearts is signed/);
  });

  it('a root of two of three is signed by one after another', async () => {
    for (const name of ['ada', 'bo', 'cy', 'dee']) await run('key', name, '--out', folder.path);
    const keys = ['ada', 'bo', 'cy'].map((name) => at(`${name}.pub`)).join(',');
    await run('init', '--name', 'hearts', '--out', folder.path, '--threshold', '2', '--keys', keys);
    await assert.rejects(stat(at('root.key')), 'a root of others has no key of its own');
    await roster('init');
    await roster('add', await identity('west'));
    await assert.rejects(roster('sign', '--key', at('dee.key')), code('SIGNATURE_INVALID', /dee/));
    await roster('sign', '--key', at('ada.key'));
    await roster('sign', '--key', at('ada.key'));
    await assert.rejects(roster('verify'), code('ROSTER_INVALID', /1 of the 2/));
    await roster('sign', '--key', at('cy.key'));
    await roster('verify');
  });

  it('changes an unsigned roster in place, and a signed one into the next version without signatures', async () => {
    await run('init', '--name', 'hearts', '--out', folder.path);
    await roster('init', '--days', '30');
    await roster('add', await identity('west'), await identity('east'));
    const session = new CliSession();
    session.contexts = {
      ...session.contexts,
      authors: [{ name: 'analyst', seed: Buffer.alloc(32, 1).toString('base64') }],
    };
    await session.run('federation', 'roster', 'author', 'analyst', '-f', at('roster.json'));
    await roster('author', 'other', publicKeyOf('other'));
    const before = parseRoster(await json('roster.json')).roster;
    assert.equal(before.version, 1);
    assert.deepEqual(before.members, [memberOf('east'), memberOf('west')]);
    assert.deepEqual(
      before.authors.map(({ name }) => name),
      ['analyst', 'other'],
    );
    assert.equal(before.expires, '2026-01-31T00:00:00.000Z');
    await roster('sign', '--key', at('root.key'));
    await roster('remove', 'east');
    await roster('author', 'other', '--remove');
    const after = parseRoster(await json('roster.json'));
    assert.deepEqual([after.roster.version, after.signatures], [2, []]);
    assert.deepEqual(after.roster.members, [memberOf('west')]);
    assert.equal(after.roster.authors.length, 1);
    await assert.rejects(roster('remove', 'east'), code('NOT_FOUND'));
    await assert.rejects(roster('author', 'unknown'), code('USAGE'));
  });

  it('adds nobody whose identity was altered, and says what to compare', async () => {
    await run('init', '--name', 'hearts', '--out', folder.path);
    await roster('init');
    const path = await identity('west');
    const notes = (await roster('add', path)).terminal.notes.join('\n');
    assert.match(notes, /compare with the site.*sha256:/);
    await writeFile(path, (await readFile(path, 'utf8')).replace('"west"', '"east"'));
    await assert.rejects(roster('add', path), code('SIGNATURE_INVALID', /west\.identity/));
  });

  it('publishes only what sites would accept', async () => {
    await run('init', '--name', 'hearts', '--out', folder.path);
    await roster('init');
    await roster('add', await identity('west'));
    const session = new CliSession({
      PublishRoster: (request) => {
        const root = parseRoot(JSON.parse(String(request['root'])) as JsonValue);
        const { version } = verifyRoster(root, request['roster'] as Buffer, NOW);
        return { version: String(version), digest: '', absent: ['west'] };
      },
    });
    const publish = ['federation', 'roster', 'publish', '-f', at('roster.json')];
    await assert.rejects(session.run(...publish), code('ROSTER_INVALID', /0 of the 1/));
    assert.equal(session.calls.length, 0);
    await roster('sign', '--key', at('root.key'));
    await session.run(...publish);
    assert.deepEqual(session.terminal.results, ['roster version 1 published']);
    assert.match(session.terminal.notes.join(), /Not joined here.*west/);
  });

  it('hands over from one root to the next', async () => {
    await run('init', '--name', 'hearts', '--out', at('old'));
    await run('init', '--name', 'hearts', '--out', at('new'));
    const rotate = [
      'rotate',
      '--from',
      at('old/root.json'),
      '--to',
      at('new/root.json'),
      '-f',
      at('rotation.json'),
    ];
    await assert.rejects(run(...rotate, '--key', at('new/root.key')), code('SIGNATURE_INVALID'));
    await run(...rotate, '--key', at('old/root.key'));
    const session = new CliSession({ PublishRoster: () => ({ version: '2', digest: '', absent: [] }) });
    await run('roster', 'init', '-f', at('roster.json'), '--root', at('old/root.json'));
    await run(
      'roster',
      'sign',
      '-f',
      at('roster.json'),
      '--root',
      at('old/root.json'),
      '--key',
      at('old/root.key'),
    );
    await run('roster', 'renew', '-f', at('roster.json'), '--root', at('new/root.json'));
    await run(
      'roster',
      'sign',
      '-f',
      at('roster.json'),
      '--root',
      at('new/root.json'),
      '--key',
      at('new/root.key'),
    );
    await session.run(
      ...['federation', 'roster', 'publish', '-f', at('roster.json')],
      ...['--root', at('new/root.json'), '--rotation', at('rotation.json')],
    );
    const [old, fresh] = [parseRoot(await json('old/root.json')), parseRoot(await json('new/root.json'))];
    const sent = session.calls[0]?.request['rotation'] as Buffer;
    assert.equal(rootDigest(verifyRotation(old, sent)), rootDigest(fresh));
    assert.equal(parseRoster(await json('roster.json')).roster.version, 2);
  });
});
