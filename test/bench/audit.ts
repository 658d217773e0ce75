import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { encodeEntry, ENTRY_VERSION, type NewEntry } from '@tributary/proto';
import { Ledger, type LedgerClient } from '@tributary/proto/grpc';
import { LevelLedgerStore } from '@tributary/coordinator/internal/adapters/store/level-ledger-store.js';

import { call, ledgerClient } from '../support/channels.js';
import { BINARIES, peakMebibytes } from '../support/daemon.js';
import { LocalFederation } from '../support/federation.js';
import { eventually } from '../support/waiting.js';
import { median, rounded, timed, type BenchCase } from './bench-case.js';

/** Entries that are appended together. */
const BATCH = 5_000;
const PROOFS = 200;
const SAMPLE_MS = 100;
/** Milliseconds within which a ledger without a snapshot is read. */
const FOLD_MS = 600_000;

/** Commands that end; what they take, and their memory at its highest. */
async function measured(federation: LocalFederation, ...words: readonly string[]) {
  let peak = 0;
  const ms = await timed(async () => {
    const child = spawn(process.execPath, [BINARIES.tributary, ...words], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, TRIBUTARY_CONFIG: federation.contextFile },
    });
    const timer = setInterval(() => {
      peakMebibytes(child.pid ?? 0)
        .then((now) => (peak = Math.max(peak, now || 0)))
        .catch(() => undefined);
    }, SAMPLE_MS);
    const code = await new Promise((resolve) => child.once('close', resolve));
    clearInterval(timer);
    if (code !== 0) throw new Error(`${words.join(' ')}: exit ${String(code)}`);
  });
  return { ms, peak };
}

/** Brings the ledger of a stopped coordinator to so many entries, of a kind that leaves its state small. */
async function fill(directory: string, entries: number): Promise<void> {
  const store = await LevelLedgerStore.open(directory);
  const time = new Date().toISOString();
  const entry: NewEntry = {
    ...{ type: 'context.created', actor: 'context/root', subject: 'context/bench' },
    body: { context: 'bench', role: 'viewer', keyDigest: `sha256:${'0'.repeat(64)}` },
  };
  for (let size = store.size(); size < entries; size = store.size()) {
    const count = Math.min(BATCH, entries - size);
    const batch = Array.from({ length: count }, (_, index) =>
      encodeEntry({ ...entry, v: ENTRY_VERSION, seq: size + index, time }),
    );
    await store.append(size, batch);
  }
  await store.close();
}

/** Milliseconds of one call after the other, and of as many at a time as an export asks for. */
async function proofs(
  client: LedgerClient,
  size: number,
): Promise<{ readonly inclusion: number; readonly consistency: number; readonly head: number }> {
  const some = Array.from({ length: PROOFS }, (_, index) => Math.floor((index / PROOFS) * (size - 1)));
  const each = async (ask: (at: number) => Promise<unknown>): Promise<number> => {
    const times: number[] = [];
    for (const at of some) times.push(await timed(async () => void (await ask(at))));
    return median(times);
  };
  const treeSize = String(size);
  return {
    head: await each(() => call(client, Ledger.service, 'GetTreeHead', {})),
    inclusion: await each((at) =>
      call(client, Ledger.service, 'GetInclusionProof', { seq: String(at), treeSize }),
    ),
    consistency: await each((at) =>
      call(client, Ledger.service, 'GetConsistencyProof', { first: String(at + 1), second: treeSize }),
    ),
  };
}

async function hashed(path: string): Promise<void> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  hash.digest();
}

/** Exports a ledger of `entries` entries from a coordinator and verifies the file, by commands. The floor hashes its bytes. */
export const audit: BenchCase = async ({ entries, runs, note }) => {
  const folder = await mkdtemp(join(tmpdir(), 'tributary-bench-'));
  const federation = await LocalFederation.start(folder, 'bench');
  const file = join(folder, 'ledger.ndjson');
  try {
    await federation.coordinator.stop();
    await fill(join(federation.data, 'ledger'), entries);
    const startMs = await timed(async () => {
      await federation.spawnCoordinator();
      await eventually('the ledger to be read', () => federation.addresses().catch(() => undefined), FOLD_MS);
    });
    note(`filled and served in ${startMs.toFixed(0)} ms`);
    const exported = await measured(federation, 'audit', 'export', '--file', file);
    note(`exported in ${exported.ms.toFixed(0)} ms`);
    const client = await ledgerClient(federation);
    const proof = await proofs(client, entries);
    client.close();
    const [times, floors]: [number[], number[]] = [[], []];
    let verifyPeak = 0;
    for (let run = 0; run < runs; run++) {
      const said = await measured(federation, 'audit', 'verify', '--file', file, '--head', file);
      times.push(said.ms);
      verifyPeak = Math.max(verifyPeak, said.peak);
      floors.push(await timed(() => hashed(file)));
      note(`run ${String(run + 1)}: ${said.ms.toFixed(0)} ms, floor ${(floors.at(-1) ?? 0).toFixed(0)} ms`);
    }
    const [ms, floorMs] = [median(times), median(floors)];
    return {
      ms: rounded(ms),
      floorMs: rounded(floorMs),
      ratio: rounded(ms / floorMs),
      entries,
      mebibytes: rounded((await stat(file)).size / 2 ** 20),
      entriesPerSecond: Math.round((entries / ms) * 1_000),
      startMs: rounded(startMs),
      exportMs: rounded(exported.ms),
      proofMs: Object.fromEntries(Object.entries(proof).map(([name, value]) => [name, rounded(value)])),
      rssMiB: {
        verify: verifyPeak,
        export: exported.peak,
        coordinator: await federation.coordinator.peakMebibytes(),
      },
    };
  } finally {
    await federation.stop();
    await rm(folder, { recursive: true, force: true });
  }
};
