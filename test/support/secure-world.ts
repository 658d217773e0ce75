import assert from 'node:assert/strict';

import {
  applyMean,
  compileFeatures,
  decodeTail,
  digestOf,
  float32ToBytes,
  initialWeights,
  RingSum,
  ringScale,
  type Digest,
  type FederatedJobInput,
} from '@tributary/proto';
import { refOf } from '@tributary/coordinator/internal/app/round-ref.js';
import { shapeOf, vectorsOf } from '@tributary/coordinator/internal/app/round-vectors.js';
import type { JobState } from '@tributary/coordinator/internal/domain/federation-state.js';
import type { RoundState } from '@tributary/coordinator/internal/domain/rounds/round-state.js';
import { roundKey } from '@tributary/edge-agent/internal/domain/round-key.js';

import { PowerOff, type Power } from './power.js';
import { SecureSite } from './secure-site.js';
import { TrainingWorld } from './training-world.js';

type Spec = Partial<FederatedJobInput['spec']>;

/** Turns of the event loop in which nothing happens, after which time passes. */
const IDLE_TURNS = 25;

/** A coordinator and sites that aggregate securely, in memory. Time passes only when nobody has anything to do. */
export class SecureWorld {
  /** Milliseconds for which a condition is waited for. */
  patienceMs = 20_000;
  readonly world: TrainingWorld;
  readonly sites = new Map<string, SecureSite>();
  jobId = '';
  /** As the ledger had them while they were open, with what the sum was made of. */
  readonly rounds = new Map<string, RoundState>();

  private constructor(world: TrainingWorld) {
    this.world = world;
  }

  /** Sites `site-0` and so on, connected, with a job of one round and no evaluation. */
  static async begin(count: number, spec: Spec = {}, power?: Power): Promise<SecureWorld> {
    const names = Array.from({ length: count }, (_, index) => `site-${String(index)}`);
    const secure = new SecureWorld(await TrainingWorld.create(names));
    for (const name of names) secure.sites.set(name, new SecureSite(secure.world, name));
    secure.jobId = await secure.world.submit('masked', {
      privacy: {},
      evaluation: { metrics: [] },
      minSites: 2,
      ...spec,
    });
    if (power === undefined) secure.world.connectAll();
    else await secure.crash(power);
    return secure;
  }

  get job(): JobState {
    return this.world.job(this.jobId);
  }

  site(index: number): SecureSite {
    return this.sites.get(`site-${String(index)}`) ?? assert.fail('no such site');
  }

  /** Another process of the coordinator; the agents come back. */
  async crash(power?: Power): Promise<void> {
    try {
      await this.world.crash(power);
      this.world.connectAll();
    } catch (error) {
      if (!this.world.power.off) throw error;
    }
  }

  /** Lets everybody work until `probe` gives something; deadlines pass when nothing else happens. */
  async until<T>(what: string, probe: () => T | undefined): Promise<T> {
    const end = Date.now() + this.patienceMs;
    let [size, idle] = [0, 0];
    for (;;) {
      const found = probe();
      if (found !== undefined) return found;
      assert.ok(Date.now() < end, `waited for ${what}: ${this.#trouble()}`);
      await new Promise((resolve) => setImmediate(resolve));
      this.#watch();
      const grown = this.world.federation.size();
      idle = grown === size && ![...this.sites.values()].some(({ busy }) => busy) ? idle + 1 : 0;
      size = grown;
      if (idle > IDLE_TURNS) {
        idle = 0;
        this.#advance();
      }
    }
  }

  #advance(): void {
    try {
      this.world.advance(5_000);
    } catch (error) {
      // Timers of a process that has ended.
      if (!(error instanceof PowerOff) || this.world.power.off) throw error;
    }
  }

  /** Waits for the end; the model must be that of the plain words of the attempt. */
  async requirePlainModel(name = '1.0'): Promise<void> {
    const job = await this.finished();
    assert.equal(job.phase, 'Complete', JSON.stringify(job.lastFailure));
    assert.equal(job.base?.modelDigest, this.plainModel(name));
    await this.requireClean();
  }

  finished(): Promise<JobState> {
    return this.until('the end of the job', () =>
      this.job.phase === 'Complete' || this.job.phase === 'Failed' ? this.job : undefined,
    );
  }

  /** The model that the plain words of the sites make in the first round. */
  plainModel(name = '1.0'): Digest {
    const round = this.rounds.get(name) ?? assert.fail(`no round ${name}`);
    const sum = new RingSum(shapeOf(this.job, round));
    const summed = round.stages.find((stage) => stage.name === 'mask')?.participants ?? [];
    for (const site of summed) {
      const words = this.sites.get(site)?.plain.get(roundKey(round));
      sum.add(0, words ?? assert.fail(`${site} made no vector`));
    }
    const { tail, bounds } = vectorsOf(this.job, round);
    const opened = sum.open(ringScale(round.cohort.size, bounds.clipNorm), summed.length);
    const { model, features } = this.job.document.spec;
    const weights = initialWeights(model.layers, compileFeatures(features).shape, model.seed);
    const sums = new Float64Array(weights.length);
    opened.readSums(0, sums);
    applyMean(weights, sums, decodeTail(opened.tail, tail).weight);
    return digestOf(float32ToBytes(weights));
  }

  /** No site said two things, and nothing secret of the job is left. */
  async requireClean(): Promise<void> {
    await this.world.training.stop();
    assert.deepEqual(await this.world.vault.list(), [], 'left in the vault');
    const announced = new Map<string, Uint8Array>();
    for (const [name, site] of this.sites) {
      for (const [stage, set] of site.shown) {
        assert.deepEqual(set, announced.get(stage) ?? set, `another set of ${stage} at ${name}`);
        announced.set(stage, set);
      }
      assert.deepEqual(site.contradictions, [], `${name} said two things`);
      if (site.agent.isConnected) assert.deepEqual(await site.records.rounds(), [], `left at ${name}`);
    }
  }

  #watch(): void {
    const { round } = this.job;
    if (round !== undefined) this.rounds.set(`${String(round.round)}.${String(round.attempt)}`, round);
  }

  #trouble(): string {
    const { round, phase, lastFailure } = this.job;
    const open = round && `${JSON.stringify(refOf(round))} stage ${String(round.stage)} ${round.phase}`;
    const refused = [...this.sites].flatMap(([name, { refusals }]) =>
      refusals.map(({ code, message }) => `${name}: ${code} ${message}`),
    );
    const complaints = this.world.complaints.map(
      ({ message, fields }) => `${message} ${String((fields['error'] as Error | undefined)?.stack)}`,
    );
    return [phase, open, JSON.stringify(lastFailure), ...refused, ...complaints].join('\n');
  }
}
