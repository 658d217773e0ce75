import assert from 'node:assert/strict';
import { copyFile, cp, mkdir, readdir, readFile, rm, truncate, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { openDataDirectory } from '@tributary/edge-agent/internal/adapters/files/data-directory.js';
import { LevelStateStore } from '@tributary/edge-agent/internal/adapters/store/level-state-store.js';
import { TributaryError } from '@tributary/proto';
import { Level } from 'level';

import { patternBytes } from '../support/bytes.js';
import { refusal } from '../support/refusal.js';
import { eventually } from '../support/waiting.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

const KEY = patternBytes(32, 9);
const CHANGES = 24;
const NAMED = new Set(['STORE_CORRUPT', 'SEAL_BROKEN', 'FORMAT_UNSUPPORTED']);

type Method = (...args: readonly unknown[]) => Promise<unknown>;
type Content = ReadonlyMap<string, string>;

const valueOf = (index: number): Uint8Array => patternBytes(40 + 13 * index, index + 1);

/** New keys, a counter that every change overwrites, and one that goes. */
const changeOf = (index: number): Record<string, Uint8Array | undefined> => ({
  [`job/${String(index)}`]: valueOf(index),
  epoch: valueOf(index),
  [`gone/${String(index % 5)}`]: index % 10 < 5 ? valueOf(index) : undefined,
});

async function contentOf(store: LevelStateStore): Promise<Content> {
  const content = new Map<string, string>();
  for await (const { key, value } of store.list('')) content.set(key, Buffer.from(value).toString('hex'));
  return content;
}

async function readIn(directory: string): Promise<Content> {
  const store = await LevelStateStore.open(directory, KEY);
  try {
    return await contentOf(store);
  } finally {
    await store.close();
  }
}

describe('the state of a site, damaged', function () {
  this.timeout(180_000);
  let folder: TemporaryDirectory;
  let whole: string;
  let copy: string;

  beforeEach(async () => {
    folder = await temporaryDirectory();
    [whole, copy] = [join(folder.path, 'whole'), join(folder.path, 'copy')];
  });
  afterEach(() => folder.remove());

  const fill = async (): Promise<Content> => {
    const store = await LevelStateStore.open(whole, KEY);
    for (let index = 0; index < CHANGES; index += 1) await store.put(changeOf(index));
    const content = await contentOf(store);
    await store.close();
    return content;
  };
  const nameOf = async (suffix: RegExp): Promise<string> =>
    (await readdir(whole)).find((name) => suffix.test(name)) ?? assert.fail(String(suffix));
  const again = async (): Promise<void> => {
    await rm(copy, { recursive: true, force: true });
    await cp(whole, copy, { recursive: true });
  };
  /** Whether it is refused by name; what is not refused is as it was written. */
  const isNamed = async (expected: readonly Content[], where: string): Promise<boolean> => {
    try {
      const found = await readIn(copy);
      assert.ok(
        expected.some((content) => isSame(content, found)),
        `${where}: read as something else`,
      );
      return false;
    } catch (error) {
      assert.ok(error instanceof TributaryError && NAMED.has(error.code), `${where}: ${String(error)}`);
      return true;
    }
  };

  for (const [what, suffix] of [
    ['the log', /\.log$/],
    ['the list of its tables', /^MANIFEST/],
    ['the name of that list', /^CURRENT$/],
  ] as const)
    it(`names every flipped bit of ${what} that loses an acknowledged record`, async () => {
      const content = await fill();
      const name = await nameOf(suffix);
      const bytes = await readFile(join(whole, name));
      const step = Math.max(1, Math.floor(bytes.length / 60));
      let named = 0;
      for (let at = 0; at < bytes.length; at += step) {
        await again();
        const flipped = Buffer.from(bytes);
        flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
        await writeFile(join(copy, name), flipped);
        if (await isNamed([content], `${name} at ${String(at)}`)) named += 1;
      }
      // All of the log is in use; of the list the last edit, too.
      assert.ok(named > 0 && (suffix.source !== '\\.log$' || named === Math.ceil(bytes.length / step)));
    });

  it('names a flipped bit in a table, and a table that is gone', async () => {
    const content = await fill();
    await readIn(whole);
    const name = await nameOf(/\.ldb$/);
    const bytes = await readFile(join(whole, name));
    let named = 0;
    for (let at = 0; at < bytes.length; at += 97) {
      await again();
      const flipped = Buffer.from(bytes);
      flipped[at] = (flipped[at] ?? 0) ^ 16;
      await writeFile(join(copy, name), flipped);
      if (await isNamed([content], `${name} at ${String(at)}`)) named += 1;
    }
    assert.ok(named > 50, String(named));
    await again();
    await unlink(join(copy, name));
    assert.ok(await isNamed([], 'a table is gone'));
  });

  it('names a log that was cut anywhere', async () => {
    await fill();
    const name = await nameOf(/\.log$/);
    const { length } = await readFile(join(whole, name));
    for (let at = 0; at < length; at += 211) {
      await again();
      await truncate(join(copy, name), at);
      assert.ok(await isNamed([], `cut at ${String(at)}`));
    }
  });

  it('accepts a torn end that nobody was told of, wherever it is torn', async () => {
    const before = await fill();
    const name = await nameOf(/\.log$/);
    await again();
    // As a process leaves it that died in its next change: the log goes on, the mark is as it was.
    const store = await LevelStateStore.open(whole, KEY);
    const { length } = await readFile(join(whole, await nameOf(/\.log$/)));
    assert.equal(length, 0);
    await copyFile(join(whole, 'mark'), join(folder.path, 'mark'));
    await store.put(changeOf(CHANGES));
    const after = await contentOf(store);
    await store.close();
    assert.notEqual(await nameOf(/\.log$/), name);
    await copyFile(join(folder.path, 'mark'), join(whole, 'mark'));
    const torn = await nameOf(/\.log$/);
    const bytes = await readFile(join(whole, torn));
    for (let at = 0; at <= bytes.length; at += at + 29 > bytes.length && at < bytes.length ? 1 : 29) {
      await again();
      await truncate(join(copy, torn), Math.min(at, bytes.length));
      assert.equal(await isNamed([at < bytes.length ? before : after], `torn at ${String(at)}`), false);
    }
  });

  it('names a block that is lost in the middle of a log, though the end of it is there', async () => {
    const store = await LevelStateStore.open(whole, KEY);
    for (let index = 0; index < 4 * CHANGES; index += 1) {
      await store.put({ [`big/${String(index)}`]: patternBytes(2_500, index) });
      await store.put(changeOf(index % CHANGES));
    }
    await store.close();
    const name = await nameOf(/\.log$/);
    const bytes = await readFile(join(whole, name));
    assert.ok(bytes.length > 6 * 32_768, String(bytes.length));
    for (let block = 0; block < 6; block += 1) {
      await again();
      const flipped = Buffer.from(bytes);
      const at = block * 32_768 + 9_000;
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      await writeFile(join(copy, name), flipped);
      await assert.rejects(readIn(copy), refusal('STORE_CORRUPT', /some of its records are missing/));
    }
  });

  it('names files that are gone: all of the database, or its mark', async () => {
    const data = join(folder.path, 'data');
    const key = join(folder.path, 'seal.key');
    const opened = await openDataDirectory(data, key);
    await opened.store.put(changeOf(1));
    await opened.close();
    const state = join(data, 'state');
    await cp(state, copy, { recursive: true });
    await unlink(join(state, 'mark'));
    await assert.rejects(openDataDirectory(data, key), refusal('STORE_CORRUPT', /mark/));
    await rm(state, { recursive: true });
    await assert.rejects(openDataDirectory(data, key), refusal('STORE_CORRUPT', /mark/));
    await rm(state, { recursive: true });
    await mkdir(state);
    await copyFile(join(copy, 'mark'), join(state, 'mark'));
    await assert.rejects(openDataDirectory(data, key), refusal('STORE_CORRUPT', /missing/));
    await rm(state, { recursive: true });
    await cp(copy, state, { recursive: true });
    await (await openDataDirectory(data, key)).close();
  });

  it('lives with a damaged slot of its mark, and a mark that is behind', async () => {
    const content = await fill();
    const mark = await readFile(join(whole, 'mark'));
    for (const slot of [0, 4_096]) {
      await again();
      const flipped = Buffer.from(mark);
      flipped[slot + 20] = (flipped[slot + 20] ?? 0) ^ 1;
      await writeFile(join(copy, 'mark'), flipped);
      assert.deepEqual(await readIn(copy), content);
    }
  });

  it('names the mark of the keys of pipelines that is gone, and all of their files', async () => {
    const data = join(folder.path, 'data');
    const opened = await openDataDirectory(data, join(folder.path, 'seal.key'));
    const streams = await opened.openStreams();
    await streams.write('vitals', [{ key: 'a', state: valueOf(1) }]);
    await streams.close();
    await (await opened.openStreams()).close();
    await unlink(join(data, 'streams/mark'));
    await assert.rejects(opened.openStreams(), refusal('STORE_CORRUPT', /mark/));
    await rm(join(data, 'streams'), { recursive: true });
    await assert.rejects(opened.openStreams(), refusal('STORE_CORRUPT', /mark/));
    await opened.close();
  });

  it('lives with the slot of its mark that was written last torn, after many writes and a kill', async () => {
    const store = await LevelStateStore.open(whole, KEY);
    for (let index = 0; index < 300; index += 1) await store.put({ counter: valueOf(index % 7) });
    const content = await contentOf(store);
    await again();
    await store.close();
    await rm(join(copy, 'LOCK'));
    const mark = await readFile(join(copy, 'mark'));
    const changes = [0, 4_096].map((slot) => Number(mark.readBigUInt64LE(slot + 12)));
    // One more: that it began.
    assert.deepEqual([...changes].sort(), [257, 301]);
    mark[changes.indexOf(301) * 4_096 + 20] = 255;
    await writeFile(join(copy, 'mark'), mark);
    assert.deepEqual(await readIn(copy), content);
  });

  it('takes a failed change back where it could not be read what takes it back at first', async () => {
    const store = await LevelStateStore.open(whole, KEY);
    await store.put({ kept: valueOf(1), changed: valueOf(2) });
    const method = (name: string): Method => Reflect.get(Level.prototype, name) as Method;
    const [batch, getMany, close] = [method('batch'), method('getMany'), method('close')];
    const failure = new Error('IO error: input/output error');
    let torn: (() => Promise<unknown>) | undefined;
    try {
      Object.assign(Level.prototype, {
        // The log has it, whatever was answered: it is there again after opening.
        batch(this: Level, ...args: unknown[]) {
          torn = () => Reflect.apply(batch, this, args);
          return Promise.reject(failure);
        },
        getMany: () => Promise.reject(failure),
        async close(this: Level) {
          await torn?.();
          torn = undefined;
          await Reflect.apply(close, this, []);
        },
      });
      await assert.rejects(store.put({ changed: valueOf(3), fresh: valueOf(4) }));
      Object.assign(Level.prototype, { batch });
      await assert.rejects(store.put({ later: valueOf(5) }));
      Object.assign(Level.prototype, { getMany });
      await store.put({ later: valueOf(6) });
    } finally {
      Object.assign(Level.prototype, { batch, getMany, close });
    }
    const expected = { changed: valueOf(2), kept: valueOf(1), later: valueOf(6) };
    const content = Object.entries(expected).map(([key, value]) => [key, Buffer.from(value).toString('hex')]);
    assert.deepEqual([...(await contentOf(store))], content);
    await store.close();
  });

  it('copied while it is written, is as it was at one moment or refused', async () => {
    const store = await LevelStateStore.open(whole, KEY);
    const moments: Content[] = [await contentOf(store)];
    let stopping = false;
    const writing = (async () => {
      for (let index = 0; !stopping; index += 1) {
        await store.put(changeOf(index % CHANGES));
        moments.push(await contentOf(store));
      }
    })();
    const copies: string[] = [];
    for (let index = 0; index < 25; index += 1) {
      await eventually('another change', () => moments.length > 2 * index || undefined);
      const target = join(folder.path, `copy-${String(index)}`);
      await cp(whole, target, { recursive: true, filter: (path) => !path.endsWith('LOCK') });
      copies.push(target);
    }
    stopping = true;
    await writing;
    await store.close();
    let wholeCopies = 0;
    for (copy of copies) if (!(await isNamed(moments, copy))) wholeCopies += 1;
    assert.ok(wholeCopies > 0, 'every copy was refused');
  });

  it('accepts an old copy of all of it: who may go on is settled elsewhere', async () => {
    const content = await fill();
    await again();
    const store = await LevelStateStore.open(whole, KEY);
    await store.put(changeOf(CHANGES));
    await store.close();
    assert.equal(await isNamed([content], 'an old copy'), false);
  });
});

const isSame = (a: Content, b: Content): boolean =>
  a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);
