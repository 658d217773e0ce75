import { setTimeout as delay } from 'node:timers/promises';

import { LIMITS, TributaryError, type LedgerEntry } from '@tributary/proto';

import { logDecision } from '../adapters/logs/decisions.js';
import { createLog, type Log } from '../adapters/logs/log.js';
import type { LogBuffer } from '../adapters/logs/log-buffer.js';
import { Calls } from '../adapters/grpc/calls.js';
import { Sessions } from '../adapters/grpc/sessions.js';
import { Metrics } from '../adapters/http/metrics.js';
import { Training } from '../app/training.js';
import type { ServeConfig } from '../config.js';
import { isFinished } from '../domain/job-queue.js';
import { contradictedIdentities } from '../domain/ledger-contradictions.js';
import { writeAddresses, type Addresses } from './addresses.js';
import { openCore, type Core } from './core.js';
import { followAddress } from './first-context.js';
import { startListeners, type Listeners } from './listeners.js';

/** A coordinator at work: stores, rounds and listeners of one data directory. */
export class Daemon {
  readonly log: Log;
  readonly addresses: Addresses;
  /** Resolves with STORE_CORRUPT where the ledger is found damaged while it is served; otherwise never. */
  readonly damage: Promise<TributaryError>;
  readonly #core: Core;
  readonly #training: Training;
  readonly #listeners: Listeners;
  readonly #unsubscribe: () => void;
  #stopped: Promise<void> | undefined;

  private constructor(parts: {
    readonly log: Log;
    readonly core: Core;
    readonly training: Training;
    readonly listeners: Listeners;
    readonly unsubscribe: () => void;
    readonly damage: Promise<TributaryError>;
  }) {
    this.log = parts.log;
    this.addresses = parts.listeners.addresses;
    this.#core = parts.core;
    this.#training = parts.training;
    this.#listeners = parts.listeners;
    this.#unsubscribe = parts.unsubscribe;
    this.damage = parts.damage;
  }

  /** Opens the directory, goes on where the last daemon stopped, listens, and then writes run/addresses.json. */
  static async start(
    config: ServeConfig,
    logs: { readonly log: Log; readonly buffer: LogBuffer } = createLog({ level: config.logLevel }),
  ): Promise<Daemon> {
    const { log } = logs;
    const metrics = new Metrics();
    const core = await openCore({
      data: config.data,
      sealKeyFile: config.sealKeyFile === '' ? undefined : config.sealKeyFile,
      onFault: (error) => {
        log.error({ error }, 'something beside the ledger failed');
        metrics.fault(TributaryError.from(error).code);
      },
    });
    try {
      const { ledger } = core.stores;
      if (ledger.size() <= LIMITS.entriesVerifiedFirst) await ledger.verify();
      return await Daemon.#serve(config, logs, core, metrics);
    } catch (error) {
      await core.close();
      throw error;
    }
  }

  static async #serve(
    config: ServeConfig,
    { log, buffer }: { readonly log: Log; readonly buffer: LogBuffer },
    core: Core,
    metrics: Metrics,
  ): Promise<Daemon> {
    const { federation, stores, modelSigner, clock, random } = core;
    const sessions = new Sessions();
    const unsubscribe = federation.subscribe((entries) => {
      for (const entry of entries) follow(entry, log, metrics, sessions);
    });
    const { blobs, spools, checkpoints, vault } = stores;
    const training = await Training.start({
      federation,
      blobs,
      spools,
      checkpoints,
      vault,
      modelSigner,
      clock,
      random,
      log,
    });
    metrics.addSources({
      ledgerSize: () => federation.size(),
      connectedAgents: () => training.agents.list().length,
      openJobs: () => [...federation.state.jobs.values()].filter((job) => !isFinished(job)).length,
      queuedJobs: () => [...federation.state.jobs.values()].filter(({ phase }) => phase === 'Queued').length,
      contradictions: () => contradictingIdentities(core, training).length,
    });
    const calls = new Calls(log, metrics);
    try {
      const listeners = await startListeners({
        config,
        core,
        training,
        calls,
        sessions,
        metrics,
        log,
        logs: buffer,
      });
      const daemon = new Daemon({
        ...{ log, core, training, listeners, unsubscribe },
        damage: damageOf(core, log),
      });
      await daemon.#announce();
      return daemon;
    } catch (error) {
      await training.stop();
      throw error;
    }
  }

  async #announce(): Promise<void> {
    const { run } = this.#core.directory.paths;
    // Before the file that tells others that everything can be reached.
    await followAddress(run, this.addresses.admin);
    try {
      await writeAddresses(run, this.addresses);
    } catch (error) {
      await this.#listeners.close(0);
      throw error;
    }
    this.#listeners.setServing(true);
    this.log.info({ ...this.addresses, entries: this.#core.federation.size() }, 'serving');
  }

  /** Says goodbye, lets running calls end within LIMITS.drainMs, makes everything durable, closes. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.log.info('stopping');
    this.#listeners.setServing(false);
    // Both at once: an upload that is nearly there may still be accepted while agents are told goodbye.
    await Promise.all([this.#training.stop(), this.#closeListeners()]);
    this.#unsubscribe();
    await this.#core.close();
    this.log.info('stopped');
  }

  /** No peer that keeps its connection keeps the stores from being closed. */
  async #closeListeners(): Promise<void> {
    const patience = new AbortController();
    const late = delay(LIMITS.drainMs + LIMITS.daemonLeaveMs, true, { signal: patience.signal });
    const closed = this.#listeners.close(LIMITS.drainMs).then(() => false);
    try {
      if (await Promise.race([closed, late])) this.log.warn('a listener does not close; going on');
    } finally {
      patience.abort();
    }
  }
}

/** A ledger that takes long to verify is verified while it is served. */
function damageOf({ stores: { ledger } }: Core, log: Log): Promise<TributaryError> {
  const entries = ledger.size();
  return new Promise((resolve) => {
    if (entries <= LIMITS.entriesVerifiedFirst) return;
    ledger.verify().then(
      () => {
        log.info({ entries }, 'the ledger is verified');
      },
      (error: unknown) => {
        const known = TributaryError.from(error);
        if (known.code === 'STORE_CORRUPT') resolve(known);
        else log.warn({ error: known }, 'the ledger was not verified to its end');
      },
    );
  });
}

/** Of agents that are back, or have signed what this ledger holds since, the alarm is settled. */
const contradictingIdentities = (
  { federation, cosignatures }: Core,
  { agents }: Training,
): readonly string[] =>
  contradictedIdentities(
    federation.state,
    (agentId, seq) => agents.get(agentId) !== undefined || cosignatures.signedBeyond(agentId, seq),
  );

/** What follows from a decision outside the rounds: lines, counters, and the end of revoked connections. */
function follow(entry: LedgerEntry, log: Log, metrics: Metrics, sessions: Sessions): void {
  logDecision(log, entry);
  metrics.observe(entry);
  if (entry.type === 'agent.revoked')
    for (const kind of ['agent', 'replica']) sessions.end(`${kind}/${entry.body.agentId}`);
  if (entry.type === 'context.revoked') sessions.end(`context/${entry.body.context}`);
}
