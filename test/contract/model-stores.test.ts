import assert from 'node:assert/strict';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { MemoryModels } from '@tributary/edge-agent/internal/adapters/models/memory-models.js';
import { ModelDirectory } from '@tributary/edge-agent/internal/adapters/models/model-directory.js';

import { refusal } from '../support/refusal.js';
import { newModel, registeredModel } from '../support/served-model.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { inMemory } from './harness.js';
import { modelStoreSuite } from './model-store.js';

modelStoreSuite({ name: 'memory', factory: inMemory(() => new MemoryModels()) });
modelStoreSuite({
  name: 'directory',
  factory: async () => {
    const folder = await temporaryDirectory();
    return { open: () => ModelDirectory.open(join(folder.path, 'models')), dispose: () => folder.remove() };
  },
});

describe('directory of models', () => {
  let folder: TemporaryDirectory;
  let store: ModelDirectory;
  const ref = { name: 'trial', version: 1 };
  const file = (name: string): string => join(folder.path, 'trial', '1', name);

  beforeEach(async () => {
    folder = await temporaryDirectory();
    store = await ModelDirectory.open(folder.path);
    await store.put(newModel(registeredModel()));
  });
  afterEach(() => folder.remove());

  for (const name of ['weights.f32', 'manifest.json', 'signature.json'])
    it(`names ${name} where a byte of it has changed, or it is cut`, async () => {
      const bytes = await readFile(file(name));
      const altered = Buffer.from(bytes);
      altered.writeUInt8((altered.at(5) ?? 0) ^ 1, 5);
      for (const wrong of [altered, bytes.subarray(0, 8), Buffer.alloc(0)]) {
        await writeFile(file(name), wrong);
        await assert.rejects(
          store.open(ref),
          refusal('STORE_CORRUPT', new RegExp(name.replace('.', '\\.'))),
          String(wrong.length),
        );
      }
    });

  it('names a manifest in which any figure is another one, and mends it when it is put again', async () => {
    const manifest = await readFile(file('manifest.json'));
    let figures = 0;
    for (const [index, byte] of manifest.entries()) {
      if (!/[0-9]/.test(String.fromCharCode(byte))) continue;
      figures += 1;
      const altered = Buffer.from(manifest);
      altered.writeUInt8(byte ^ 1, index);
      await writeFile(file('manifest.json'), altered);
      await assert.rejects(store.open(ref), refusal('STORE_CORRUPT', /manifest\.json/), String(index));
    }
    assert.ok(figures > 50, `${String(figures)} figures`);
    await store.put(newModel(registeredModel()));
    assert.deepEqual(Buffer.from((await store.open(ref)).manifestBytes), manifest);
  });

  it('reads a version of a build that kept no digest of the manifest', async () => {
    const { manifestDigest, ...before } = JSON.parse(
      await readFile(file('signature.json'), 'utf8'),
    ) as Record<string, unknown>;
    assert.equal(typeof manifestDigest, 'string');
    await writeFile(file('signature.json'), JSON.stringify(before));
    assert.deepEqual((await store.open(ref)).weights, registeredModel().weights);
  });

  it('mends a rotten version that is put again', async () => {
    await writeFile(file('weights.f32'), 'rot');
    await store.put(newModel(registeredModel()));
    assert.deepEqual((await store.open(ref)).weights, registeredModel().weights);
    await rm(file('weights.f32'));
    await assert.rejects(store.open(ref), refusal('STORE_CORRUPT', /weights\.f32/));
  });

  it('refuses pointers and manifests of a newer version', async () => {
    await store.point('trial', { current: 1 });
    const pointers = join(folder.path, 'trial', 'pointers.json');
    await writeFile(pointers, '{"formatVersion":2,"current":{"a":1}}');
    await assert.rejects(store.pointers('trial'), refusal('FORMAT_UNSUPPORTED'));
    await writeFile(pointers, '{"formatVersion":1,"current":"1"}');
    await assert.rejects(store.pointers('trial'), refusal('STORE_CORRUPT', /pointers\.json/));
  });

  it('removes what a crash left half-written, and opens to its own user only', async () => {
    await writeFile(file('abc.part'), 'half');
    await ModelDirectory.open(folder.path);
    assert.deepEqual((await readdir(join(folder.path, 'trial', '1'))).sort(), [
      'manifest.json',
      'signature.json',
      'weights.f32',
    ]);
    assert.equal((await stat(file('weights.f32'))).mode & 0o777, 0o600);
  });
});
