import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { PredictionFiles } from '@tributary/edge-agent/internal/adapters/decisions/prediction-files.js';
import {
  openDataDirectory,
  type DataDirectory,
} from '@tributary/edge-agent/internal/adapters/files/data-directory.js';
import { ModelDirectory } from '@tributary/edge-agent/internal/adapters/models/model-directory.js';
import type { StateStore } from '@tributary/edge-agent/internal/ports.js';
import type { PredictionEntry } from '@tributary/edge-agent/internal/serving-ports.js';
import { digestOf, LIMITS, TributaryError } from '@tributary/proto';

import { collect, collectAll, patternBytes } from '../support/bytes.js';
import { refusal } from '../support/refusal.js';
import { newModel, registeredModel } from '../support/served-model.js';
import { SmallDisk } from '../support/small-disk.js';

const MIB = 1024 * 1024;
const FULL = refusal('STORE_FULL');

/** Does `work` with growing numbers until the disk takes no more; resolves with how often it did. */
async function untilFull(work: (index: number) => Promise<unknown>): Promise<number> {
  for (let index = 0; index < 1_000; index += 1)
    try {
      await work(index);
    } catch (error) {
      assert.ok(error instanceof TributaryError && error.code === 'STORE_FULL', String(error));
      return index;
    }
  return assert.fail('the disk was never full');
}

describe('stores of a site on a full disk (needs the right to mount a tmpfs)', function () {
  this.timeout(120_000);
  let disk: SmallDisk | undefined;
  let data: DataDirectory;

  const open = async (): Promise<void> => {
    assert.ok(disk);
    data = await openDataDirectory(join(disk.path, 'data'), join(disk.path, 'seal.key'));
  };
  const fill = (left = 0): Promise<void> => disk?.fill(left) ?? assert.fail();
  const clear = (): Promise<void> => disk?.clear() ?? assert.fail();

  beforeEach(async function () {
    disk = SmallDisk.mount();
    if (disk === undefined) this.skip();
    await open();
  });

  afterEach(async () => {
    if (disk === undefined) return;
    await data.close();
    disk.unmount();
  });

  const valueOf = (index: number): Uint8Array => patternBytes(3_000, index + 1);
  const stored = async (store: StateStore): Promise<Map<string, Uint8Array>> =>
    new Map((await collectAll(store.list(''))).map(({ key, value }) => [key, value]));

  it('the state says STORE_FULL, is read meanwhile, and loses nothing that it takes afterwards', async () => {
    const { store } = data;
    const expected = new Map<string, Uint8Array>();
    const put = async (key: string, value: Uint8Array): Promise<void> => {
      await store.put({ [key]: value });
      expected.set(key, value);
    };
    for (let index = 0; index < 20; index += 1) await put(`key-${String(index)}`, valueOf(index));
    await fill(20_000);
    await untilFull((index) => put(`more-${String(index)}`, valueOf(index)));
    // What was there is overwritten, and stays.
    await assert.rejects(store.put({ 'key-3': valueOf(99), 'key-4': undefined }), FULL);
    assert.deepEqual(await stored(store), expected);
    assert.deepEqual(await store.get('key-3'), valueOf(3));
    await clear();
    for (let index = 0; index < 20; index += 1) await put(`late-${String(index)}`, valueOf(index));
    assert.deepEqual(await stored(store), expected);
    await data.close();
    await open();
    assert.deepEqual(await stored(data.store), expected);
  });

  it('streams keep the state of their keys', async () => {
    const streams = await data.openStreams();
    try {
      await streams.write('beats', [{ key: 'a', state: valueOf(1) }]);
      await fill(20_000);
      const taken = await untilFull((index) =>
        streams.write('beats', [{ key: String(index), state: valueOf(index) }]),
      );
      await clear();
      await streams.write('beats', [{ key: 'b', state: valueOf(2) }]);
      await streams.close();
      const again = await data.openStreams();
      assert.equal((await collectAll(again.read('beats'))).length, taken + 2);
      await again.close();
    } finally {
      await streams.close();
    }
  });

  it('the decision log has no torn line in it', async () => {
    const { decisionLines } = data;
    const line = (index: number): Uint8Array => Buffer.from(`${String(index)}:`.padEnd(1_500, 'x'));
    await fill(10_000);
    const taken = await untilFull((index) => decisionLines.append(line(index)));
    await clear();
    await decisionLines.append(line(999));
    const lines = await collectAll(decisionLines.read());
    assert.deepEqual(
      lines.map((bytes) => Buffer.from(bytes).toString()),
      [...Array.from({ length: taken }, (_, index) => index), 999].map((index) =>
        Buffer.from(line(index)).toString(),
      ),
    );
  });

  it('outbox and checkpoints keep what they had, and leave nothing of what does not fit', async () => {
    for (const files of [data.files, data.checkpoints]) {
      await files.writeSealed('old.file', [patternBytes(100_000, 1)]);
      await fill(300_000);
      await assert.rejects(files.writeSealed('old.file', [patternBytes(MIB, 2)]), FULL);
      await assert.rejects(files.writeSealed('new.file', [patternBytes(MIB, 3)]), FULL);
      assert.deepEqual(await files.list(), ['old.file']);
      assert.deepEqual(await collect(files.readSealed('old.file')), patternBytes(100_000, 1));
      // What the refused ones had taken is free again.
      await files.writeSealed('new.file', [patternBytes(100_000, 3)]);
      await clear();
    }
  });

  it('an envelope that does not fit is not there', async () => {
    await fill(300_000);
    const chunks = async function* () {
      await Promise.resolve();
      for (let index = 0; index < 8; index += 1) yield patternBytes(100_000, index);
    };
    await assert.rejects(collectAll(data.files.writeThrough('upl-1.envelope', chunks())), FULL);
    assert.equal(await data.files.has('upl-1.envelope'), false);
    await clear();
    assert.equal((await collectAll(data.files.writeThrough('upl-1.envelope', chunks()))).length, 8);
  });

  it('a download goes on behind what has arrived', async () => {
    const digest = digestOf(new Uint8Array(1));
    const piece = (index: number): Uint8Array => patternBytes(LIMITS.chunkBytes >> 2, index + 1);
    const first = await data.downloads.open(digest);
    await collectAll(first.read());
    await fill(MIB);
    const taken = await untilFull((index) => first.append(piece(index)));
    assert.ok(taken > 0);
    await first.close();
    await clear();
    const again = await data.downloads.open(digest);
    assert.equal((await collectAll(again.read())).length, taken);
    await again.append(piece(taken));
    await again.close();
    const last = await data.downloads.open(digest);
    assert.equal((await collectAll(last.read())).length, taken + 1);
    await last.close();
  });

  it('a model that does not fit is not there, and the one before still is', async () => {
    const models = await ModelDirectory.open(data.modelsDir);
    const [one, two] = [registeredModel({ version: 1 }), registeredModel({ version: 2 })];
    const ref = await models.put(newModel(one));
    await models.point(ref.name, { current: 1 });
    await fill();
    await assert.rejects(models.put(newModel(two)), FULL);
    assert.deepEqual(await models.pointers(ref.name), { current: 1 });
    assert.deepEqual((await models.open(ref)).weights, one.weights);
    assert.deepEqual(await models.list(), [ref]);
    await clear();
    await models.put(newModel(two));
    assert.equal((await models.list()).length, 2);
  });

  it('predictions that were logged stay, and no empty file is left for each that was not', async () => {
    const log = await PredictionFiles.open({
      directory: data.predictionsDir,
      key: new Uint8Array(32),
      rule: { retentionDays: 3, maximumBytes: 10 * MIB, inputs: 'None' },
      now: () => Date.parse('2026-03-01T10:00:00Z'),
    });
    const entry = (id: number): PredictionEntry => ({
      atMs: Date.parse('2026-03-01T10:00:00Z'),
      ...{ decisionId: String(id), model: 'trial', version: 2, source: 'oip' },
      ...{ scores: [0.25], latencyMs: 1.5 },
    });
    await log.record([entry(0)]);
    await fill();
    await untilFull((index) => log.record([entry(index)]));
    for (let index = 0; index < 10; index += 1) await assert.rejects(log.record([entry(index)]), FULL);
    assert.equal((await readdir(data.predictionsDir)).length, 1);
    await clear();
    await log.record([entry(1)]);
    await log.close();
  });
});
