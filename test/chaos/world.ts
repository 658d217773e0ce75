import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';

import type { JsonObject, LedgerEntry } from '@tributary/proto';

import type { Daemon } from '../support/daemon.js';
import type { Launch, LocalFederation } from '../support/federation.js';
import { auditLedger, type Audit } from '../support/ledger-audit.js';
import { Operator, type ShownEvent } from '../support/operator.js';
import { eventually } from '../support/waiting.js';
import type { Start } from './judge/recovery.js';
import { chaosJob, SITES, type JobSize, type JobType, type Site, type Template } from './template.js';

export type ProcessName = 'coordinator' | Site;
export const PROCESSES: readonly ProcessName[] = ['coordinator', ...SITES];

const JOB = 'chaos';
/** Jobs of a case at most, where the fault waits for something that one of them alone did not do. */
const JOBS = 4;
/** Milliseconds within which a job ends on a busy machine, faults and all. */
const COMPLETE_MS = 150_000;
const SERVE_MS = 60_000;
const STOP_MS = 20_000;

const hasEnded = ({ type }: ShownEvent): boolean => type === 'job.completed' || type === 'job.failed';

const inside = (name: string): string =>
  `--import=${pathToFileURL(join(import.meta.dirname, 'inside', `${name}.js`)).href}`;

interface Started extends Start {
  readonly name: ProcessName;
  readonly daemon: Daemon;
  /** Whether somebody ended it on purpose. */
  expected: boolean;
}

export interface WorldOptions extends JobSize {
  readonly template: Template;
  /** Of the case; must not exist yet. */
  readonly folder: string;
  readonly job: JobType;
}

/** One case: a copied federation as processes, its job, and the faults that they are put through. */
export class World {
  readonly folder: string;
  readonly federation: LocalFederation;
  readonly started: Started[] = [];
  /** When SIGKILL ended a process that ran, in milliseconds since the epoch. */
  readonly killsMs: number[] = [];
  /** What a kind of fault explains: lines of logs and ends of processes that match are no complaints. */
  readonly explained: RegExp[] = [];
  /** What a kind of fault saw itself that the contract does not allow. */
  readonly findings: string[] = [];
  /** How every start of a process differs from the usual. */
  readonly launches = new Map<ProcessName, Launch>();
  readonly #options: WorldOptions;
  readonly #surroundings: (() => Promise<void> | void)[] = [];
  #operator: Operator | undefined;
  #name = '';
  readonly jobIds: string[] = [];

  private constructor(options: WorldOptions, federation: LocalFederation) {
    this.#options = options;
    this.folder = options.folder;
    this.federation = federation;
  }

  static async open(options: WorldOptions): Promise<World> {
    const world = new World(options, await options.template.copy(options.folder));
    for (const site of SITES) await mkdir(world.tapOf(site), { recursive: true });
    return world;
  }

  get job(): JobType {
    return this.#options.job;
  }

  tapOf(site: Site): string {
    return join(this.folder, 'tap', site);
  }

  get operator(): Operator {
    if (this.#operator === undefined) throw new Error('the coordinator has not served yet');
    return this.#operator;
  }

  /** Starts everything and submits the job. */
  async begin(): Promise<void> {
    await this.start('coordinator');
    await this.serving();
    for (const site of SITES) await this.start(site);
    await this.submit();
  }

  /** Submits a job: the first one, or another when that has ended. */
  async submit(): Promise<void> {
    const name = `${JOB}-${String(this.jobIds.length + 1)}`;
    const document = chaosJob(name, this.#options.job, this.#options);
    await this.#trying('the job to be submitted', () => this.operator.apply(document));
    const events = await this.#trying('the job', () => this.operator.events('FederatedJob', name));
    const jobId = events.find(({ type }) => type === 'job.submitted')?.body['jobId'];
    if (typeof jobId !== 'string') throw new Error(`${name} has no id`);
    this.#name = name;
    this.jobIds.push(jobId);
  }

  /** A fault needs a job that it can break: submits another one where the last has ended. */
  async atWork(): Promise<void> {
    const events = await this.operator.events('FederatedJob', this.#name).catch(() => []);
    if (events.some(hasEnded)) await this.submit();
  }

  /** Waits for the end of the job, and for that of others for as long as `happened` does not say that the fault did. */
  async outlast(happened: () => Promise<boolean> | boolean): Promise<void> {
    while ((await this.ended()) && !(await happened()) && this.jobIds.length < JOBS) await this.submit();
  }

  /** Starts a process; `extra` is for this start only. */
  async start(name: ProcessName, extra: Launch = {}, again = false): Promise<Daemon> {
    const execMs = Date.now();
    const launch = { ...this.launches.get(name), ...extra, env: this.environmentOf(name, extra) };
    const daemon =
      name === 'coordinator'
        ? await this.federation.spawnCoordinator(launch)
        : this.federation.startAgent(name, launch);
    this.started.push({ name, daemon, expected: false, execMs, again });
    return daemon;
  }

  /** What a process of that name is told by its environment. */
  environmentOf(name: ProcessName, { env = {} }: Launch = {}): Readonly<Record<string, string>> {
    const all = { ...this.launches.get(name)?.env, ...env };
    return { ...all, ...this.#preloads(name, all) };
  }

  /** Starts a process again after a fault. */
  restart(name: ProcessName, extra: Launch = {}): Promise<Daemon> {
    return this.start(name, extra, true);
  }

  /** Waits until the coordinator answers. */
  async serving(): Promise<void> {
    await eventually(
      'the coordinator to serve',
      async () => {
        if (!this.last('coordinator').daemon.running) throw new Error('the coordinator ended');
        return this.federation.addresses().catch(() => undefined);
      },
      SERVE_MS,
    );
    this.#operator ??= await Operator.of(this.federation);
  }

  /** SIGKILL, and waits for the end. */
  async kill(name: ProcessName): Promise<void> {
    const last = this.last(name);
    const [ran, timeMs] = [last.daemon.running, Date.now()];
    // One that had ended by itself stays what it is: a complaint, unless its fault explains it.
    if (ran) last.expected = true;
    const { signal } = await last.daemon.stop('SIGKILL');
    if (ran && signal === 'SIGKILL') this.killsMs.push(timeMs);
  }

  /** How many kills ended a process that ran while a job did. */
  async killsAtWork(): Promise<number> {
    const { entries } = await this.audit();
    const timesOf = (...types: readonly LedgerEntry['type'][]): readonly number[] =>
      entries.filter(({ type }) => types.includes(type)).map(({ time }) => Date.parse(time));
    const ends = timesOf('job.completed', 'job.failed');
    const jobs = timesOf('job.submitted').map((from, index) => ({ from, to: ends[index] ?? Infinity }));
    return this.killsMs.filter((time) => jobs.some(({ from, to }) => time >= from && time < to)).length;
  }

  /** Waits for an event of the job; undefined where it does not come, or the job ends before. */
  async event(
    type: string,
    fits: (body: JsonObject) => boolean = () => true,
    timeoutMs = COMPLETE_MS,
  ): Promise<JsonObject | undefined> {
    const end = Date.now() + timeoutMs;
    while (Date.now() < end) {
      const events = await this.operator.events('FederatedJob', this.#name).catch(() => []);
      const found = events.find((event) => event.type === type && fits(event.body));
      if (found !== undefined) return found.body;
      if (events.some(hasEnded)) return undefined;
      await sleep(50);
    }
    return undefined;
  }

  /** Waits for the end of the job, whatever it is. */
  async ended(timeoutMs = COMPLETE_MS): Promise<boolean> {
    return (await this.event('job.completed', undefined, timeoutMs)) !== undefined;
  }

  /** The newest process of that name. */
  last(name: ProcessName): Started {
    const last = this.started.findLast((one) => one.name === name);
    if (last === undefined) throw new Error(`${name} was never started`);
    return last;
  }

  audit(earlier?: Audit): Promise<Audit> {
    return this.#trying('the ledger', () => auditLedger(this.federation, earlier));
  }

  /** What is to be taken down when everything has stopped: relays, disks, networks. */
  whenStopped(action: () => Promise<void> | void): void {
    this.#surroundings.push(action);
  }

  /** Stops what runs; what does not stop is ended, and is a complaint. */
  async stop(): Promise<void> {
    this.#operator?.close();
    const running = this.started.filter(({ daemon }) => daemon.running);
    await Promise.all(
      running.map(async (one) => {
        const stopped = one.daemon.stop();
        const inTime = await Promise.race([stopped.then(() => true), sleep(STOP_MS, false, { ref: false })]);
        if (!inTime) {
          this.findings.push(`${one.name} did not stop within ${String(STOP_MS / 1_000)} s`);
          await one.daemon.stop('SIGKILL');
        } else {
          // One that has only just been started ends by the signal: it cannot hear it yet.
          const { code, signal } = await stopped;
          one.expected = code === 0 || signal === 'SIGTERM';
        }
      }),
    );
    for (const action of this.#surroundings.splice(0).reverse()) await action();
  }

  #preloads(name: ProcessName, env: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
    const modules = [
      ...(name === 'coordinator' ? [] : ['tap']),
      ...('TRIBUTARY_CHAOS_CALLS' in env ? ['count'] : []),
      ...('TRIBUTARY_CHAOS_REPLAY' in env ? ['replay'] : []),
    ];
    const tap = name === 'coordinator' ? {} : { TRIBUTARY_CHAOS_TAP: this.tapOf(name) };
    return modules.length === 0 ? {} : { ...tap, NODE_OPTIONS: modules.map(inside).join(' ') };
  }

  /** Tries again for as long as the coordinator may take to come back. */
  async #trying<T>(what: string, attempt: () => Promise<T>): Promise<T> {
    let last: unknown;
    const probe = (): Promise<{ readonly value: T } | undefined> =>
      attempt().then(
        (value) => ({ value }),
        (error: unknown) => {
          last = error;
          return undefined;
        },
      );
    try {
      return (await eventually(what, probe, SERVE_MS)).value;
    } catch (error) {
      throw last ?? error;
    }
  }
}
