import assert from 'node:assert/strict';
import { appendFile, chmod, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { openDataDirectory } from '@tributary/edge-agent/internal/adapters/files/data-directory.js';
import { DownloadDirectory } from '@tributary/edge-agent/internal/adapters/files/download-directory.js';
import { MemoryDownloads } from '@tributary/edge-agent/internal/adapters/files/memory-downloads.js';
import { LineFile } from '@tributary/edge-agent/internal/adapters/files/line-file.js';
import { MemoryOutbox } from '@tributary/edge-agent/internal/adapters/files/memory-outbox.js';
import { OutboxDirectory } from '@tributary/edge-agent/internal/adapters/files/outbox-directory.js';
import { LevelStateStore } from '@tributary/edge-agent/internal/adapters/store/level-state-store.js';
import { StreamStates } from '@tributary/edge-agent/internal/adapters/store/stream-states.js';
import { MemoryStateStore } from '@tributary/edge-agent/internal/adapters/store/memory-state-store.js';

import { digestOf, LIMITS, TributaryError } from '@tributary/proto';

import { collect, patternBytes } from '../support/bytes.js';
import { flipBit } from '../support/damage.js';
import { refusal } from '../support/refusal.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { downloadStoreSuite } from './download-store.js';
import { inMemory, type Harness } from './harness.js';
import { outboxFilesSuite } from './outbox-files.js';
import { stateStoreSuite } from './state-store.js';
import { streamStateStoreSuite } from './stream-state-store.js';

const KEY = new Uint8Array(32).fill(9);

function onDisk<T>(open: (path: string) => Promise<T>): () => Promise<Harness<T>> {
  return async () => {
    const folder = await temporaryDirectory();
    return { open: () => open(join(folder.path, 'store')), dispose: () => folder.remove() };
  };
}

stateStoreSuite({ name: 'memory', factory: inMemory(() => new MemoryStateStore()) });
stateStoreSuite({ name: 'sealed LevelDB', factory: onDisk((path) => LevelStateStore.open(path, KEY)) });
streamStateStoreSuite({ name: 'memory', factory: inMemory(() => new StreamStates(new MemoryStateStore())) });
streamStateStoreSuite({
  name: 'sealed LevelDB',
  factory: onDisk(async (path) => new StreamStates(await LevelStateStore.open(path, KEY))),
});
downloadStoreSuite({ name: 'memory', factory: inMemory(() => new MemoryDownloads()) });
downloadStoreSuite({ name: 'directory', factory: onDisk((path) => DownloadDirectory.open(path)) });
outboxFilesSuite({ name: 'memory', factory: inMemory(() => new MemoryOutbox()) });
outboxFilesSuite({ name: 'directory', factory: onDisk((path) => OutboxDirectory.open(path, KEY)) });

describe('directory of downloads', () => {
  let folder: TemporaryDirectory;
  const digest = digestOf(new Uint8Array(1));
  const pieces = [patternBytes(1_000, 1), patternBytes(70_000, 2), patternBytes(5, 3)];
  const path = (): string => join(folder.path, digest.replace(':', '-'));

  beforeEach(async () => {
    folder = await temporaryDirectory();
    const kept = await (await DownloadDirectory.open(folder.path)).open(digest);
    for (const piece of pieces) await kept.append(piece);
    await kept.close();
  });
  afterEach(() => folder.remove());

  const readAgain = async (): Promise<Uint8Array> => {
    const kept = await (await DownloadDirectory.open(folder.path)).open(digest);
    try {
      const found = await collect(kept.read());
      await kept.append(patternBytes(9, 4));
      return found;
    } finally {
      await kept.close();
    }
  };

  it('gives back what is whole before a cut or a flipped byte, and goes on from there', async () => {
    const whole = await readFile(path());
    const prefixes = pieces.map((_, count) => Buffer.concat(pieces.slice(0, count + 1)).length);
    for (let at = whole.length - 1; at >= 12; at -= at > 1_100 && at < 70_000 ? 977 : 3) {
      for (const damage of ['cut', 'flip'] as const) {
        const bytes = Buffer.from(whole);
        bytes[at] = (bytes[at] ?? 0) ^ 1;
        await writeFile(path(), damage === 'cut' ? bytes.subarray(0, at) : bytes);
        const found = await readAgain();
        assert.ok([0, ...prefixes.slice(0, -1)].includes(found.length), `${damage} at ${String(at)}`);
        assert.deepEqual(Buffer.from(found), Buffer.concat(pieces).subarray(0, found.length));
        const next = await readAgain();
        assert.deepEqual(Buffer.from(next), Buffer.concat([found, patternBytes(9, 4)]));
      }
    }
  });

  it('begins anew where the file has no header, and refuses that of a newer version', async () => {
    for (const bytes of [Buffer.alloc(0), Buffer.from('TRIB'), Buffer.alloc(500, 7)]) {
      await writeFile(path(), bytes);
      assert.equal((await readAgain()).length, 0);
    }
    const newer = await readFile(path());
    newer.writeUInt32LE(2, 8);
    await writeFile(path(), newer);
    await assert.rejects(readAgain(), refusal('FORMAT_UNSUPPORTED'));
  });

  it('keeps no more blobs than it may, the newest', async () => {
    const store = await DownloadDirectory.open(folder.path);
    for (let index = 0; index < LIMITS.keptDownloads + 3; index += 1) {
      const kept = await store.open(digestOf(patternBytes(10, index)));
      await kept.append(patternBytes(10));
      await kept.close();
      assert.ok((await readdir(folder.path)).length <= LIMITS.keptDownloads);
    }
    await assert.rejects(readFile(path()), { code: 'ENOENT' });
  });
});

describe('data directory of an agent', () => {
  let folder: TemporaryDirectory;
  let data: string;
  let key: string;

  beforeEach(async () => {
    folder = await temporaryDirectory();
    data = join(folder.path, 'data');
    key = join(data, 'seal.key');
  });

  afterEach(() => folder.remove());

  it('holds nothing that was put into it in the clear', async () => {
    const secret = 'a-private-key-of-the-agent';
    const opened = await openDataDirectory(data, key);
    await opened.store.put({ enrolment: new TextEncoder().encode(secret) });
    await opened.files.writeSealed('upl-1.delta', [new TextEncoder().encode(secret)]);
    await opened.close();
    for (const name of await readdir(data, { recursive: true })) {
      const content = await readFile(join(data, name)).catch(() => Buffer.alloc(0));
      assert.ok(!content.includes(secret), name);
    }
  });

  it('does not open with another key, and says so', async () => {
    const opened = await openDataDirectory(data, key);
    await opened.store.put({ a: new Uint8Array(3) });
    await opened.close();
    await writeFile(key, new Uint8Array(32));
    await assert.rejects(openDataDirectory(data, key), refusal('SEAL_BROKEN'));
    await rm(key);
    await assert.rejects(openDataDirectory(data, key), refusal('SEAL_BROKEN', /does not exist/));
  });

  it('names a held update that was altered', async () => {
    const opened = await openDataDirectory(data, key);
    await opened.files.writeSealed('upl-1.delta', [patternBytes(5_000)]);
    const path = join(data, 'outbox', 'upl-1.delta');
    await flipBit(path, 2_000);
    const reading = collect(opened.files.readSealed('upl-1.delta'));
    await assert.rejects(reading, (error) => refusal('SEAL_BROKEN')(error) && String(error).includes(path));
    await opened.close();
  });

  it('takes a key in base64, and none that others may read or that is too short', async () => {
    const file = join(folder.path, 'key');
    await writeFile(file, `${Buffer.from(KEY).toString('base64')}\n`, { mode: 0o600 });
    await (await openDataDirectory(data, file)).close();
    await chmod(file, 0o644);
    await assert.rejects(
      openDataDirectory(data, file),
      refusal('CONFIG_INVALID', /can be read by every user/),
    );
    await chmod(file, 0o600);
    for (const content of ['short', `${Buffer.from(KEY).toString('base64')} and more`]) {
      await writeFile(file, content);
      await assert.rejects(openDataDirectory(data, file), refusal('CONFIG_INVALID', /32 bytes/));
    }
  });

  it('belongs to one process at a time', async () => {
    const opened = await openDataDirectory(data, key);
    await assert.rejects(openDataDirectory(data, key), refusal('STORE_LOCKED'));
    await opened.close();
    await (await openDataDirectory(data, key)).close();
  });

  it('refuses what a newer version wrote', async () => {
    await (await openDataDirectory(data, key)).close();
    await writeFile(join(data, 'agent.json'), '{"formatVersion":3,"kind":"agent"}');
    await assert.rejects(openDataDirectory(data, key), refusal('FORMAT_UNSUPPORTED'));
    await writeFile(join(data, 'agent.json'), '{"formatVersion":1,"kind":"coordinator"}');
    await assert.rejects(openDataDirectory(data, key), refusal('STORE_CORRUPT'));
  });

  it('refuses a path that leaves no room for its sockets, and says how much is too much', async () => {
    const fitting = join(data, 'd'.repeat(107 - '/run/serving.sock'.length - data.length - 1));
    await (await openDataDirectory(fitting, key)).close();
    await assert.rejects(openDataDirectory(`${fitting}dd`, key), (error: unknown) => {
      assert.ok(error instanceof TributaryError && error.code === 'CONFIG_INVALID');
      assert.match(error.hint ?? '', /2 bytes shorter/);
      return true;
    });
    await assert.rejects(stat(`${fitting}dd`), { code: 'ENOENT' });
  });

  it('removes what a crash left half-written', async () => {
    await (await openDataDirectory(data, key)).close();
    await writeFile(join(data, 'outbox', 'abc.part'), 'half');
    await (await openDataDirectory(data, key)).close();
    assert.deepEqual(await readdir(join(data, 'outbox')), []);
  });

  it('does not call a file missing that it cannot look at', async () => {
    const outbox = join(folder.path, 'outbox');
    const files = await OutboxDirectory.open(outbox, KEY);
    assert.equal(await files.has('upl-1.delta'), false);
    await rm(outbox, { recursive: true });
    await writeFile(outbox, 'a file where the directory was');
    await assert.rejects(files.has('upl-1.delta'), refusal('CONFIG_INVALID'));
  });

  it('refuses an agent.json that is no JSON, or is cut', async () => {
    await (await openDataDirectory(data, key)).close();
    for (const text of ['', '{"formatVersion":1', '{"kind":"agent"}']) {
      await writeFile(join(data, 'agent.json'), text);
      await assert.rejects(openDataDirectory(data, key), refusal('STORE_CORRUPT'));
    }
  });

  it('cuts a torn last line of the decision log and goes on behind the last whole one', async () => {
    const path = join(folder.path, 'lines');
    const read = async (file: LineFile): Promise<string[]> => {
      const lines: string[] = [];
      for await (const line of file.read()) lines.push(new TextDecoder().decode(line));
      return lines;
    };
    const first = await LineFile.open(path);
    await Promise.all(['one', 'two'].map((text) => first.append(new TextEncoder().encode(text))));
    await appendFile(path, 'torn');
    const second = await LineFile.open(path);
    await second.append(new TextEncoder().encode('three'));
    assert.deepEqual(await read(second), ['one', 'two', 'three']);
  });
});
