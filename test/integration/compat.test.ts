import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { chmod, cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { restoreBackup } from '@tributary/coordinator/internal/adapters/backup/restore.js';
import { openDataDirectory } from '@tributary/coordinator/internal/adapters/data-directory.js';
import { openStores } from '@tributary/coordinator/internal/adapters/stores.js';
import { systemClock } from '@tributary/coordinator/internal/adapters/system/system-clock.js';
import { openVaultSigner } from '@tributary/coordinator/internal/adapters/system/vault-signer.js';
import { requireSealingKey } from '@tributary/coordinator/internal/adapters/vault/sealing-key.js';
import { openFederation } from '@tributary/coordinator/internal/app/federation.js';
import { openDataDirectory as openAgentDirectory } from '@tributary/edge-agent/internal/adapters/files/data-directory.js';
import { requireEnrolment } from '@tributary/edge-agent/internal/app/enrolment-record.js';
import { decodeEntry, digestOf, encodeHex, requireDigest } from '@tributary/proto';

import { collect } from '../support/bytes.js';
import { BINARIES, Daemon, repositoryRoot } from '../support/daemon.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';
import type { CompatExpectation } from '../support/write-compat.js';

const COMPAT = join(repositoryRoot, 'test/data/compat');
const versions = readdirSync(COMPAT).sort();

/** What directories before 0.3.0 hold. */
const JOBS_OF_THE_FIRST: CompatExpectation['jobs'] = [
  ['first', 'Complete'],
  ['second', 'Running'],
];

/** Directories that released builds wrote (test/support/write-compat.ts): this build must read every one of them. */
describe('data of earlier versions', function () {
  this.timeout(60_000);
  let directory: TemporaryDirectory;

  beforeEach(async () => {
    directory = await temporaryDirectory();
  });
  afterEach(() => directory.remove());

  /** A copy to work on: opening writes. Git keeps no modes, and a sealing key that others may read is refused. */
  const copy = async (version: string, part: string): Promise<string> => {
    const target = join(directory.path, part);
    await cp(join(COMPAT, version, part), target, { recursive: true });
    await chmod(join(target, 'seal.key'), 0o600);
    return target;
  };
  const expectation = async (version: string): Promise<CompatExpectation> => ({
    jobs: JOBS_OF_THE_FIRST,
    ...(JSON.parse(await readFile(join(COMPAT, version, 'expected.json'), 'utf8')) as Omit<
      CompatExpectation,
      'jobs'
    >),
  });

  it('is there, for one version at least', () => {
    assert.ok(versions.length > 0);
  });

  for (const version of versions) {
    it(`${version}: the coordinator's ledger, models, keys and spools`, async () => {
      const expected = await expectation(version);
      const { paths, identity } = await openDataDirectory(await copy(version, 'coordinator'));
      assert.equal(identity.logId, expected.logId);
      const stores = await openStores(paths, {
        sealingKey: await requireSealingKey(paths.sealKey),
        verify: true,
      });
      try {
        const { ledger, blobs, spools, vault } = stores;
        assert.ok(ledger.size() >= expected.treeSize);
        assert.equal(encodeHex(await ledger.rootHash(expected.treeSize)), expected.rootHash);
        for await (const { seq, bytes } of ledger.read(0, ledger.size()))
          assert.equal(decodeEntry(bytes).seq, seq);
        const signer = await openVaultSigner(vault, 'tree-head');
        const federation = await openFederation({ store: ledger, signer, clock: systemClock() });
        assert.equal(federation.logId, expected.logId);
        const phases = [...federation.state.jobs.values()].map((job) => [job.name, job.phase]);
        assert.deepEqual(phases, expected.jobs);
        await federation.close();
        const digest = requireDigest(expected.model.weightsDigest, 'weightsDigest');
        assert.equal(digestOf(await collect(blobs.read(digest))), digest);
        for (const name of await vault.list()) assert.ok(await vault.get(name), name);
        const spool = await spools.open(expected.openUpload);
        assert.ok((spool?.chunkCount() ?? 0) > 0);
        await spool?.close();
      } finally {
        await stores.close();
      }
    });

    it(`${version}: the daemon serves on it`, async () => {
      const data = await copy(version, 'coordinator');
      const ports = ['fleet', 'enrol', 'admin', 'health', 'metrics'].flatMap((name) => [
        `--${name}-port`,
        '0',
      ]);
      const args = ['serve', '--data', data, '--listen', '127.0.0.1', ...ports];
      const daemon = new Daemon({ script: BINARIES.coordinator, args, logFile: join(directory.path, 'log') });
      await eventually('the coordinator to serve', async () => {
        if (!daemon.running) assert.fail(await daemon.log());
        return readFile(join(data, 'run/addresses.json')).catch(() => undefined);
      });
      assert.equal((await daemon.stop()).code, 0);
    });

    it(`${version}: the agent's identity and outbox`, async () => {
      const data = await copy(version, 'agent');
      const agent = await openAgentDirectory(data, join(data, 'seal.key'));
      try {
        const enrolment = await requireEnrolment(agent.store);
        assert.equal(enrolment.logId, (await expectation(version)).logId);
        const files = await agent.files.list();
        assert.ok(files.length > 0, 'an update is held');
      } finally {
        await agent.close();
      }
    });

    it(`${version}: its backup`, async () => {
      const expected = await expectation(version);
      const sealingKey = await requireSealingKey(join(await copy(version, 'coordinator'), 'seal.key'));
      const backup = [await readFile(join(COMPAT, version, 'backup.tar'))];
      const restored = await restoreBackup(backup, join(directory.path, 'restored'), { sealingKey });
      assert.equal(restored.identity.logId, expected.logId);
      assert.ok(restored.entries > 0 && restored.entries <= expected.treeSize);
      assert.ok(restored.blobs > 0 && restored.keys >= 3);
    });
  }
});
