import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { dataPaths } from '@tributary/coordinator/internal/adapters/data-directory.js';
import { openStores, type Stores } from '@tributary/coordinator/internal/adapters/stores.js';
import { digestOf, leafHash, MerkleFrontier } from '@tributary/proto';

import { collect } from '../support/bytes.js';
import {
  blobOf,
  checkpointOf,
  chunkOf,
  entryOf,
  secretOf,
  WRITER_KEY,
  WRITER_UPLOAD,
  type WriterKind,
} from '../support/store-writer.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

const WRITER = join(import.meta.dirname, '../support/store-writer.js');
const KILLS = 4;

/** Starts the writer, kills it (SIGKILL) after `writes` acknowledgements, and returns the last number it printed. */
async function killAfter(root: string, kind: WriterKind, writes: number): Promise<number> {
  const child = spawn(process.execPath, [WRITER, root, kind], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'close');
  let [last, lines] = [0, 0];
  for await (const line of createInterface({ input: child.stdout })) {
    last = Number(line);
    lines += 1;
    // Lines that were on their way when the signal was sent are acknowledgements too.
    if (lines === writes) child.kill('SIGKILL');
  }
  const [, signal] = (await exited) as [number | null, NodeJS.Signals | null];
  assert.equal(signal, 'SIGKILL');
  return last;
}

const checks: Record<WriterKind, (stores: Stores, acknowledged: number) => Promise<void>> = {
  ledger: async ({ ledger }, acknowledged) => {
    const size = ledger.size();
    assert.ok(size >= acknowledged, `${String(size)} of ${String(acknowledged)} acknowledged entries`);
    // Whole batches only: of 1, 2, 3 and 4 entries in turn, so 1, 3, 7 (as size % 4 goes) and so on.
    assert.ok(batchEnds(size).has(size), `${String(size)} entries: part of a batch`);
    const frontier = MerkleFrontier.empty();
    for await (const { seq, bytes } of ledger.read(0, size)) {
      assert.deepEqual(bytes, entryOf(seq));
      frontier.append(leafHash(bytes));
    }
    assert.deepEqual(await ledger.rootHash(size), frontier.root());
  },
  blobs: async ({ blobs }, acknowledged) => {
    for (let index = 0; index < acknowledged; index += 1) {
      assert.deepEqual(await collect(blobs.read(digestOf(blobOf(index)))), blobOf(index));
    }
    for await (const digest of blobs.list()) await collect(blobs.read(digest));
  },
  vault: async ({ vault }, acknowledged) => {
    const held = Buffer.from((await vault.get('round')) ?? []);
    const possible = [acknowledged - 1, acknowledged].map((index) => Buffer.from(secretOf(index)));
    assert.ok(
      possible.some((secret) => secret.equals(held)),
      'neither the last acknowledged secret nor the one after it',
    );
  },
  spool: async ({ spools }, acknowledged) => {
    const spool = await spools.open(WRITER_UPLOAD);
    assert.ok(spool);
    assert.ok(
      spool.chunkCount() >= acknowledged,
      `${String(spool.chunkCount())} of ${String(acknowledged)} chunks`,
    );
    let index = 0;
    for await (const chunk of spool.chunks()) assert.equal(Buffer.compare(chunk, chunkOf(index++)), 0);
    assert.equal(index, spool.chunkCount());
    await spool.close();
  },
  checkpoints: async ({ checkpoints }, acknowledged) => {
    const held = Buffer.from(await collect(checkpoints.get('round') ?? assert.fail('no checkpoint')));
    const possible = [acknowledged - 1, acknowledged].map((index) => Buffer.concat(checkpointOf(index)));
    assert.ok(
      possible.some((checkpoint) => checkpoint.equals(held)),
      'neither the last acknowledged checkpoint nor the one after it',
    );
  },
};

function batchEnds(limit: number): Set<number> {
  const ends = new Set([0]);
  for (let size = 0; size <= limit; ends.add(size)) size += 1 + (size % 4);
  return ends;
}

describe('stores under kill -9', function () {
  this.timeout(120_000);

  for (const kind of ['ledger', 'blobs', 'vault', 'spool', 'checkpoints'] as const) {
    it(`${kind}: no acknowledged write is lost and none is half there`, async () => {
      const directory = await temporaryDirectory();
      try {
        for (let kill = 0; kill < KILLS; kill += 1) {
          const acknowledged = await killAfter(directory.path, kind, 5 + 7 * kill);
          const stores = await openStores(dataPaths(directory.path), {
            sealingKey: WRITER_KEY,
            verify: true,
          });
          try {
            await checks[kind](stores, acknowledged);
          } finally {
            await stores.close();
          }
        }
      } finally {
        await directory.remove();
      }
    });
  }

  it('lets one process at a time into a directory', async () => {
    const directory = await temporaryDirectory();
    const child = spawn(process.execPath, [WRITER, directory.path, 'ledger'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'close');
    try {
      await once(child.stdout, 'data');
      await assert.rejects(openStores(dataPaths(directory.path), { sealingKey: WRITER_KEY }), {
        code: 'STORE_LOCKED',
      });
    } finally {
      child.kill('SIGKILL');
      child.stdout.resume();
      await exited;
    }
    const stores = await openStores(dataPaths(directory.path), { sealingKey: WRITER_KEY });
    assert.ok(stores.ledger.size() > 0);
    await stores.close();
    await directory.remove();
  });
});
