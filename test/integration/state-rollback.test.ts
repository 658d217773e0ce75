import assert from 'node:assert/strict';
import { cp, readdir, readFile, rm, truncate, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import {
  openDataDirectory,
  readState,
} from '@tributary/edge-agent/internal/adapters/files/data-directory.js';
import { levelRecords } from '@tributary/edge-agent/internal/adapters/store/level-records.js';
import {
  lastSequenceIn,
  operationsOf,
} from '@tributary/edge-agent/internal/adapters/store/level-manifest.js';
import { LevelStateStore } from '@tributary/edge-agent/internal/adapters/store/level-state-store.js';
import { openBytes, sealBytes } from '@tributary/proto';
import fc from 'fast-check';
import { Level } from 'level';

import { patternBytes } from '../support/bytes.js';
import { refusal } from '../support/refusal.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

const KEY = patternBytes(32, 9);
const TALLY = '\u0000tally';

type Changes = Readonly<Record<string, Uint8Array | undefined>>;

/** As builds before 0.3.0 write: sealed, synced, uncounted. */
class OlderStore {
  static async run(directory: string, key: Uint8Array, ...changes: readonly Changes[]): Promise<void> {
    const level = new Level<string, Uint8Array>(directory, { valueEncoding: 'view' });
    await level.open();
    for (const change of changes)
      await level.batch(
        Object.entries(change).map(([name, value]) =>
          value === undefined
            ? ({ type: 'del', key: name } as const)
            : ({ type: 'put', key: name, value: sealBytes({ key, name: `state/${name}` }, value) } as const),
        ),
        { sync: true },
      );
    await level.close();
  }
}

describe('the state of a site, under an older build and back', function () {
  this.timeout(120_000);
  let folder: TemporaryDirectory;
  let data: string;
  let keyFile: string;

  beforeEach(async () => {
    folder = await temporaryDirectory();
    [data, keyFile] = [join(folder.path, 'data'), join(folder.path, 'seal.key')];
    await writeFile(keyFile, KEY, { mode: 0o600 });
  });
  afterEach(() => folder.remove());

  const state = (): string => join(data, 'state');
  const agentJson = async (): Promise<unknown> =>
    JSON.parse(await readFile(join(data, 'agent.json'), 'utf8'));

  /** Opens, changes and closes; resolves with the databases that were counted anew. */
  async function visit(...changes: readonly Changes[]): Promise<readonly string[]> {
    const recounted: string[] = [];
    const opened = await openDataDirectory(data, keyFile, (directory) => recounted.push(directory));
    for (const change of changes) await opened.store.put(change);
    await opened.close();
    return recounted;
  }
  const valueOf = async (key: string): Promise<Uint8Array | undefined> => {
    const opened = await openDataDirectory(data, keyFile);
    try {
      return await opened.store.get(key);
    } finally {
      await opened.close();
    }
  };
  const older = (...changes: readonly Changes[]): Promise<void> => OlderStore.run(state(), KEY, ...changes);

  it('keeps the format that older builds take, and names its mark beside it', async () => {
    await visit({ a: patternBytes(5) });
    assert.deepEqual(await agentJson(), { formatVersion: 1, kind: 'agent', stateMarked: true });
  });

  it('says once that another build went on, and goes on from what that one left', async () => {
    await visit({ epoch: patternBytes(3), kept: patternBytes(4) });
    for (let round = 0; round < 3; round += 1) {
      await older({ epoch: patternBytes(9, round), old: patternBytes(8, round) }, { kept: undefined });
      assert.deepEqual(await visit(), [state()]);
      assert.deepEqual(await visit({ fresh: patternBytes(7, round), kept: patternBytes(4) }), []);
      assert.deepEqual(await valueOf('epoch'), patternBytes(9, round));
      assert.deepEqual(await valueOf('old'), patternBytes(8, round));
    }
  });

  it('says nothing where the other build only looked', async () => {
    await visit({ a: patternBytes(5) });
    for (let index = 0; index < 3; index += 1) await older();
    assert.deepEqual(await visit(), []);
  });

  it('notices it where what that build wrote comes to the same records', async () => {
    await visit({ a: patternBytes(5) });
    const level = new Level<string, Uint8Array>(state(), { valueEncoding: 'view' });
    const value = await level.get('a');
    assert.ok(value !== undefined);
    await level.put('b', value);
    await level.del('b');
    await level.close();
    assert.deepEqual(await visit(), []);
    await older({ c: patternBytes(6) });
    assert.deepEqual(await visit(), [state()]);
  });

  it('names damage from before and after the other build as ever', async () => {
    const whole = join(folder.path, 'whole');
    await visit({ a: patternBytes(5) });
    await older({ b: patternBytes(6) });
    await visit({ c: patternBytes(7) }, { d: patternBytes(8) });
    await cp(state(), whole, { recursive: true });
    const log = await newest(state(), '.log');
    const { length } = await readFile(log);
    for (let at = 0; at < length; at += 37) {
      await truncate(log, at);
      await assert.rejects(visit(), refusal('STORE_CORRUPT', /missing/), `cut at ${String(at)}`);
      await rm(state(), { recursive: true });
      await cp(whole, state(), { recursive: true });
    }
    // What was lost is not forgotten because an older build has written since.
    await truncate(log, 40);
    await older({ epoch: patternBytes(3) }, { epoch: patternBytes(4) });
    await assert.rejects(visit(), refusal('STORE_CORRUPT', /missing/));
    await unlink(join(state(), 'mark'));
    await assert.rejects(visit(), refusal('STORE_CORRUPT', /mark/));
  });

  it('survives a death anywhere in its first start, and in the one after the other build', async () => {
    // What is durable one step after the other: the tally, the mark, agent.json.
    await older({ a: patternBytes(5) });
    await writeFile(join(data, 'agent.json'), '{"formatVersion":1,"kind":"agent"}');
    for (const undo of [
      () => unlink(join(state(), 'mark')),
      () => truncate(join(state(), 'mark'), 0),
      () => writeFile(join(data, 'agent.json'), '{"formatVersion":1,"kind":"agent"}'),
    ]) {
      await visit({ b: patternBytes(6) });
      await writeFile(join(data, 'agent.json'), '{"formatVersion":1,"kind":"agent"}');
      await undo();
      await older({ epoch: patternBytes(7) });
      assert.deepEqual(await visit(), [state()]);
      assert.deepEqual(await visit(), []);
    }
    await older({ epoch: patternBytes(8) });
    const mark = await readFile(join(state(), 'mark'));
    assert.deepEqual(await visit(), [state()]);
    // Counted anew, and dead before the mark said so.
    await writeFile(join(state(), 'mark'), mark);
    assert.deepEqual(await visit({ b: undefined }), []);
    assert.deepEqual(await valueOf('epoch'), patternBytes(8));
  });

  it('is read in a copy where the other build wrote last', async () => {
    await visit({ a: patternBytes(5) });
    await older({ a: patternBytes(6) });
    const found = await readState(data, keyFile, false, (store) => store.get('a'));
    assert.deepEqual(found, patternBytes(6));
    assert.deepEqual(await visit(), [state()]);
  });

  it('takes a directory that names format 2 back to 1, with the tally of then', async () => {
    await visit({ a: patternBytes(5) });
    const level = new Level<string, Uint8Array>(state(), { valueEncoding: 'view' });
    const name = { key: KEY, name: `state/${TALLY}` };
    const count = JSON.parse(
      Buffer.from(openBytes(name, (await level.get(TALLY)) ?? new Uint8Array())).toString(),
    ) as { operations?: number };
    delete count.operations;
    const first = Buffer.from(JSON.stringify({ ...count, formatVersion: 1 }));
    await level.put(TALLY, sealBytes(name, first));
    await level.close();
    await writeFile(join(data, 'agent.json'), '{"formatVersion":2,"kind":"agent","streamsMarked":true}');
    assert.deepEqual(await visit(), []);
    const identity = { formatVersion: 1, kind: 'agent', stateMarked: true, streamsMarked: true };
    assert.deepEqual(await agentJson(), identity);
    await older({ a: patternBytes(6) });
    assert.deepEqual(await visit(), [state()]);
  });

  it('tells of the keys of pipelines by themselves', async () => {
    const recounted: string[] = [];
    const opened = await openDataDirectory(data, keyFile, (directory) => recounted.push(directory));
    const write = async (byte: number): Promise<void> => {
      const streams = await opened.openStreams();
      await streams.write('vitals', [{ key: 'a', state: patternBytes(6, byte) }]);
      await streams.close();
    };
    await write(1);
    await write(2);
    assert.deepEqual(recounted, []);
    await OlderStore.run(join(data, 'streams'), KEY, { 'vitals/b': patternBytes(5) });
    await write(3);
    await write(4);
    assert.deepEqual(recounted, [join(data, 'streams')]);
    await opened.close();
  });

  it('numbers operations as LevelDB does, over flushes, compactions and deaths', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            counted: fc.boolean(),
            changes: fc.array(fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.nat(200)), { maxLength: 6 }),
            bytes: fc.constantFrom(20, 3_000, 700_000),
          }),
          { maxLength: 6 },
        ),
        async (visits) => {
          const directory = join(folder.path, 'numbers');
          await rm(directory, { recursive: true, force: true });
          await (await LevelStateStore.open(directory, KEY)).close();
          for (const { counted, changes, bytes } of visits) {
            const written = changes.map((change): Changes =>
              Object.fromEntries(
                Object.entries(change).map(([key, byte]) => [
                  key,
                  byte % 3 === 0 ? undefined : patternBytes(bytes, byte),
                ]),
              ),
            );
            const grows = written.some((change) => Object.keys(change).length > 0);
            const known = await contentOf(directory);
            if (!counted) await OlderStore.run(directory, KEY, ...written);
            else {
              const store = await LevelStateStore.open(directory, KEY);
              for (const change of written) await store.put(change);
              await store.close();
            }
            let recounts = 0;
            const store = await LevelStateStore.open(directory, KEY, {
              marked: true,
              onRecount: () => (recounts += 1),
            });
            await store.close();
            const changed = JSON.stringify(known) !== JSON.stringify(await contentOf(directory));
            // Operations that come to nothing are counted in silence.
            assert.equal(recounts, !counted && grows && changed ? 1 : 0);
          }
        },
      ),
      { numRuns: 25 },
    );
  });

  it('reads any bytes as a manifest without harm, and its own to the last number', async () => {
    await visit({ a: patternBytes(5) });
    const manifest = await readFile(await newest(state(), 'MANIFEST-'));
    assert.equal(lastSequenceIn(manifest), await operationsOf(state()));
    assert.equal(lastSequenceIn(Buffer.alloc(0)), undefined);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(manifest.length - 1), (noise, at) => {
        const spoilt = Buffer.concat([manifest.subarray(0, at), noise]);
        levelRecords(spoilt);
        try {
          lastSequenceIn(spoilt);
        } catch (error) {
          assert.ok(error instanceof RangeError);
        }
      }),
    );
  });
});

async function contentOf(directory: string): Promise<readonly (readonly [string, string])[]> {
  const level = new Level<string, Uint8Array>(directory, { valueEncoding: 'view' });
  const content: [string, string][] = [];
  for await (const [key, value] of level.iterator())
    if (key !== TALLY) content.push([key, Buffer.from(value).toString('base64')]);
  await level.close();
  return content;
}

async function newest(directory: string, part: string): Promise<string> {
  const names = (await readdir(directory)).filter((name) => name.includes(part)).sort();
  return join(directory, names.at(-1) ?? assert.fail(part));
}
