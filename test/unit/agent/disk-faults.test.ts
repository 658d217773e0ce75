import assert from 'node:assert/strict';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

import { fileError } from '@tributary/edge-agent/internal/adapters/files/file-error.js';
import { LineFile } from '@tributary/edge-agent/internal/adapters/files/line-file.js';
import { UnsyncedMeter } from '@tributary/edge-agent/internal/adapters/files/meter-file.js';
import { levelError } from '@tributary/edge-agent/internal/adapters/store/store-error.js';

import { temporaryDirectory, type TemporaryDirectory } from '../../support/temporary-directory.js';

const failed = (message: string, code: string): Error => Object.assign(new Error(message), { code });

describe('faults of the disk at an agent', () => {
  let folder: TemporaryDirectory;

  beforeEach(async () => {
    folder = await temporaryDirectory();
  });
  afterEach(() => folder.remove());

  it('are damage only where the disk says so', () => {
    const codes = {
      ...{ ENOSPC: 'STORE_FULL', EDQUOT: 'STORE_FULL', ENOENT: 'NOT_FOUND', EIO: 'STORE_CORRUPT' },
      ...{ EACCES: 'CONFIG_INVALID', EROFS: 'CONFIG_INVALID', EEXIST: 'CONFIG_INVALID' },
      ...{ EMFILE: 'INTERNAL', ENFILE: 'INTERNAL', EBUSY: 'INTERNAL' },
    };
    for (const [code, expected] of Object.entries(codes))
      assert.equal(fileError(failed(code, code), 'here').code, expected, code);
    assert.match(fileError(failed('EMFILE: too many open files', 'EMFILE'), 'here').message, /^here: EMFILE/);
    assert.equal(fileError('anything', 'here').code, 'INTERNAL');
  });

  it('are told apart in what LevelDB says in words', () => {
    const words = {
      'IO error: state/000005.log: Read-only file system': 'CONFIG_INVALID',
      'IO error: state/LOCK: Permission denied': 'CONFIG_INVALID',
      'IO error: state/000005.ldb: Input/output error': 'STORE_CORRUPT',
      'IO error: state/000005.ldb: No such file or directory': 'STORE_CORRUPT',
      'IO error: state/000005.log: No space left on device': 'STORE_FULL',
      'IO error: state/000005.log: Too many open files': 'INTERNAL',
    };
    for (const [message, expected] of Object.entries(words)) {
      const inner = failed(message, 'LEVEL_IO_ERROR');
      assert.equal(levelError(inner, 'state').code, expected, message);
      const opened = Object.assign(failed('not open', 'LEVEL_DATABASE_NOT_OPEN'), { cause: inner });
      assert.equal(levelError(opened, 'state').code, expected, `open: ${message}`);
    }
    assert.equal(levelError(failed('bad block', 'LEVEL_CORRUPTION'), 'state').code, 'STORE_CORRUPT');
  });

  it('do not reach whoever counts bytes, even where the count cannot be removed', () => {
    // A folder can neither be written to nor be removed as a file.
    const meter = new UnsyncedMeter(folder.path);
    meter.write(new Uint8Array(8));
    assert.equal(meter.read(), undefined);
    meter.close();
  });

  it('take no line that was synced: its file is in the directory for good', async () => {
    const probe = await open(folder.path, 'r');
    const handles = Object.getPrototypeOf(probe) as FileHandle;
    await probe.close();
    const { sync } = handles as { readonly sync: (this: FileHandle) => Promise<void> };
    const synced: boolean[] = [];
    handles.sync = async function (this: FileHandle): Promise<void> {
      synced.push((await this.stat()).isDirectory());
      await sync.call(this);
    };
    try {
      await LineFile.open(join(folder.path, 'lines'));
    } finally {
      handles.sync = sync;
    }
    assert.deepEqual(synced, [true]);
  });
});
