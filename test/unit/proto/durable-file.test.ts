import assert from 'node:assert/strict';
import { open, readdir, readFile, stat, writeFile, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

import { TributaryError } from '@tributary/proto';
import {
  diskError,
  isTemporaryName,
  makeDirectory,
  saidDiskError,
  temporaryName,
  writeDurably,
} from '@tributary/proto/node';

import { temporaryDirectory, type TemporaryDirectory } from '../../support/temporary-directory.js';

const failed = (message: string, code?: string): Error => Object.assign(new Error(message), { code });

/** What is synced while `work` runs: D for a directory, F for a file. */
async function syncs(folder: string, work: () => Promise<unknown>): Promise<string> {
  const probe = await open(folder, 'r');
  const handles = Object.getPrototypeOf(probe) as FileHandle;
  await probe.close();
  const { sync } = handles as { readonly sync: (this: FileHandle) => Promise<void> };
  let synced = '';
  handles.sync = async function (this: FileHandle): Promise<void> {
    synced += (await this.stat()).isDirectory() ? 'D' : 'F';
    await sync.call(this);
  };
  try {
    await work();
  } finally {
    handles.sync = sync;
  }
  return synced;
}

describe('a durable file', () => {
  let folder: TemporaryDirectory;
  let path: string;

  beforeEach(async () => {
    folder = await temporaryDirectory();
    path = join(folder.path, 'state');
  });
  afterEach(() => folder.remove());

  it('is synced before it takes the place of the one before, and its name after', async () => {
    await writeFile(path, 'before');
    const synced = await syncs(folder.path, () =>
      writeDurably(path, [Buffer.from('af'), Buffer.from('ter')]),
    );
    assert.equal(synced, 'FD');
    assert.equal(await readFile(path, 'utf8'), 'after');
    assert.equal((await stat(path)).mode & 0o777, 0o600);
  });

  it('stays as it was where its content fails, and leaves nothing beside it', async () => {
    await writeFile(path, 'before');
    const broken = function* (): Generator<Uint8Array> {
      yield Buffer.from('half');
      throw new TributaryError('PROOF_INVALID', 'not what was promised');
    };
    await assert.rejects(writeDurably(path, broken()), { code: 'PROOF_INVALID' });
    assert.equal(await readFile(path, 'utf8'), 'before');
    assert.deepEqual(await readdir(folder.path), ['state']);
  });

  it('names the path and the cause where it cannot be written', async () => {
    const nowhere = join(folder.path, 'none', 'state');
    await assert.rejects(writeDurably(nowhere, []), {
      code: 'CONFIG_INVALID',
      message: /none.state: does not/,
    });
    await writeFile(join(folder.path, 'file'), '');
    await assert.rejects(makeDirectory(join(folder.path, 'file', 'below')), { code: 'CONFIG_INVALID' });
  });

  it('is written under a name that a sweep knows, however long its own is', async () => {
    for (const name of ['state', 'x'.repeat(255), 'ü b.json']) {
      const scratch = temporaryName(name);
      assert.ok(isTemporaryName(scratch), scratch);
      assert.ok(Buffer.byteLength(scratch) < 255);
      assert.notEqual(scratch, temporaryName(name));
    }
    assert.ok(isTemporaryName('.k.sealed.0123456789abcdef.tmp'), 'of an older coordinator');
    assert.ok(isTemporaryName('0123456789ab.part'), 'of an older agent');
    for (const name of ['state', 'seal.key', '.hidden', 'a.tmp']) assert.ok(!isTemporaryName(name), name);
    await writeDurably(join(folder.path, 'x'.repeat(255)), []);
  });

  it('makes the names of all new directories above it durable', async () => {
    assert.equal(await syncs(folder.path, () => makeDirectory(join(folder.path, 'a', 'b', 'c'))), 'DDD');
    assert.equal(await syncs(folder.path, () => makeDirectory(join(folder.path, 'a', 'b', 'c'))), '');
    assert.equal((await stat(join(folder.path, 'a', 'b'))).mode & 0o777, 0o700);
  });
});

describe('a fault of the disk', () => {
  it('has the code of what somebody can do about it', () => {
    const codes = {
      ...{ ENOSPC: 'STORE_FULL', EDQUOT: 'STORE_FULL', EIO: 'STORE_CORRUPT', ENOENT: 'CONFIG_INVALID' },
      ...{ EACCES: 'CONFIG_INVALID', EPERM: 'CONFIG_INVALID', EROFS: 'CONFIG_INVALID' },
      ...{ ENOTDIR: 'CONFIG_INVALID', EISDIR: 'CONFIG_INVALID', EEXIST: 'CONFIG_INVALID' },
      ...{ EMFILE: 'INTERNAL', EBUSY: 'INTERNAL' },
    };
    for (const [code, expected] of Object.entries(codes))
      assert.equal(diskError(failed(code, code), 'here').code, expected, code);
    assert.equal(diskError(failed('', 'ENOENT'), 'here', 'NOT_FOUND').code, 'NOT_FOUND');
    assert.equal(diskError('anything', 'here').code, 'INTERNAL');
    const known = new TributaryError('SEAL_BROKEN', 'another key');
    assert.equal(diskError(known, 'here'), known);
  });

  it('is known by its words where there is no code', () => {
    const words = {
      'IO error: 000005.log: No space left on device': 'STORE_FULL',
      'IO error: 000005.log: Disk quota exceeded': 'STORE_FULL',
      'IO error: LOCK: Permission denied': 'CONFIG_INVALID',
      'IO error: 000005.log: Read-only file system': 'CONFIG_INVALID',
      'IO error: 000005.ldb: Input/output error': 'STORE_CORRUPT',
    };
    for (const [message, expected] of Object.entries(words))
      assert.equal(saidDiskError(failed(message), 'here')?.code, expected, message);
    assert.equal(saidDiskError(failed('Too many open files'), 'here'), undefined);
  });
});
