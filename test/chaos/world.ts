import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';

import type { JsonObject } from '@tributary/proto';

import type { Daemon } from '../support/daemon.js';
import type { Launch, LocalFederation } from '../support/federation.js';
import { auditLedger, entriesOf, type Audit } from '../support/ledger-audit.js';
import { Operator } from '../support/operator.js';
import { eventually } from '../support/waiting.js';
import { chaosJob, SITES, type JobType, type Site, type Template } from './template.js';

export type ProcessName = 'coordinator' | Site;
export const PROCESSES: readonly ProcessName[] = ['coordinator', ...SITES];

const JOB = 'chaos';
/** Milliseconds within which a job ends on a busy machine, faults and all. */
const COMPLETE_MS = 150_000;
const SERVE_MS = 60_000;
const STOP_MS = 20_000;

const inside = (name: string): string =>
  `--import=${pathToFileURL(join(import.meta.dirname, 'inside', `${name}.js`)).href}`;

interface Started {
  readonly name: ProcessName;
  readonly daemon: Daemon;
  /** Whether somebody ended it on purpose. */
  expected: boolean;
}

export interface WorldOptions {
  readonly template: Template;
  /** Of the case; must not exist yet. */
  readonly folder: string;
  readonly job: JobType;
  readonly rounds?: number;
  readonly epochs?: number;
}

/** One case: a copied federation as processes, its job, and the faults that they are put through. */
export class World {
  readonly folder: string;
  readonly federation: LocalFederation;
  readonly started: Started[] = [];
  /** When processes were started again after a fault, in milliseconds since the epoch. */
  readonly restartsMs: number[] = [];
  /** What a kind of fault explains: lines of logs and ends of processes that match are no complaints. */
  readonly explained: RegExp[] = [];
  /** What a kind of fault saw itself that the contract does not allow. */
  readonly findings: string[] = [];
  /** How every start of a process differs from the usual. */
  readonly launches = new Map<ProcessName, Launch>();
  readonly #options: WorldOptions;
  readonly #surroundings: (() => Promise<void> | void)[] = [];
  #operator: Operator | undefined;
  jobId = '';

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

  async submit(): Promise<void> {
    const { job, rounds = 3, epochs } = this.#options;
    const document = chaosJob(JOB, job, rounds, epochs);
    await this.#trying('the job to be submitted', () => this.operator.apply(document));
    const { entries } = await this.#trying('the ledger', () => auditLedger(this.federation));
    this.jobId = entriesOf(entries, 'job.submitted')[0]?.body.jobId ?? '';
  }

  /** Starts a process; `extra` is for this start only. */
  async start(name: ProcessName, extra: Launch = {}): Promise<Daemon> {
    const launch = { ...this.launches.get(name), ...extra, env: this.environmentOf(name, extra) };
    const daemon =
      name === 'coordinator'
        ? await this.federation.spawnCoordinator(launch)
        : this.federation.startAgent(name, launch);
    this.started.push({ name, daemon, expected: false });
    return daemon;
  }

  /** What a process of that name is told by its environment. */
  environmentOf(name: ProcessName, { env = {} }: Launch = {}): Readonly<Record<string, string>> {
    const all = { ...this.launches.get(name)?.env, ...env };
    return { ...all, ...this.#preloads(name, all) };
  }

  /** Starts a process again after a fault. */
  async restart(name: ProcessName): Promise<Daemon> {
    this.restartsMs.push(Date.now());
    return this.start(name);
  }

  /** Waits until the coordinator answers. */
  async serving(): Promise<void> {
    await eventually(
      'the coordinator to serve',
      async () => {
        const last = this.#last('coordinator');
        if (last?.daemon.running !== true) throw new Error('the coordinator ended');
        return this.federation.addresses().catch(() => undefined);
      },
      SERVE_MS,
    );
    this.#operator ??= await Operator.of(this.federation);
  }

  /** SIGKILL, and waits for the end. */
  async kill(name: ProcessName): Promise<void> {
    const last = this.#last(name);
    if (last === undefined) throw new Error(`${name} was never started`);
    last.expected = true;
    await last.daemon.stop('SIGKILL');
  }

  /** Waits for an event of the job; undefined where it does not come, or the job ends before. */
  async event(
    type: string,
    fits: (body: JsonObject) => boolean = () => true,
    timeoutMs = COMPLETE_MS,
  ): Promise<JsonObject | undefined> {
    const end = Date.now() + timeoutMs;
    while (Date.now() < end) {
      const events = await this.operator.events('FederatedJob', JOB).catch(() => []);
      const found = events.find((event) => event.type === type && fits(event.body));
      if (found !== undefined) return found.body;
      if (events.some((event) => event.type === 'job.completed' || event.type === 'job.failed'))
        return undefined;
      await sleep(50);
    }
    return undefined;
  }

  /** Waits for the end of the job, whatever it is. */
  async ended(timeoutMs = COMPLETE_MS): Promise<boolean> {
    return (await this.event('job.completed', undefined, timeoutMs)) !== undefined;
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
        } else one.expected = (await stopped).code === 0;
      }),
    );
    for (const action of this.#surroundings.splice(0).reverse()) await action();
  }

  #last(name: ProcessName): Started | undefined {
    return this.started.findLast((one) => one.name === name);
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
