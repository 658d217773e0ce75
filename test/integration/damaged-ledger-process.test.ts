import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { LevelLedgerStore } from '@tributary/coordinator/internal/adapters/store/level-ledger-store.js';
import { encodeEntry, ERROR_TABLE, LIMITS } from '@tributary/proto';
import { Level } from 'level';

import { BINARIES, Daemon, runCommand } from '../support/daemon.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

const PORTS = ['fleet', 'enrol', 'admin', 'health', 'metrics'].flatMap((name) => [`--${name}-port`, '0']);
const BATCH = 1_000;

describe('a coordinator of which an old entry, which its snapshot covers, or the certificate was altered', function () {
  this.timeout(90_000);
  let directory: TemporaryDirectory;
  let data: string;
  let ledger: string;

  beforeEach(async () => {
    directory = await temporaryDirectory();
    data = join(directory.path, 'data');
    ledger = join(data, 'ledger');
    const contexts = ['--context-file', join(directory.path, 'operator.yaml')];
    const made = await runCommand(BINARIES.coordinator, [
      ...['init', '--data', data, '--name', 'trial', '--host', '127.0.0.1', ...contexts],
    ]);
    assert.equal(made.code, 0, made.stderr);
  });
  afterEach(() => directory.remove());

  const alter = async (): Promise<void> => {
    const level = new Level<string, Uint8Array>(ledger, { valueEncoding: 'view' });
    const entry = await level.get('e/0000000000000001');
    assert.ok(entry);
    entry[20] = (entry[20] ?? 0) ^ 1;
    await level.put('e/0000000000000001', entry);
    await level.close();
  };

  const grow = async (size: number): Promise<void> => {
    const store = await LevelLedgerStore.open(ledger);
    while (store.size() < size) {
      const first = store.size();
      await store.append(
        first,
        Array.from({ length: BATCH }, (_, at) =>
          encodeEntry({
            ...{ v: 1, seq: first + at, time: '2026-01-02T03:04:05.678Z', actor: 'coordinator' },
            ...{ type: 'alarm.raised', subject: 'agent/agt-1' },
            body: { code: 'PROOF_INVALID', detail: 'of a test' },
          }),
        ),
      );
    }
    await store.close();
  };

  const served = async (): Promise<{ readonly code: number | null; readonly log: string }> => {
    const logFile = join(directory.path, 'log');
    const args = ['serve', '--data', data, '--listen', '127.0.0.1', ...PORTS];
    const daemon = new Daemon({ script: BINARIES.coordinator, args, logFile });
    const { code } = await daemon.exited;
    return { code, log: await readFile(logFile, 'utf8') };
  };

  it('names it, and serves nobody', async () => {
    await alter();
    const { code, log } = await served();
    assert.equal(code, ERROR_TABLE.STORE_CORRUPT.exit, log);
    assert.match(log, /ledger entry 1 does not match its hash/);
    assert.doesNotMatch(log, /"serving"/);
  });

  it('names the certificate of its authority where that has another bit, which would reach nobody', async () => {
    const path = join(data, 'ca.pem');
    const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
    const der = Buffer.from(lines.slice(1, -1).join(''), 'base64');
    // Of its own signature, which nothing else looks at.
    der[der.length - 1] = (der.at(-1) ?? 0) ^ 1;
    const encoded = der.toString('base64').match(/.{1,64}/g) ?? [];
    await writeFile(path, [lines[0], ...encoded, lines.at(-1), ''].join('\n'));
    const { code, log } = await served();
    assert.equal(code, ERROR_TABLE.STORE_CORRUPT.exit, log);
    assert.match(log, /ca\.pem: not the certificate that the federation was made with/);
  });

  it('names it while it serves, where the ledger is long, and ends', async () => {
    await grow(LIMITS.entriesVerifiedFirst + 1);
    await alter();
    const { code, log } = await served();
    assert.equal(code, ERROR_TABLE.STORE_CORRUPT.exit, log);
    assert.match(log, /"serving"/);
    assert.match(log, /ledger entry 1 does not match its hash/);
  });
});
