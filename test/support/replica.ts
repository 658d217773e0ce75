import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { FullStatus } from '@tributary/edge-agent/internal/app/status.js';
import { stringify } from 'yaml';

import { BINARIES, Daemon, runCommand, type Exit, type Finished } from './daemon.js';
import { requireSuccess, type LocalFederation } from './federation.js';

export interface ReplicaOptions {
  /** Of the folder; replicas have no names of their own. */
  readonly name: string;
  readonly site: string;
  /** Fields of agent.yaml besides those that every replica needs. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Further files beside agent.yaml. */
  readonly files?: Readonly<Record<string, string>>;
}

/** A replica of a site of a local federation, as a process of its own. */
export class Replica {
  readonly folder: string;
  readonly #options: ReplicaOptions;
  readonly #policy: string;
  #daemon: Daemon | undefined;

  private constructor(federation: LocalFederation, options: ReplicaOptions) {
    this.folder = join(federation.folder, 'replicas', options.name);
    this.#policy = join(federation.siteFolder(options.site), 'policy.yaml');
    this.#options = options;
  }

  /** Invites and joins it, approved; not started yet. The policy is that of the site. */
  static async join(federation: LocalFederation, options: ReplicaOptions): Promise<Replica> {
    const replica = new Replica(federation, options);
    await mkdir(replica.folder, { recursive: true });
    await replica.configure(options.config ?? {});
    for (const [name, text] of Object.entries(options.files ?? {}))
      await writeFile(join(replica.folder, name), text);
    const token = join(replica.folder, 'token');
    await writeFile(token, await federation.cliText('invite', options.site, '--serving', '--approve'), {
      mode: 0o600,
    });
    requireSuccess(`join ${options.name}`, await replica.command('join', '--token-file', token));
    return replica;
  }

  /** Writes agent.yaml anew. */
  async configure(config: Readonly<Record<string, unknown>>): Promise<void> {
    const all = { formatVersion: 1, dataDir: './data', policy: this.#policy, ...config };
    await writeFile(join(this.folder, 'agent.yaml'), stringify(all));
  }

  start(): Daemon {
    this.#daemon = new Daemon({
      script: BINARIES.agent,
      args: ['serve', '--config', join(this.folder, 'agent.yaml')],
      logFile: join(this.folder, 'replica.log'),
    });
    return this.#daemon;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.#daemon?.stop(signal);
  }

  /** How it ended, once it has. */
  async exited(): Promise<Exit> {
    if (this.#daemon === undefined) throw new Error('the replica was not started');
    return this.#daemon.exited;
  }

  /** Under which it has connected to brokers, by its log. */
  async clientIds(): Promise<readonly string[]> {
    const log = (await this.#daemon?.log()) ?? '';
    return [...new Set(Array.from(log.matchAll(/"clientId":"([^"]+)"/g), ([, id = '']) => id))];
  }

  /** Runs a command of the agent with the files of this replica. */
  command(...args: readonly string[]): Promise<Finished> {
    return runCommand(BINARIES.agent, [...args, '--config', join(this.folder, 'agent.yaml')]);
  }

  async status(): Promise<FullStatus> {
    const { stdout } = requireSuccess(this.#options.name, await this.command('status', '-o', 'json'));
    return JSON.parse(stdout) as FullStatus;
  }

  /** Versions that answer there: "points@1". */
  async serving(): Promise<string> {
    const { serving } = await this.status();
    return serving.map(({ name, version }) => `${name}@${String(version)}`).join(' ');
  }
}
