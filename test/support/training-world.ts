import { randomBytes } from 'node:crypto';

import {
  canonicalText,
  digestOf,
  encodeBase64,
  formatId,
  LIMITS,
  parseFederatedJob,
  signDocument,
  signingKeyFromSeed,
  type FederatedJobInput,
  type JsonObject,
  type LedgerEntry,
  type SigningKey,
} from '@tributary/proto';
import { MemoryBlobStore } from '@tributary/coordinator/internal/adapters/memory/blob-store.js';
import { MemoryCheckpointStore } from '@tributary/coordinator/internal/adapters/memory/checkpoint-store.js';
import { MemoryKeyVault } from '@tributary/coordinator/internal/adapters/memory/key-vault.js';
import { MemoryLedgerStore } from '@tributary/coordinator/internal/adapters/memory/ledger-store.js';
import { ManualClock } from '@tributary/coordinator/internal/adapters/memory/manual-clock.js';
import { MemorySpoolStore } from '@tributary/coordinator/internal/adapters/memory/spool-store.js';
import type { AppLog } from '@tributary/coordinator/internal/app/app-log.js';
import { openFederation, type Federation } from '@tributary/coordinator/internal/app/federation.js';
import { Training } from '@tributary/coordinator/internal/app/training.js';
import type { JobState } from '@tributary/coordinator/internal/domain/federation-state.js';
import type { RoundState } from '@tributary/coordinator/internal/domain/rounds/round-state.js';
import type { SpoolStore } from '@tributary/coordinator/internal/ports.js';

import { Power } from './power.js';
import { SimulatedAgent } from './simulated-agent.js';

export const START_MS = Date.UTC(2026, 0, 1);

const key = (byte: number): SigningKey => signingKeyFromSeed(new Uint8Array(32).fill(byte));
export const LOG_KEY = key(1);
export const MODEL_KEY = key(2);
const AUTHOR = key(3);

type Spec = FederatedJobInput['spec'];

/**
 * A coordinator's application over stores in memory that outlive it, and its simulated agents. Time moves only when a
 * test says so.
 */
export class TrainingWorld {
  readonly clock = new ManualClock(START_MS);
  readonly ledger = new MemoryLedgerStore();
  readonly blobs = new MemoryBlobStore();
  readonly spools = new MemorySpoolStore();
  readonly checkpoints = new MemoryCheckpointStore();
  readonly vault = new MemoryKeyVault();
  readonly agents = new Map<string, SimulatedAgent>();
  /** What was logged at warn or above. */
  readonly complaints: { readonly fields: Readonly<Record<string, unknown>>; readonly message: string }[] =
    [];
  power = new Power();
  #federation: Federation | undefined;
  #training: Training | undefined;

  /** A federation of approved sites, none connected. */
  static async create(sites: readonly string[]): Promise<TrainingWorld> {
    const world = new TrainingWorld();
    await world.boot();
    await world.federation.execute({
      kind: 'create-federation',
      ...world.asked(),
      federationId: formatId('fed', randomBytes(16)),
      name: 'test',
      logKey: encodeBase64(LOG_KEY.publicKey),
      modelKey: encodeBase64(MODEL_KEY.publicKey),
      caDigest: digestOf(Uint8Array.of(1)),
    });
    for (const site of sites) await world.enrol(site);
    return world;
  }

  get federation(): Federation {
    if (this.#federation === undefined) throw new Error('not booted');
    return this.#federation;
  }

  get training(): Training {
    if (this.#training === undefined) throw new Error('not booted');
    return this.#training;
  }

  asked(): { now: number; actor: string } {
    return { now: this.clock.now(), actor: 'context/test' };
  }

  /** Starts the application over the stores as they are. */
  async boot(power = new Power()): Promise<void> {
    this.power = power;
    const log: AppLog = {
      debug: () => undefined,
      info: () => undefined,
      warn: (fields, message) => this.#complain(power, fields, message),
      error: (fields, message) => this.#complain(power, fields, message),
    };
    const clock = power.wire(this.clock);
    const store = power.wire(this.ledger, ['append']);
    this.#federation = await openFederation({ store, signer: LOG_KEY, clock });
    this.#training = await Training.start({
      federation: this.#federation,
      blobs: power.wire(this.blobs, ['put', 'delete']),
      spools: wireSpools(power, this.spools),
      checkpoints: power.wire(this.checkpoints, ['put', 'delete']),
      vault: power.wire(this.vault, ['put', 'delete']),
      modelSigner: MODEL_KEY,
      clock,
      random: { bytes: (length) => new Uint8Array(randomBytes(length)) },
      log,
    });
  }

  /** Ends the process without warning and starts another one; agents have to connect again. */
  async crash(power = new Power()): Promise<void> {
    this.power.off = true;
    for (const agent of this.agents.values()) agent.disconnected();
    await this.boot(power);
  }

  async enrol(site: string): Promise<SimulatedAgent> {
    const identity = signingKeyFromSeed(randomBytes(32));
    const tokenId = formatId('tok', randomBytes(16));
    const agentId = formatId('agt', randomBytes(16));
    const tokenKey = encodeBase64(key(9).publicKey);
    await this.federation.execute({
      kind: 'create-token',
      ...this.asked(),
      tokenId,
      site,
      labels: {},
      key: tokenKey,
      ttlMs: 0,
      approve: true,
    });
    await this.federation.execute({
      kind: 'enrol-agent',
      ...this.asked(),
      tokenId,
      identityKey: encodeBase64(identity.publicKey),
      keyDigest: digestOf(identity.publicKey),
      agentId,
    });
    const agent = new SimulatedAgent({ world: this, site, agentId, identity });
    this.agents.set(site, agent);
    return agent;
  }

  agent(site: string): SimulatedAgent {
    const agent = this.agents.get(site);
    if (agent === undefined) throw new Error(`no agent of ${site}`);
    return agent;
  }

  connectAll(): void {
    for (const agent of this.agents.values()) agent.connect();
  }

  /** Submits a job; resolves with its id. */
  async submit(name: string, spec: Partial<Spec> = {}): Promise<string> {
    const document = jobOf(name, spec);
    const jobId = formatId('job', randomBytes(16));
    await this.federation.execute({
      kind: 'submit-job',
      ...this.asked(),
      jobId,
      document: canonicalText(document),
      authorKey: encodeBase64(AUTHOR.publicKey),
      signature: encodeBase64(signDocument(document, AUTHOR)),
    });
    return jobId;
  }

  job(jobId: string): JobState {
    const job = this.federation.state.jobs.get(jobId);
    if (job === undefined) throw new Error('no such job');
    return job;
  }

  /** Waits until the job has an open round with that number (and attempt). */
  openRound(jobId: string, round = 1, attempt = 0): Promise<RoundState> {
    return this.until(`round ${String(round)}.${String(attempt)} to open`, () => {
      const found = this.job(jobId).round;
      const fits = found?.round === round && found.attempt === attempt && found.phase === 'Open';
      return fits ? found : undefined;
    });
  }

  finished(jobId: string): Promise<JobState> {
    return this.until('the job to finish', () => {
      const job = this.job(jobId);
      return job.phase === 'Complete' || job.phase === 'Failed' ? job : undefined;
    });
  }

  /** Moves time on, with the heartbeats of the agents that are connected. */
  advance(ms: number): void {
    for (let left = ms; left > 0; left -= LIMITS.heartbeatIntervalMs) {
      for (const agent of this.agents.values()) agent.heartbeat();
      this.clock.advance(Math.min(left, LIMITS.heartbeatIntervalMs));
    }
  }

  /** Lets the application work until `probe` gives something. */
  async until<T>(what: string, probe: () => T | undefined): Promise<T> {
    const end = Date.now() + 10_000;
    for (;;) {
      const found = probe();
      if (found !== undefined) return found;
      if (Date.now() > end) {
        throw new Error(
          `waited for ${what}; complaints: ${this.complaints.map((one) => describe(one)).join('; ')}`,
        );
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** All entries of a type, oldest first. */
  async entries<T extends LedgerEntry['type']>(type: T): Promise<Extract<LedgerEntry, { type: T }>[]> {
    const found: Extract<LedgerEntry, { type: T }>[] = [];
    for await (const { entry } of this.federation.entries(0)) {
      if (entry.type === type) found.push(entry as Extract<LedgerEntry, { type: T }>);
    }
    return found;
  }

  async close(): Promise<void> {
    await this.training.stop();
    await this.federation.close();
  }

  #complain(power: Power, fields: Readonly<Record<string, unknown>>, message: string): void {
    if (!power.off) this.complaints.push({ fields, message });
  }
}

function describe({
  fields,
  message,
}: {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}): string {
  const { error } = fields;
  return error instanceof Error ? `${message}: ${error.stack ?? error.message}` : message;
}

function wireSpools(power: Power, spools: SpoolStore): SpoolStore {
  return power.wire<SpoolStore>(
    {
      create: async (header, chunkBytes) =>
        power.wire(await spools.create(header, chunkBytes), ['append', 'sync']),
      open: async (uploadId) => {
        const spool = await spools.open(uploadId);
        return spool && power.wire(spool, ['append', 'sync']);
      },
      remove: (uploadId) => spools.remove(uploadId),
      list: () => spools.list(),
    },
    ['create', 'remove'],
  );
}

/** Hidden units that make a model of three chunks of the smallest size (161,201 parameters). */
export const THREE_CHUNKS: Spec['model'] = {
  name: 'wide',
  layers: [
    { type: 'Dense', units: 400, activation: 'Relu' },
    { type: 'Dense', units: 400, activation: 'Relu' },
    { type: 'Dense', units: 1, activation: 'Sigmoid' },
  ],
};

function jobOf(name: string, spec: Partial<Spec>): JsonObject {
  const document: FederatedJobInput = {
    apiVersion: 'tributary.dev/v1alpha1',
    kind: 'FederatedJob',
    metadata: { name },
    spec: {
      task: { type: 'Binary', positive: 'yes' },
      dataset: { name: 'trial', label: 'y' },
      features: [{ name: 'x', type: 'Numeric' }],
      model: { name: 'trial', layers: [{ type: 'Dense', units: 1, activation: 'Sigmoid' }] },
      training: { optimizer: { type: 'Sgd', learningRate: 0.1 } },
      rounds: 1,
      evaluation: { metrics: ['auc', 'logLoss'] },
      privacy: { secureAggregation: false },
      ...spec,
    },
  };
  return parseFederatedJob(document);
}
