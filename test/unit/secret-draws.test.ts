import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';

import { decodeEntry, encodeBase64, signingKeyFromSeed, x25519PublicKey } from '@tributary/proto';
import { MemoryKeyVault } from '@tributary/coordinator/internal/adapters/memory/key-vault.js';
import { createVaultSigner } from '@tributary/coordinator/internal/adapters/system/vault-signer.js';
import { MemoryStateStore } from '@tributary/edge-agent/internal/adapters/store/memory-state-store.js';
import { tlsKeyMaker } from '@tributary/edge-agent/internal/adapters/tls/tls-keys.js';
import { systemRandom } from '@tributary/edge-agent/internal/adapters/system/random.js';
import { readPendingJoin } from '@tributary/edge-agent/internal/app/enrolment-record.js';
import { join as joinFederation } from '@tributary/edge-agent/internal/app/joining.js';
import { versionKey } from '@tributary/edge-agent/internal/app/version-key.js';
import { roundKey } from '@tributary/edge-agent/internal/domain/round-key.js';
import type { EnrolRequest, FleetClient, StateStore } from '@tributary/edge-agent/internal/ports.js';

import { repositoryRoot } from '../support/daemon.js';
import { SecureWorld } from '../support/secure-world.js';
import { TrainingWorld } from '../support/training-world.js';

/**
 * Every place that draws randomness, and what becomes of it. `stored`: a secret, durable before what follows from it
 * leaves the process; the tests below look at that. Anything else says why nothing has to be stored.
 */
const DRAWS: Readonly<Record<string, string>> = {
  'coordinator/src/adapters/grpc/admin/jobs.ts': 'id, public',
  'coordinator/src/adapters/grpc/admin/sites.ts':
    'join token: shown once, its public key is in the ledger before',
  'coordinator/src/adapters/grpc/challenges.ts': 'nonce, public; a restart asks anew',
  'coordinator/src/adapters/grpc/enrolment-service.ts': 'id, public',
  'coordinator/src/adapters/pki/certificate-authority.ts': 'serial number, public',
  'coordinator/src/adapters/pki/p256-key.ts':
    'stored: the authority by init; server keys are made anew at each start; the key of a context that is lost is replaced by another context',
  'coordinator/src/adapters/system/system-random.ts': 'the port itself',
  'coordinator/src/adapters/system/vault-signer.ts': 'stored',
  'coordinator/src/adapters/vault/sealing-key.ts': 'stored: written durably before it is returned',
  'coordinator/src/app/round-keys.ts': 'stored',
  'coordinator/src/app/round-steps.ts': 'selection seed, public: it is in round.opened',
  'coordinator/src/cli/commands/author.ts':
    'author key of the operator, in the file of contexts before it is printed',
  'coordinator/src/cli/federation/root-key.ts': 'root key, in its file before it is printed',
  'coordinator/src/commands/first-context.ts':
    'author key of the operator, in the file of contexts before it is used',
  'coordinator/src/commands/init.ts': 'id, public',
  'edge-agent/src/adapters/datasets/duckdb-session.ts': 'name of a temporary file',
  'edge-agent/src/adapters/datasets/row-file.ts': 'name of a temporary file',
  'edge-agent/src/adapters/files/sealing-key.ts': 'stored: written durably before it is returned',
  'edge-agent/src/adapters/inference/batch.ts': 'id, public',
  'edge-agent/src/adapters/tls/tls-keys.ts': 'stored',
  'edge-agent/src/app/agent.ts': 'low half of the session epoch; durable before the hello',
  'edge-agent/src/app/joining.ts': 'stored',
  'edge-agent/src/app/outbox.ts': 'id, public',
  'edge-agent/src/app/pause.ts': 'jitter',
  'edge-agent/src/app/secure/secure-rounds.ts': 'stored',
  'edge-agent/src/app/submission.ts':
    'content key of one envelope: an envelope that is not whole in its file is made anew under another id and key',
  'edge-agent/src/app/version-key.ts': 'stored',
  'proto/src/node/durable-file.ts': 'name of a temporary file',
  'proto/src/sealing/sealing.ts': 'salt of a sealed file, in its header',
};

const DRAW = /\brandom\.bytes\(|\brandomBytes\(|\.generateKey\(|generateKeyPairSync\(|getRandomValues\(/;

/** Becomes durable some turns after it was asked to: what does not wait for it finds nothing. */
class SlowStore implements StateStore {
  readonly inner = new MemoryStateStore();
  get = (key: string): Promise<Uint8Array | undefined> => this.inner.get(key);
  list = (prefix: string): ReturnType<StateStore['list']> => this.inner.list(prefix);
  close = (): Promise<void> => this.inner.close();
  async put(changes: Readonly<Record<string, Uint8Array | undefined>>): Promise<void> {
    for (let turns = 0; turns < 3; turns += 1) await turn();
    await this.inner.put(changes);
  }
}

describe('secret randomness is drawn once and stored before it is used', () => {
  it('at every place that draws', async () => {
    const drawing: string[] = [];
    for (const workspace of ['proto', 'coordinator', 'edge-agent']) {
      const root = join(repositoryRoot, workspace, 'src');
      for (const name of await readdir(root, { recursive: true })) {
        if (!name.endsWith('.ts') || name.startsWith('gen/')) continue;
        if (DRAW.test(await readFile(join(root, name), 'utf8'))) drawing.push(`${workspace}/src/${name}`);
      }
    }
    assert.deepEqual(drawing.sort(), Object.keys(DRAWS).sort());
  });

  it('the key of a round is in the vault when its public half is recorded', async () => {
    const world = await TrainingWorld.create(['east', 'west']);
    const append = world.ledger.append.bind(world.ledger);
    const announced: string[] = [];
    world.ledger.append = async (size, entries) => {
      for (const entry of entries.map((bytes) => decodeEntry(bytes))) {
        if (entry.type !== 'round.opened') continue;
        const { jobId, round, attempt } = entry.body;
        const secret = await world.vault.get(`round.${jobId}.${String(round)}.${String(attempt)}`);
        assert.ok(secret !== undefined, 'a round key was announced before it was stored');
        assert.equal(encodeBase64(x25519PublicKey(secret)), entry.body.roundKey);
        announced.push(entry.body.roundKey);
      }
      await append(size, entries);
    };
    const put = world.vault.put.bind(world.vault);
    world.vault.put = async (name, secret) => {
      for (let turns = 0; turns < 3; turns += 1) await turn();
      await put(name, secret);
    };
    for (const agent of world.agents.values()) agent.automatic = true;
    world.connectAll();
    await world.finished(await world.submit('loans', { rounds: 2 }));
    assert.equal(new Set(announced).size, 3, 'two rounds and the evaluation, each with a key of its own');
    await world.close();
  });

  it('seeds and secret keys of a site in a secure round, and all that it says, before each message', async () => {
    const secure = await SecureWorld.begin(4);
    let messages = 0;
    for (const site of secure.sites.values()) {
      const store = new SlowStore();
      site.store = store as unknown as MemoryStateStore;
      const submit = site.client.submitStage.bind(site.client);
      const client: { -readonly [K in keyof FleetClient]: FleetClient[K] } = site.client;
      client.submitStage = async (message) => {
        const key = roundKey(message);
        const secrets = await site.records.secrets(key);
        assert.ok(secrets !== undefined, `${message.stage}: nothing was stored`);
        const answer = await site.records.answered(key, message.stage as 'share');
        assert.deepEqual(
          [answer?.payload, answer?.signature, answer?.attachments],
          [message.payload, message.signature, message.attachments],
        );
        if (message.stage === 'advertise') {
          const said = JSON.parse(Buffer.from(message.payload).toString()) as Record<string, string>;
          assert.equal(said['maskKey'], encodeBase64(x25519PublicKey(secrets.maskSecret)));
          assert.equal(said['sealKey'], encodeBase64(x25519PublicKey(secrets.sealSecret)));
        }
        messages += 1;
        await submit(message);
      };
    }
    assert.equal((await secure.finished()).phase, 'Complete');
    await secure.world.training.stop();
    assert.ok(messages >= 4 * 4, `${String(messages)} messages`);
  });

  it('the identity and TLS keys of a site before they are shown to anybody', async () => {
    const store = new SlowStore();
    const asked: EnrolRequest[] = [];
    const authority = Uint8Array.of(1, 2, 3);
    const dialer = {
      hasBundle: true,
      presentedChain: () => Promise.resolve([authority]),
      enrolment: () =>
        Promise.resolve({
          enroll: async (request: EnrolRequest): Promise<never> => {
            const pending = await readPendingJoin(store);
            assert.ok(pending !== undefined, 'the keys were shown before they were stored');
            assert.deepEqual(signingKeyFromSeed(pending.identitySeed).publicKey, request.identityKey);
            assert.deepEqual(Buffer.from(pending.csr), Buffer.from(request.csr));
            asked.push(request);
            throw new Error('the answer is lost');
          },
          close: () => undefined,
        }),
    };
    const parts = {
      ...{ store, dialer: dialer as never, keys: tlsKeyMaker, certificates: {} as never },
      ...{ random: systemRandom, clock: { now: () => 0, at: () => () => undefined } },
    };
    const token = {
      ...{ tokenId: `tok-${'a'.repeat(32)}`, site: 'west', seed: new Uint8Array(32).fill(5) },
      ...{ caDigest: `sha256:${'0'.repeat(64)}` as const, enrolAddress: '127.0.0.1:1' },
    };
    for (let attempt = 0; attempt < 2; attempt += 1)
      await assert.rejects(joinFederation(parts, token), /the answer is lost/);
    assert.deepEqual(asked[1]?.identityKey, asked[0]?.identityKey, 'drawn once');
    assert.deepEqual(asked[1]?.csr, asked[0]?.csr);
  });

  it('the secret of data versions, and signing keys of a coordinator', async () => {
    const store = new SlowStore();
    const key = await versionKey(store, systemRandom);
    assert.deepEqual(await versionKey(store, systemRandom), key);
    const vault = new MemoryKeyVault();
    const put = vault.put.bind(vault);
    vault.put = async (name, secret) => {
      const copy = Uint8Array.from(secret);
      for (let turns = 0; turns < 3; turns += 1) await turn();
      await put(name, copy);
    };
    const signer = await createVaultSigner(vault, 'log', systemRandom);
    const seed = await vault.get('log');
    assert.ok(seed !== undefined, 'a key was used before it was stored');
    assert.deepEqual(signingKeyFromSeed(seed).publicKey, signer.publicKey);
    await assert.rejects(createVaultSigner(vault, 'log', systemRandom), { code: 'ALREADY_EXISTS' });
  });
});
