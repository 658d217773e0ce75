import { LIMITS, type LedgerEntry } from '@tributary/proto';

import type { FederationState } from '../domain/federation-state.js';
import type { RoundState } from '../domain/rounds/round-state.js';
import type { BlobStore, CheckpointStore, Clock, KeyVault, Random, Signer, SpoolStore } from '../ports.js';
import type { Goodbye } from './agent-connection.js';
import { Aggregation } from './aggregation.js';
import type { AppLog } from './app-log.js';
import { BlobAccess } from './blob-access.js';
import { ConnectedAgents, type Decline } from './connections.js';
import type { Federation } from './federation.js';
import { ModelRegistry } from './model-registry.js';
import { OrderDispatch } from './order-dispatch.js';
import { Orders } from './orders.js';
import { RolloutDispatch } from './rollout-dispatch.js';
import { ProofVault } from './proof-vault.js';
import { RoundKeys } from './round-keys.js';
import { RoundRunner } from './round-runner.js';
import { RoundSteps } from './round-steps.js';
import { unfinishedRounds } from './round-ref.js';
import { Settlement } from './settlement.js';
import { SecureRounds } from './secure-rounds.js';
import { StageReception } from './stage-reception.js';
import { StageVault } from './stage-vault.js';
import { UploadSessions } from './upload-sessions.js';
import { UploadReception } from './upload-reception.js';

export interface TrainingParts {
  readonly federation: Federation;
  readonly blobs: BlobStore;
  readonly spools: SpoolStore;
  readonly checkpoints: CheckpointStore;
  readonly vault: KeyVault;
  /** Key of model manifests. */
  readonly modelSigner: Signer;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: AppLog;
}

/** Rounds at work: what the fleet service calls, and the loop behind it. */
export class Training {
  readonly uploads: UploadReception;
  readonly stages: StageReception;
  readonly agents: ConnectedAgents;
  readonly blobs: BlobAccess;
  readonly #federation: Federation;
  readonly #clock: Clock;
  readonly #aggregation: Aggregation;
  readonly #settlement: Settlement;
  readonly #dispatch: OrderDispatch;
  readonly #rollouts: RolloutDispatch;
  readonly #runner: RoundRunner;
  readonly #subscriptions: (() => void)[] = [];
  #state: FederationState;

  private constructor(parts: TrainingParts) {
    const { federation, clock, log } = parts;
    const keys = new RoundKeys(parts.vault, parts.random);
    this.#federation = federation;
    this.#clock = clock;
    this.#state = federation.state;
    this.agents = new ConnectedAgents(clock, (agentId, decline) => this.#decline(agentId, decline));
    this.blobs = new BlobAccess(federation, parts.blobs);
    this.uploads = new UploadReception({
      federation,
      clock,
      log,
      sessions: new UploadSessions(parts.spools, keys),
    });
    const stages = new StageVault(parts.vault);
    const proofs = new ProofVault(parts.vault);
    const secure = new SecureRounds({ federation, vault: stages, proofs });
    this.stages = new StageReception({ federation, clock, vault: stages, secure });
    const aggregation = new Aggregation({ ...parts, keys, secure });
    this.#aggregation = aggregation;
    const settlement = new Settlement({ ...parts, aggregation, keys, stages, proofs, secure });
    this.#settlement = settlement;
    const { agents } = this;
    const orders = new Orders(federation);
    this.#dispatch = new OrderDispatch({ federation, agents, clock, log, orders });
    this.#rollouts = new RolloutDispatch({ federation, agents, log, orders });
    const registry = new ModelRegistry(parts);
    const steps = new RoundSteps({ ...parts, agents, aggregation, settlement, registry, keys, secure });
    this.#runner = new RoundRunner({ federation, steps, clock, log });
  }

  /** Removes what a crash left behind, goes on with what the ledger says is unfinished, and starts the loop. */
  static async start(parts: TrainingParts): Promise<Training> {
    const training = new Training(parts);
    await training.#settlement.sweep();
    training.#begin();
    return training;
  }

  /** Says goodbye to the agents, finishes the step at work, and stops. */
  async stop(
    goodbye: Goodbye = {
      code: 'SHUTTING_DOWN',
      detail: 'the daemon stops',
      retryAfterMs: LIMITS.reconnectMinMs,
    },
  ): Promise<void> {
    this.agents.close(goodbye);
    await this.#runner.stop();
    for (const unsubscribe of this.#subscriptions) unsubscribe();
    await this.#aggregation.idle();
    await this.#settlement.idle();
  }

  /** For as long as a backup is made: see {@link Settlement.spareBlobs}. */
  spareBlobs(): () => void {
    return this.#settlement.spareBlobs();
  }

  #begin(): void {
    this.#state = this.#federation.state;
    this.#subscriptions.push(
      this.#federation.subscribe((entries, state) => {
        this.#observe(entries, state);
      }),
      this.agents.subscribe((agentId) => {
        if (this.agents.get(agentId) !== undefined) {
          this.#dispatch.connected(agentId);
          this.#rollouts.connected(agentId);
        }
        this.#runner.wake();
      }),
    );
    this.#follow();
    this.#runner.start();
  }

  #observe(entries: readonly LedgerEntry[], state: FederationState): void {
    const before = this.#state;
    this.#state = state;
    this.uploads.observe(entries);
    this.#follow();
    this.#dispatch.observe(entries, before);
    this.#rollouts.observe(entries);
    this.#settlement.observe(entries, before);
    for (const entry of entries) if (entry.type === 'agent.revoked') this.#dismiss(entry.body.agentId);
    this.#runner.wake();
  }

  #follow(): void {
    for (const { job, round } of unfinishedRounds(this.#state)) this.#aggregation.follow(job, round);
  }

  #dismiss(agentId: string): void {
    this.agents.dismiss(agentId, { code: 'AGENT_REVOKED', detail: 'the agent was revoked', retryAfterMs: 0 });
  }

  /**
   * The attempt that an agent may leave. That its site is not ready for the job counts although the attempt has failed for
   * another one meanwhile.
   */
  #declinable(
    jobId: string,
    round: number,
    attempt: number | undefined,
    waits: boolean,
  ): RoundState | undefined {
    const known = this.#federation.state.jobs.get(jobId)?.round;
    if (known?.round !== round || (attempt ?? known.attempt) !== known.attempt) return undefined;
    return known.phase === 'Open' || (waits && known.phase === 'Failed') ? known : undefined;
  }

  /** Records that a site is out of an attempt; what is no longer open needs no record. */
  async #decline(agentId: string, { jobId, round, attempt, code, detail, wait }: Decline): Promise<void> {
    const open = this.#declinable(jobId, round, attempt, wait !== undefined);
    if (open === undefined) return;
    const site = this.#federation.state.agents.get(agentId)?.site;
    if (site === undefined || open.cohort.get(site)?.agentId !== agentId) return;
    const of = {
      now: this.#clock.now(),
      actor: `agent/${agentId}`,
      jobId,
      round,
      attempt: open.attempt,
      agentId,
    };
    await this.#federation.execute(
      wait === undefined
        ? { kind: 'decline-round', ...of, code, detail }
        : { kind: 'wait-round', ...of, detail, ...wait },
    );
  }
}
