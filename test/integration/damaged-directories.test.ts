import assert from 'node:assert/strict';
import { cp, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { dataPaths } from '@tributary/coordinator/internal/adapters/data-directory.js';
import { makeDirectory } from '@tributary/proto/node';
import { LevelLedgerStore } from '@tributary/coordinator/internal/adapters/store/level-ledger-store.js';
import { openStores } from '@tributary/coordinator/internal/adapters/stores.js';
import { openDataDirectory } from '@tributary/edge-agent/internal/adapters/files/data-directory.js';
import { sha256, TributaryError } from '@tributary/proto';
import fc from 'fast-check';
import { Level } from 'level';

import { collect, collectAll, patternBytes } from '../support/bytes.js';
import { flipBit } from '../support/damage.js';
import { propertyRuns } from '../support/property-runs.js';
import { blobOf, checkpointOf, entryOf, WRITER_KEY, WRITER_UPLOAD } from '../support/store-writer.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

/** What a store may say of damage; anything else would be a crash, or a guess. */
const NAMED = new Set(['STORE_CORRUPT', 'SEAL_BROKEN', 'FORMAT_UNSUPPORTED', 'NOT_FOUND']);
const ENTRIES = 30;
/** Of them, so many lie in a table of the database, the others in its log. */
const TABLED = 15;
const SPOOL_CHUNK = 64 * 1024;

/** Everything that a directory holds, by name; what is damaged is an error instead. */
type Content = Map<string, Buffer | TributaryError>;

const read = async (content: Content, name: string, work: () => Promise<Uint8Array>): Promise<void> => {
  const bytes = await work().catch((error: unknown) => {
    if (error instanceof TributaryError && NAMED.has(error.code)) return error;
    throw error;
  });
  content.set(name, bytes instanceof TributaryError ? bytes : Buffer.from(bytes));
};

const SITES = ['east', 'north', 'south', 'west'];
/** Their signature covers what sites sign: here it is a checksum. */
const signedBy = (site: string): Buffer => {
  const said = patternBytes(300, site.length + site.charCodeAt(0));
  return Buffer.concat([said, sha256(said)]);
};
const isSigned = (bytes: Uint8Array): boolean =>
  Buffer.from(sha256(bytes.subarray(0, 300))).equals(Buffer.from(bytes.subarray(300)));

/** Moves what the database of a ledger holds from its log into a table. */
async function compact(directory: string): Promise<void> {
  // The types are those of every platform; Node's has this too.
  const level = new Level(directory) as Level & {
    compactRange(start: string, end: string): Promise<void>;
  };
  await level.compactRange('', '~');
  await level.close();
}

async function fillCoordinator(root: string): Promise<void> {
  const { ledger } = dataPaths(root);
  await makeDirectory(root);
  const first = await LevelLedgerStore.open(ledger);
  for (let seq = 0; seq < TABLED; seq += 1) await first.append(seq, [entryOf(seq)]);
  await first.putCosignatures(new Map(SITES.map((site) => [site, signedBy(site)])));
  await first.close();
  await compact(ledger);
  const stores = await openStores(dataPaths(root), { sealingKey: WRITER_KEY });
  for (let seq = TABLED; seq < ENTRIES; seq += 1) await stores.ledger.append(seq, [entryOf(seq)]);
  await stores.ledger.putSnapshot(20, patternBytes(3_000, 20));
  for (let index = 0; index < 3; index += 1) await stores.blobs.put([blobOf(index).subarray(0, 9_000)]);
  for (const name of ['ca', 'log']) await stores.vault.put(name, patternBytes(64, name.length));
  await stores.checkpoints.put('round', checkpointOf(0));
  const header = {
    ...{ uploadId: WRITER_UPLOAD, agentId: 'agt-1', site: 'north' },
    ...{ header: patternBytes(200), signature: patternBytes(64) },
  };
  const spool = await stores.spools.create(header, SPOOL_CHUNK);
  await spool.append(patternBytes(SPOOL_CHUNK + 16, 3));
  await spool.sync();
  await spool.close();
  await stores.close();
}

async function readCoordinator(root: string): Promise<Content> {
  const content: Content = new Map();
  const stores = await openStores(dataPaths(root), { sealingKey: WRITER_KEY, verify: true });
  try {
    await read(content, 'root', () => stores.ledger.rootHash(stores.ledger.size()));
    for await (const { seq, bytes } of stores.ledger.read(0, stores.ledger.size()))
      content.set(`entry ${String(seq)}`, Buffer.from(bytes));
    await read(
      content,
      'snapshot',
      async () => (await stores.ledger.latestSnapshot())?.snapshot ?? new Uint8Array(),
    );
    await read(content, 'cosignatures', async () => {
      const records = await collectAll(stores.ledger.cosignatures());
      if (!records.every(isSigned)) throw new TributaryError('STORE_CORRUPT', 'no signature of the site');
      return Buffer.concat(records);
    });
    for await (const digest of stores.blobs.list())
      await read(content, digest, () => collect(stores.blobs.read(digest)));
    for (const name of await stores.vault.list())
      await read(content, name, async () => (await stores.vault.get(name)) ?? new Uint8Array());
    for (const name of await stores.checkpoints.list())
      await read(content, name, () => collect(stores.checkpoints.get(name) ?? assert.fail(name)));
    for (const name of await stores.spools.list())
      await read(content, name, async () => {
        const spool = await stores.spools.open(name);
        await spool?.close();
        // Its chunks are ciphertext, and verified where they are opened.
        return spool?.header.header ?? new Uint8Array();
      });
  } finally {
    await stores.close();
  }
  return content;
}

const siteKey = (root: string): string => join(root, '../seal.key');

async function fillSite(root: string): Promise<void> {
  const data = await openDataDirectory(root, siteKey(root));
  for (let index = 0; index < 3; index += 1) {
    await data.files.writeSealed(`upl-${String(index)}.delta`, [patternBytes(5_000, index + 1)]);
    await data.checkpoints.writeSealed(`job-${String(index)}.checkpoint`, [patternBytes(2_000, index + 7)]);
  }
  const streams = await data.openStreams();
  for (let index = 0; index < 20; index += 1) {
    await data.store.put({
      [`record/${String(index)}`]: patternBytes(200, index),
      newest: patternBytes(9, index),
    });
    await streams.write('beats', [{ key: String(index), state: patternBytes(100, index) }]);
  }
  await streams.close();
  await data.close();
}

async function readSite(root: string): Promise<Content> {
  const content: Content = new Map();
  const data = await openDataDirectory(root, siteKey(root));
  try {
    for (const files of [data.files, data.checkpoints])
      for (const name of await files.list()) await read(content, name, () => collect(files.readSealed(name)));
    for await (const { key, value } of data.store.list('')) content.set(key, Buffer.from(value));
    const streams = await data.openStreams();
    try {
      for await (const { key, state } of streams.read('beats'))
        if (state !== undefined) content.set(`beat ${key}`, Buffer.from(state));
    } finally {
      await streams.close();
    }
  } finally {
    await data.close();
  }
  return content;
}

interface Side {
  readonly name: string;
  readonly fill: (root: string) => Promise<void>;
  readonly open: (root: string) => Promise<Content>;
  /** Files whose damage is looked at. */
  readonly isData: (path: string) => boolean;
  /** What may be missing afterwards: caches, and what says by its absence that it is damaged. */
  readonly mayLack: ReadonlySet<string>;
}

/** LevelDB's own logs and locks hold nothing. */
const isNoise = (path: string): boolean => /(^|[\\/])(LOG|LOG\.old|LOCK)$/.test(path);

const SIDES: readonly Side[] = [
  {
    name: 'coordinator',
    fill: fillCoordinator,
    open: readCoordinator,
    isData: (path) => !isNoise(path),
    mayLack: new Set(),
  },
  {
    name: 'site',
    fill: fillSite,
    open: readSite,
    isData: (path) => !isNoise(path),
    mayLack: new Set(),
  },
];

describe('directories in which a bit was flipped', function () {
  this.timeout(180_000);
  let folder: TemporaryDirectory;

  beforeEach(async () => (folder = await temporaryDirectory()));
  afterEach(() => folder.remove());

  for (const side of SIDES)
    it(`of a ${side.name}: any flipped bit is named, or changes nothing`, async () => {
      const [whole, copy] = [join(folder.path, 'whole'), join(folder.path, 'copy')];
      await side.fill(whole);
      const expected = await side.open(whole);
      const files = await dataFiles(whole, side.isData);
      assert.ok(files.length >= 5, files.join());
      const outcomes = { named: 0, harmless: 0 };
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...files),
          fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
          fc.nat(7),
          async (file, place, bit) => {
            // What was refused may still be making a folder.
            await rm(copy, { recursive: true, force: true, maxRetries: 5 });
            await cp(whole, copy, { recursive: true });
            const path = join(copy, file);
            await flipBit(path, Math.floor(place * (await stat(path)).size), bit);
            const named = await outcome(() => side.open(copy), expected, side.mayLack);
            outcomes[named ? 'named' : 'harmless'] += 1;
          },
        ),
        { numRuns: propertyRuns(80) },
      );
      assert.ok(outcomes.named > outcomes.harmless, JSON.stringify(outcomes));
    });
});

/** Whether the damage was named; throws where something else was read than was written. */
async function outcome(
  open: () => Promise<Content>,
  expected: Content,
  mayLack: ReadonlySet<string>,
): Promise<boolean> {
  let content: Content;
  try {
    content = await open();
  } catch (error) {
    if (error instanceof TributaryError && NAMED.has(error.code)) return true;
    throw error;
  }
  for (const [name, bytes] of content) {
    if (bytes instanceof TributaryError) return true;
    const written = expected.get(name);
    assert.ok(written instanceof Buffer, `${name} was never written`);
    assert.ok(written.equals(bytes), `${name} was read as something else`);
  }
  for (const name of expected.keys()) assert.ok(content.has(name) || mayLack.has(name), `${name} is gone`);
  return content.size < expected.size;
}

async function dataFiles(root: string, isData: (path: string) => boolean): Promise<readonly string[]> {
  const found: string[] = [];
  for (const entry of await readdir(root, { recursive: true })) {
    const { size, ...of } = await stat(join(root, entry)).then((info) => ({
      size: info.size,
      file: info.isFile(),
    }));
    if (of.file && size > 0 && isData(entry)) found.push(entry);
  }
  return found.sort();
}
