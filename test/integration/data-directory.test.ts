import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';

import {
  createDataDirectory,
  dataPaths,
  openDataDirectory,
} from '@tributary/coordinator/internal/adapters/data-directory.js';
import { openStores } from '@tributary/coordinator/internal/adapters/stores.js';
import { systemRandom } from '@tributary/coordinator/internal/adapters/system/system-random.js';
import {
  createSealingKey,
  requireSealingKey,
} from '@tributary/coordinator/internal/adapters/vault/sealing-key.js';
import { restore } from '@tributary/coordinator/internal/commands/restore.js';

import { patternBytes } from '../support/bytes.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

const IDENTITY = {
  federationId: 'fed-1',
  name: 'test',
  logId: 'a'.repeat(64),
  names: ['localhost'],
  createdAt: '2026-01-02T03:04:05.678Z',
};

describe('data directory', () => {
  let directory: TemporaryDirectory;
  let root: string;

  beforeEach(async () => {
    directory = await temporaryDirectory();
    root = join(directory.path, 'data');
  });
  afterEach(() => directory.remove());

  const create = (): Promise<void> =>
    createDataDirectory(root, async (paths) => {
      const sealingKey = await createSealingKey(paths.sealKey, systemRandom());
      const stores = await openStores(paths, { sealingKey });
      await stores.vault.put('model', patternBytes(32));
      await stores.close();
      return IDENTITY;
    });

  it('comes to be whole, for its owner alone', async () => {
    await create();
    const { paths, identity } = await openDataDirectory(root);
    assert.deepEqual(identity, { formatVersion: 1, ...IDENTITY });
    assert.ok(!(await readdir(root)).includes('.partial'));
    for (const path of [paths.root, paths.keys, paths.ledger, paths.blobs, paths.spool, paths.run]) {
      assert.equal((await stat(path)).mode & 0o777, 0o700, path);
    }
    for (const path of [paths.identity, paths.sealKey, join(paths.keys, 'model.sealed')]) {
      assert.equal((await stat(path)).mode & 0o777, 0o600, path);
    }
    const stores = await openStores(paths, { sealingKey: await requireSealingKey(paths.sealKey) });
    assert.deepEqual(await stores.vault.get('model'), patternBytes(32));
    await stores.close();
  });

  it('is not made where something is', async () => {
    await create();
    await assert.rejects(create(), { code: 'CONFLICT' });
    const other = join(directory.path, 'other');
    await mkdir(other);
    await writeFile(join(other, 'keys'), 'mine');
    await assert.rejects(
      createDataDirectory(other, () => Promise.resolve(IDENTITY)),
      { code: 'CONFLICT' },
    );
    assert.deepEqual(await readdir(other), ['keys']);
  });

  it('is made in a fresh volume', async () => {
    await mkdir(join(root, 'lost+found'), { recursive: true });
    await create();
    await openDataDirectory(root);
  });

  it('is made anew where an attempt failed or died half way', async () => {
    const failing = createDataDirectory(root, async (paths) => {
      await mkdir(paths.keys);
      throw new Error('killed');
    });
    await assert.rejects(failing, /killed/);
    await assert.rejects(openDataDirectory(root), { code: 'NOT_FOUND' });
    assert.deepEqual(await readdir(root), [], 'what it wrote is gone');
    // As if the process had died between two of the moves that finish a directory.
    const key = patternBytes(32, 1);
    for (const name of ['.partial', 'ledger']) await mkdir(join(root, name));
    for (const name of ['.partial/seal.key', 'seal.key']) await writeFile(join(root, name), key);
    await create();
    const { paths } = await openDataDirectory(root);
    assert.notDeepEqual(await requireSealingKey(paths.sealKey), key);
  });

  it('is not made over a sealing key, which somebody put among the remains of an attempt', async () => {
    await mkdir(join(root, '.partial'), { recursive: true });
    await writeFile(join(root, 'seal.key'), patternBytes(32, 1), { mode: 0o600 });
    for (const other of [undefined, patternBytes(32, 2)]) {
      if (other !== undefined) await writeFile(join(root, '.partial/seal.key'), other);
      await assert.rejects(create(), { code: 'CONFLICT', message: /seal\.key is a sealing key/ });
      assert.deepEqual(await requireSealingKey(join(root, 'seal.key')), patternBytes(32, 1));
    }
  });

  it('is restored with no key that lies in it, and the key stays', async () => {
    await mkdir(join(root, '.partial'), { recursive: true });
    const sealKeyFile = join(root, 'seal.key');
    await writeFile(sealKeyFile, patternBytes(32, 1), { mode: 0o600 });
    const input = Readable.from([]);
    await assert.rejects(restore({ data: root, from: '-', input, sealKeyFile, print: () => undefined }), {
      code: 'CONFIG_INVALID',
      message: /seal\.key lies in/,
    });
    assert.deepEqual(await requireSealingKey(sealKeyFile), patternBytes(32, 1));
  });

  it('is refused where it is none, newer, or damaged', async () => {
    await assert.rejects(openDataDirectory(root), { code: 'NOT_FOUND' });
    await create();
    const { identity } = dataPaths(root);
    const text = await readFile(identity, 'utf8');
    const cases = [
      [text.replace('"formatVersion": 1', '"formatVersion": 2'), 'FORMAT_UNSUPPORTED'],
      [text.replace('"formatVersion": 1,', ''), 'STORE_CORRUPT'],
      [text.replace('fed-1', ''), 'STORE_CORRUPT'],
      [text.slice(0, -5), 'STORE_CORRUPT'],
      ['[]', 'STORE_CORRUPT'],
    ] as const;
    for (const [content, code] of cases) {
      await writeFile(identity, content);
      await assert.rejects(openDataDirectory(root), { code }, content);
    }
  });
});

describe('sealing key file', () => {
  let directory: TemporaryDirectory;
  before(async () => {
    directory = await temporaryDirectory();
  });
  after(() => directory.remove());

  it('holds 32 raw bytes or their base64, with or without a newline', async () => {
    const path = join(directory.path, 'key');
    const key = patternBytes(32);
    const base64 = Buffer.from(key).toString('base64');
    for (const content of [key, base64, `${base64}\n`, ` ${base64}\r\n`]) {
      await writeFile(path, content, { mode: 0o600 });
      assert.deepEqual(await requireSealingKey(path), key);
    }
    for (const content of ['', 'short', key.subarray(1), `${base64}AAAA`, patternBytes(33)]) {
      await writeFile(path, content);
      await assert.rejects(requireSealingKey(path), { code: 'CONFIG_INVALID' });
    }
    await assert.rejects(requireSealingKey(join(directory.path, 'none')), { code: 'CONFIG_INVALID' });
  });

  it('is refused where every user of the machine may read it, not where a group may', async () => {
    const path = join(directory.path, 'open-key');
    await writeFile(path, patternBytes(32), { mode: 0o640 });
    assert.deepEqual(await requireSealingKey(path), patternBytes(32));
    await chmod(path, 0o644);
    await assert.rejects(requireSealingKey(path), { code: 'CONFIG_INVALID', hint: /chmod 600/ });
  });

  it('is drawn once, for its owner alone', async () => {
    const path = join(directory.path, 'new-key');
    const key = await createSealingKey(path, systemRandom());
    assert.deepEqual(await createSealingKey(path, systemRandom()), key);
    assert.deepEqual(await requireSealingKey(path), key);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
  });
});
