import {
  compileFeatures,
  emptyStatistics,
  encodeBase64,
  encodeWeights,
  initialWeights,
  isAtLeast,
  layoutDigest,
  layoutOf,
  SECURE_COHORT_VERSION,
  TributaryError,
  type Digest,
} from '@tributary/proto';

import type { Command } from '../domain/command.js';
import type { JobState } from '../domain/federation-state.js';
import type { NextStep } from '../domain/next-step.js';
import { nextRound } from '../domain/rounds/next-round.js';
import { connectedSites } from '../domain/selection.js';
import type { BlobStore, Clock, Random } from '../ports.js';
import type { Aggregation } from './aggregation.js';
import type { ConnectedAgents } from './connections.js';
import type { Federation } from './federation.js';
import type { ModelRegistry } from './model-registry.js';
import type { RoundKeys } from './round-keys.js';
import { findRound, refOf, type RoundRef } from './round-ref.js';
import type { RoundCulprit } from '../domain/rounds/culprits.js';
import type { SecureRounds } from './secure-rounds.js';
import type { Settlement } from './settlement.js';

export interface StepParts {
  readonly federation: Federation;
  readonly agents: ConnectedAgents;
  readonly aggregation: Aggregation;
  readonly settlement: Settlement;
  readonly registry: ModelRegistry;
  readonly keys: RoundKeys;
  readonly secure: Pick<SecureRounds, 'prepareClosing' | 'culpritsOf'>;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly random: Random;
}

/** A step that does something. */
export type DueStep = Exclude<NextStep, { readonly kind: 'wait' }>;

/** `T` without the fields that every command of the runner shares. */
type Told<T> = T extends Command ? Omit<T, 'now' | 'actor'> : never;

/** Carries out the steps of jobs and rounds: effects first, then the command that records them. */
export class RoundSteps {
  readonly #parts: StepParts;

  constructor(parts: StepParts) {
    this.#parts = parts;
  }

  /** Rejects with what the step meets; the ledger is then as before. */
  async perform(step: DueStep): Promise<void> {
    switch (step.kind) {
      case 'start-job':
        return this.#startJob(this.#job(step.jobId));
      case 'open-round':
        return this.#openRound(refOf(step));
      case 'commit-round':
        return this.#commit(refOf(step));
      case 'register-model':
        return this.#parts.registry.register(this.#job(step.jobId), step.version);
      case 'complete-job':
        this.#parts.aggregation.release();
        return this.execute(step);
      case 'close-stage':
        await this.#parts.secure.prepareClosing(refOf(step), step.stage);
        return this.execute(step);
      case 'fail-round':
      case 'fail-job':
      case 'delete-job':
        return this.execute(step);
    }
  }

  /** Executes a command of the coordinator itself. */
  async execute(command: Told<Command>): Promise<void> {
    await this.#parts.federation.execute({
      ...command,
      now: this.#parts.clock.now(),
      actor: 'coordinator',
    });
  }

  /** Sites whose training agent holds a connection; `secure`: and knows secure aggregation. */
  connectedSites(secure = false): ReadonlySet<string> {
    const { agents, federation } = this.#parts;
    const able = agents
      .list()
      .filter(
        ({ hello }) => !secure || isAtLeast(hello.wire ?? SECURE_COHORT_VERSION, SECURE_COHORT_VERSION),
      );
    return connectedSites(
      federation.state,
      able.map(({ agentId }) => agentId),
    );
  }

  async #startJob(job: JobState): Promise<void> {
    const { jobId, base } = job;
    if (base !== undefined) {
      const { layoutDigest: digest, modelDigest, parameters } = base;
      return this.execute({ kind: 'start-job', jobId, layoutDigest: digest, modelDigest, parameters });
    }
    const { model, features } = job.document.spec;
    const { shape } = compileFeatures(features);
    const layout = layoutOf(model.layers, shape);
    const modelDigest = await this.#storeWeights(initialWeights(model.layers, shape, model.seed));
    await this.execute({
      kind: 'start-job',
      jobId,
      layoutDigest: layoutDigest(layout),
      modelDigest,
      parameters: layout.length,
    });
  }

  async #storeWeights(weights: Float32Array): Promise<Digest> {
    // A blob of the same content may be on the list of what is being deleted.
    await this.#parts.settlement.idle();
    const { digest } = await this.#parts.blobs.put(encodeWeights(weights));
    return digest;
  }

  async #openRound(ref: RoundRef): Promise<void> {
    const job = this.#job(ref.jobId);
    if (nextRound(job).kind === 'Statistics')
      await this.#storeWeights(emptyStatistics(job.document.spec.features));
    const publicKey = await this.#parts.keys.create(ref);
    await this.execute({
      kind: 'open-round',
      ...ref,
      connectedSites: [...this.connectedSites(job.document.spec.privacy.secureAggregation)],
      selectionSeed: encodeBase64(this.#parts.random.bytes(32)),
      roundKey: encodeBase64(publicKey),
    });
  }

  async #commit(ref: RoundRef): Promise<void> {
    const found = findRound(this.#parts.federation.state, ref);
    if (found === undefined) throw new TributaryError('CONFLICT', 'the round is gone');
    await this.#parts.settlement.idle();
    const result = await this.#parts.aggregation.finish(found.job, found.round);
    await this.execute({ kind: 'commit-round', ...ref, ...result, culprits: this.culpritsOf(ref) });
  }

  /** Sites that were caught in the attempt. */
  culpritsOf(ref: RoundRef): readonly RoundCulprit[] {
    return this.#parts.secure.culpritsOf(ref);
  }

  #job(jobId: string): JobState {
    const job = this.#parts.federation.state.jobs.get(jobId);
    if (job !== undefined) return job;
    throw new TributaryError('CONFLICT', 'the job is gone');
  }
}
