import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { FileBlobStore } from '@tributary/coordinator/internal/adapters/blobs/file-blob-store.js';
import { SealedCheckpointStore } from '@tributary/coordinator/internal/adapters/checkpoints/sealed-checkpoint-store.js';
import { FileSpoolStore } from '@tributary/coordinator/internal/adapters/spool/file-spool-store.js';
import { FileKeyVault } from '@tributary/coordinator/internal/adapters/vault/file-key-vault.js';
import { LIMITS, TributaryError } from '@tributary/proto';

import { spoolHeader, uploadId } from '../contract/spool-store.js';
import { collect, collectAll, patternBytes } from '../support/bytes.js';
import { cutTail, flipBit } from '../support/damage.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

const CHUNK = LIMITS.minChunkBytes;
const KEY = patternBytes(32, 3);

describe('damaged files of stores', function () {
  this.timeout(60_000);
  let directory: TemporaryDirectory;

  beforeEach(async () => {
    directory = await temporaryDirectory();
  });
  afterEach(() => directory.remove());

  const only = async (pattern: RegExp): Promise<string> => {
    const name = (await readdir(directory.path, { recursive: true })).find((file) => pattern.test(file));
    assert.ok(name, `no file like ${String(pattern)}`);
    return join(directory.path, name);
  };

  describe('blobs', () => {
    const store = async (content: Uint8Array) => {
      const blobs = await FileBlobStore.open(directory.path);
      const { digest } = await blobs.put([content]);
      return { blobs, digest, path: await only(/^[0-9a-f]{2}\/[0-9a-f]{64}$/) };
    };

    it('withhold the end of altered content and name it', async () => {
      const { blobs, digest, path } = await store(patternBytes(2 * LIMITS.chunkBytes + 9));
      await flipBit(path, 1_000);
      const seen: number[] = [];
      await assert.rejects(
        async () => {
          for await (const chunk of blobs.read(digest)) seen.push(chunk.length);
        },
        { code: 'STORE_CORRUPT', fields: { digest } },
      );
      assert.ok(seen.reduce((sum, length) => sum + length, 0) < 2 * LIMITS.chunkBytes + 9);
    });

    it('notice content that was cut, emptied or prolonged', async () => {
      const { blobs, digest, path } = await store(patternBytes(1_000));
      for (const content of [
        patternBytes(999),
        new Uint8Array(),
        Buffer.concat([patternBytes(1_000), Buffer.of(0)]),
      ]) {
        await writeFile(path, content);
        await assert.rejects(collect(blobs.read(digest)), { code: 'STORE_CORRUPT' });
        assert.equal((await collect(blobs.readStored(digest, 0))).length, content.length);
      }
    });

    it('are mended by putting the content again', async () => {
      const { blobs, digest, path } = await store(patternBytes(1_000));
      await flipBit(path, 5);
      await blobs.put([patternBytes(1_000)]);
      assert.deepEqual(await collect(blobs.read(digest)), patternBytes(1_000));
    });

    it('lose what a crash left unfinished, and nothing else', async () => {
      const { digest } = await store(patternBytes(100));
      await writeFile(join(directory.path, 'incoming/.blob.0011223344556677.tmp'), 'half');
      const again = await FileBlobStore.open(directory.path);
      assert.deepEqual(await readdir(join(directory.path, 'incoming')), []);
      assert.deepEqual(await collectAll(again.list()), [digest]);
    });

    it('refuse a newer format', async () => {
      await store(patternBytes(1));
      await writeFile(
        join(directory.path, 'format.json'),
        JSON.stringify({ formatVersion: 2, kind: 'blobs' }),
      );
      await assert.rejects(FileBlobStore.open(directory.path), { code: 'FORMAT_UNSUPPORTED' });
    });

    it('refuse an offset outside the blob and a name that is no digest', async () => {
      const { blobs, digest } = await store(patternBytes(10));
      for (const offset of [-1, 11, 0.5])
        await assert.rejects(collect(blobs.readStored(digest, offset)), { code: 'INVALID_ARGUMENT' });
      await assert.rejects(collect(blobs.read('sha256:../../etc/passwd')), { code: 'INVALID_ARGUMENT' });
    });
  });

  describe('spools', () => {
    const create = async (chunks: number): Promise<string> => {
      const store = await FileSpoolStore.open(directory.path);
      const spool = await store.create(spoolHeader(1), CHUNK);
      for (let index = 0; index < chunks; index += 1) await spool.append(patternBytes(CHUNK + 16, index + 1));
      await spool.sync();
      await spool.close();
      return join(directory.path, `${uploadId(1)}.spool`);
    };
    const reopen = async () => (await FileSpoolStore.open(directory.path)).open(uploadId(1));

    it('count whole chunks only when the tail is torn anywhere', async () => {
      const path = await create(3);
      const whole = await readFile(path);
      const slot = 8 + CHUNK + 16;
      const start = whole.length - 3 * slot;
      for (const [bytes, chunks] of [
        [start, 0],
        [start + 5, 0],
        [start + slot - 1, 0],
        [start + slot, 1],
        [start + 2 * slot + 8, 2],
        [start + 3 * slot - 1, 2],
        [start + 3 * slot, 3],
      ] as const) {
        await writeFile(path, whole.subarray(0, bytes));
        const spool = await reopen();
        assert.equal(spool?.chunkCount(), chunks, `${String(bytes)} bytes`);
        await spool.close();
      }
    });

    it('go on after a torn tail', async () => {
      const path = await create(2);
      await cutTail(path, 100);
      const spool = await reopen();
      assert.equal(spool?.chunkCount(), 1);
      await spool.append(patternBytes(CHUNK + 16, 2));
      await spool.append(patternBytes(77, 3));
      await spool.close();
      const again = await reopen();
      assert.equal(again?.chunkCount(), 3);
      let index = 0;
      for await (const chunk of again.chunks()) {
        index += 1;
        assert.equal(Buffer.compare(chunk, patternBytes(index === 3 ? 77 : CHUNK + 16, index)), 0);
      }
      await again.close();
    });

    it('end before a chunk whose first page a power cut left out', async () => {
      const path = await create(4);
      const content = await readFile(path);
      const slot = 8 + CHUNK + 16;
      content.fill(0, content.length - 3 * slot, content.length - 3 * slot + 4_096);
      await writeFile(path, content);
      const spool = await reopen();
      assert.equal(spool?.chunkCount(), 1);
      await spool.close();
    });

    it('name a chunk that is cut short while the spool is open', async () => {
      const path = await create(3);
      const spool = await reopen();
      assert.equal(spool?.chunkCount(), 3);
      await cutTail(path, 100);
      await assert.rejects(
        async () => {
          for await (const chunk of spool.chunks()) assert.ok(chunk.length > 0);
        },
        { code: 'STORE_CORRUPT', fields: { uploadId: uploadId(1), chunk: 2 } },
      );
      await spool.close();
    });

    it('forget a file whose header was never written whole', async () => {
      const path = await create(0);
      for (const content of [Buffer.alloc(0), Buffer.alloc(4_096), (await readFile(path)).subarray(0, 60)]) {
        await writeFile(path, content);
        const store = await FileSpoolStore.open(directory.path);
        assert.equal(await store.open(uploadId(1)), undefined);
        assert.deepEqual(await store.list(), []);
      }
    });

    it('refuse an altered header and a newer format', async () => {
      const path = await create(1);
      const content = await readFile(path);
      await flipBit(path, 100);
      await assert.rejects(reopen(), { code: 'STORE_CORRUPT', fields: { uploadId: uploadId(1) } });
      content.writeUInt32LE(2, 8);
      await writeFile(path, content);
      await assert.rejects(reopen(), { code: 'FORMAT_UNSUPPORTED' });
    });

    it('take no id that leads out of the directory', async () => {
      const store = await FileSpoolStore.open(join(directory.path, 'spool'));
      for (const id of [
        '../x',
        'upl-..%2f',
        '',
        `upl-${'A'.repeat(32)}`,
        `upl-${'0'.repeat(32)}/..`,
        `upl-${'0'.repeat(31)}\0`,
      ]) {
        await assert.rejects(store.open(id), { code: 'INVALID_ARGUMENT' });
        await assert.rejects(store.remove(id), { code: 'INVALID_ARGUMENT' });
        await assert.rejects(store.create({ ...spoolHeader(1), uploadId: id }, CHUNK), {
          code: 'INVALID_ARGUMENT',
        });
      }
      await mkdir(join(directory.path, 'spool'), { recursive: true });
      assert.deepEqual(await store.list(), []);
    });

    it('refuse chunks that are empty or longer than announced', async () => {
      const store = await FileSpoolStore.open(directory.path);
      const spool = await store.create(spoolHeader(1), CHUNK);
      await assert.rejects(spool.append(new Uint8Array()), { code: 'UPDATE_TOO_LARGE' });
      await assert.rejects(spool.append(new Uint8Array(CHUNK + 17)), { code: 'UPDATE_TOO_LARGE' });
      assert.equal(spool.chunkCount(), 0);
      await spool.close();
    });
  });

  describe('sealed files', () => {
    it('of the vault open under their own key and name only', async () => {
      const vault = await FileKeyVault.open(directory.path, KEY);
      await vault.put('model', patternBytes(32));
      const stranger = await FileKeyVault.open(directory.path, patternBytes(32, 4));
      await assert.rejects(stranger.get('model'), { code: 'SEAL_BROKEN' });
      await writeFile(
        join(directory.path, 'tree-head.sealed'),
        await readFile(join(directory.path, 'model.sealed')),
      );
      await assert.rejects(vault.get('tree-head'), { code: 'SEAL_BROKEN' });
    });

    it('of the vault show no byte of the secret, and are named with every flipped bit', async () => {
      const vault = await FileKeyVault.open(directory.path, KEY);
      await vault.put('model', patternBytes(32));
      const path = join(directory.path, 'model.sealed');
      const sealed = await readFile(path);
      assert.equal(sealed.indexOf(patternBytes(32).subarray(0, 8)), -1);
      for (let byte = 0; byte < sealed.length; byte += 1) {
        const damaged = Buffer.from(sealed);
        damaged[byte] = (damaged[byte] ?? 0) ^ (1 << (byte % 8));
        await writeFile(path, damaged);
        await assert.rejects(vault.get('model'), (error) => {
          assert.ok(error instanceof TributaryError);
          assert.ok(['SEAL_BROKEN', 'FORMAT_UNSUPPORTED'].includes(error.code), error.code);
          return error.message.includes(path);
        });
      }
    });

    it('are swept of what a crash left unfinished', async () => {
      await FileKeyVault.open(directory.path, KEY);
      await writeFile(join(directory.path, '.model.sealed.0011223344556677.tmp'), 'half');
      const vault = await FileKeyVault.open(directory.path, KEY);
      assert.deepEqual(await vault.list(), []);
      assert.deepEqual(await readdir(directory.path), []);
    });

    it('of checkpoints name the altered or cut checkpoint', async () => {
      const store = await SealedCheckpointStore.open(directory.path, KEY);
      const path = join(directory.path, 'job-1.sealed');
      await store.put('job-1', [patternBytes(2_500_000)]);
      const sealed = await readFile(path);
      assert.equal(sealed.indexOf(patternBytes(2_500_000).subarray(0, 16)), -1);
      for (const damage of [
        () => flipBit(path, 1_500_000),
        () => cutTail(path, 1),
        () => cutTail(path, 1_048_592),
      ]) {
        await writeFile(path, sealed);
        await damage();
        await assert.rejects(collect(store.get('job-1') ?? assert.fail()), {
          code: 'STORE_CORRUPT',
          fields: { name: 'job-1' },
        });
      }
      await rm(path);
      assert.equal(store.get('job-1'), undefined);
    });

    it('take no name that is a path', async () => {
      const vault = await FileKeyVault.open(directory.path, KEY);
      for (const name of ['../model', 'a/b', '', '.', '..', 'A', 'x'.repeat(64)]) {
        await assert.rejects(vault.put(name, KEY), { code: 'INVALID_ARGUMENT' });
        await assert.rejects(vault.get(name), { code: 'INVALID_ARGUMENT' });
      }
    });
  });
});
