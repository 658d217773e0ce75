import assert from 'node:assert/strict';
import { chmod, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import {
  contextFilePath,
  EMPTY_CONTEXT_FILE,
  findContext,
  parseContextFile,
  readContextFile,
  readContextKey,
  withAuthor,
  withContext,
  writeContextFile,
  type Context,
} from '@tributary/coordinator/internal/cli/context-file.js';

import { temporaryDirectory, type TemporaryDirectory } from '../../support/temporary-directory.js';

const remote: Context = {
  name: 'bank',
  server: 'hub.example:7445',
  ca: 'CA',
  certificate: 'CERT',
  key: 'KEY',
};
const author = { name: 'admin', seed: Buffer.alloc(32, 1).toString('base64') };

describe('file of contexts', () => {
  let directory: TemporaryDirectory;
  let path: string;

  beforeEach(async () => {
    directory = await temporaryDirectory();
    path = join(directory.path, 'deep', 'config.yaml');
  });
  afterEach(() => directory.remove());

  it('comes back as it was written, readable by its owner only', async () => {
    const file = withAuthor(withContext(EMPTY_CONTEXT_FILE, remote), author);
    await writeContextFile(path, file);
    assert.deepEqual(await readContextFile(path), file);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
  });

  it('is empty where there is none', async () => {
    assert.deepEqual(await readContextFile(path), EMPTY_CONTEXT_FILE);
  });

  it('is refused where others may read its keys', async () => {
    await writeContextFile(path, withContext(EMPTY_CONTEXT_FILE, remote));
    await chmod(path, 0o644);
    await assert.rejects(readContextFile(path), { code: 'CONFIG_INVALID', hint: `chmod 600 ${path}` });
  });

  it('names what is wrong without repeating the content', () => {
    assert.throws(() => parseContextFile('formatVersion: 2', 'f'), { code: 'FORMAT_UNSUPPORTED' });
    assert.throws(() => parseContextFile('contexts: [', 'f'), { code: 'CONFIG_INVALID' });
    assert.throws(
      () => parseContextFile('formatVersion: 1\ncurrentContext: a\ncontexts: []\nauthors: []\nextra: 1', 'f'),
      /extra/,
    );
    const secret =
      'formatVersion: 1\ncurrentContext: a\ncontexts: [{name: a, server: "h:1", key: TOPSECRET}]\nauthors: []';
    assert.throws(
      () => parseContextFile(secret, 'f'),
      (error: Error) => /certificate/.test(error.message) && !error.message.includes('TOPSECRET'),
    );
  });

  it('lets a Unix socket do without certificates', () => {
    const text =
      'formatVersion: 1\ncurrentContext: a\ncontexts: [{name: a, server: "unix:/run/admin.sock"}]\nauthors: []';
    assert.equal(findContext(parseContextFile(text, 'f'), undefined).server, 'unix:/run/admin.sock');
  });

  it('replaces a context of the same name and makes it current', () => {
    const moved = { ...remote, server: 'other:1' };
    const file = withContext(withContext(EMPTY_CONTEXT_FILE, remote), moved);
    assert.deepEqual(file.contexts, [moved]);
    assert.equal(file.currentContext, 'bank');
  });

  it('keeps one key per author', () => {
    const file = withAuthor(EMPTY_CONTEXT_FILE, author);
    assert.equal(withAuthor(file, author), file);
    const other = { ...author, seed: Buffer.alloc(32, 2).toString('base64') };
    assert.throws(() => withAuthor(file, other), { code: 'ALREADY_EXISTS' });
  });

  it('says which contexts exist', () => {
    const file = withContext(EMPTY_CONTEXT_FILE, remote);
    assert.throws(
      () => findContext(file, 'nowhere'),
      (error: { hint?: string }) => error.hint?.includes('bank') === true,
    );
    assert.throws(() => findContext(EMPTY_CONTEXT_FILE, undefined), { code: 'CONFIG_INVALID' });
  });

  it('reads a key from its own file, relative to the file of contexts', async () => {
    await writeFile(join(directory.path, 'admin.key'), 'PEM');
    const entry: Context = {
      name: 'bank',
      server: 'h:1',
      ca: 'CA',
      certificate: 'CERT',
      keyFile: 'admin.key',
    };
    assert.equal(await readContextKey(entry, join(directory.path, 'config.yaml')), 'PEM');
    await assert.rejects(
      readContextKey({ ...entry, keyFile: 'none.key' }, join(directory.path, 'config.yaml')),
      { code: 'CONFIG_INVALID' },
    );
  });

  it('lies in the home directory unless a path is given', () => {
    assert.equal(contextFilePath(undefined, '/home/a'), '/home/a/.tributary/config.yaml');
    assert.equal(contextFilePath('', '/home/a'), '/home/a/.tributary/config.yaml');
    assert.equal(contextFilePath('/etc/c.yaml', '/home/a'), '/etc/c.yaml');
  });
});
