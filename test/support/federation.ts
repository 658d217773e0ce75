import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { AdminConnection } from '@tributary/coordinator/internal/cli/admin-connection.js';
import { findContext, readContextFile } from '@tributary/coordinator/internal/cli/context-file.js';
import type { FullStatus } from '@tributary/edge-agent/internal/app/status.js';
import { stringify } from 'yaml';

import { BINARIES, Daemon, runCommand, type Finished } from './daemon.js';
import { eventually } from './waiting.js';

/** Where the listeners of a running coordinator are. */
export interface Addresses {
  readonly fleet: string;
  readonly enrol: string;
  readonly admin: string;
  readonly health: string;
  readonly metrics: string;
  /** Where it serves tunnels. */
  readonly tunnel?: string | undefined;
  readonly socket: string;
}

/** How a process is started, where that differs from what users do. */
export interface Launch {
  /** Started instead of the daemon's own command; gets the same arguments. */
  readonly script?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** See {@link DaemonOptions}. */
  readonly prefix?: readonly string[];
  /** Ports of listeners of the coordinator; the others are those it had. */
  readonly ports?: Readonly<Partial<Record<keyof Addresses, number>>>;
}

export interface SiteOptions {
  readonly name: string;
  /** Text of the site's CSV file. */
  readonly csv: string;
  readonly dataset: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Replaces fields of the policy's spec. */
  readonly policy?: Readonly<Record<string, unknown>>;
  /** Replaces fields of agent.yaml. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Further files beside agent.yaml: their text by name. */
  readonly files?: Readonly<Record<string, string>>;
  /** Script started instead of the agent's own command; gets the same arguments. */
  readonly script?: string;
  /** Variables of the agent's environment, when it joins and when it runs. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A coordinator and agents as separate processes under one folder, driven as an operator would. */
export class LocalFederation {
  readonly folder: string;
  readonly #host: string;
  readonly agents = new Map<string, Daemon>();
  readonly #sites = new Map<string, SiteOptions>();
  /** Commands of operators and sites. */
  programs: Readonly<Record<'tributary' | 'agent', string>> = BINARIES;
  /** How the coordinator is started from now on. */
  coordinatorParts: Pick<Launch, 'script' | 'env'> = {};
  #coordinator: Daemon | undefined;
  #known: Addresses | undefined;

  private constructor(folder: string, host: string) {
    this.folder = folder;
    this.#host = host;
  }

  /** Creates the coordinator's data directory, an operator's context and an author's key, and starts serving. */
  static async start(
    folder: string,
    name = 'test',
    host = '127.0.0.1',
    launch: Launch = {},
  ): Promise<LocalFederation> {
    await mkdir(folder, { recursive: true });
    const federation = new LocalFederation(folder, host);
    const init = [
      'init',
      '--data',
      federation.data,
      '--name',
      name,
      '--host',
      host,
      '--context-file',
      federation.contextFile,
    ];
    const { script = BINARIES.coordinator, env } = launch;
    requireSuccess('init', await runCommand(script, init, env));
    await federation.serve(launch);
    return federation;
  }

  /** A federation that was made before, with nothing of it running: copied, say. */
  static async open(
    folder: string,
    sites: readonly SiteOptions[],
    host = '127.0.0.1',
  ): Promise<LocalFederation> {
    const federation = new LocalFederation(folder, host);
    for (const site of sites) federation.#sites.set(site.name, site);
    federation.#known = await federation.addresses();
    return federation;
  }

  get data(): string {
    return join(this.folder, 'coordinator');
  }

  get contextFile(): string {
    return join(this.folder, 'operator.yaml');
  }

  get coordinator(): Daemon {
    if (this.#coordinator === undefined) throw new Error('the coordinator was not started');
    return this.#coordinator;
  }

  /** Starts (again) the coordinator on the ports it had, and waits until it serves. */
  async serve(launch: Launch = {}): Promise<Addresses> {
    const daemon = await this.spawnCoordinator(launch);
    return eventually('the coordinator to serve', async () => {
      if (!daemon.running) throw new Error(`the coordinator ended: ${(await daemon.log()).slice(-2_000)}`);
      return this.addresses().catch(() => undefined);
    });
  }

  /** Starts (again) the coordinator on the ports it had, and waits for nothing. */
  async spawnCoordinator(launch: Launch = {}): Promise<Daemon> {
    const {
      script = BINARIES.coordinator,
      env = {},
      prefix = [],
      ports = {},
    } = {
      ...this.coordinatorParts,
      ...launch,
    };
    this.#known = await this.addresses().catch(() => this.#known);
    await rm(this.#addressFile, { force: true });
    const listeners = (['fleet', 'enrol', 'admin', 'health', 'metrics'] as const).flatMap((kind) => [
      `--${kind}-port`,
      String(ports[kind] ?? this.#known?.[kind].split(':').at(-1) ?? '0'),
    ]);
    this.#coordinator = new Daemon({
      script,
      args: ['serve', '--data', this.data, '--listen', this.#host, ...listeners],
      logFile: join(this.folder, 'coordinator.log'),
      env,
      prefix,
    });
    return this.#coordinator;
  }

  async addresses(): Promise<Addresses> {
    return JSON.parse(await readFile(this.#addressFile, 'utf8')) as Addresses;
  }

  /** Runs the `tributary` command as the operator. */
  cli(...args: readonly string[]): Promise<Finished> {
    return runCommand(this.programs.tributary, args, { TRIBUTARY_CONFIG: this.contextFile });
  }

  /** The same, and its standard output; throws where it fails. */
  async cliText(...args: readonly string[]): Promise<string> {
    return requireSuccess(args.join(' '), await this.cli(...args)).stdout;
  }

  /** The author's public key as site policies name it. */
  async authorKey(): Promise<string> {
    const line = (await this.cliText('author', 'list')).split('\n')[1] ?? '';
    return line.trim().split(/\s+/).at(-1) ?? '';
  }

  /** Writes a site's files, joins it, approves it and starts its agent. */
  async addSite(site: SiteOptions): Promise<Daemon> {
    await this.joinSite(site);
    await this.cliText('approve', site.name);
    return this.startAgent(site.name);
  }

  /** Writes a site's files and joins it: invited, not yet approved, its agent not running. */
  async joinSite(site: SiteOptions): Promise<void> {
    const folder = await this.writeSite(site);
    const labels = Object.entries(site.labels ?? {}).flatMap(([key, value]) => [
      '--label',
      `${key}=${value}`,
    ]);
    await writeFile(join(folder, 'token'), await this.cliText('invite', site.name, ...labels), {
      mode: 0o600,
    });
    const files = ['--config', join(folder, 'agent.yaml'), '--token-file', join(folder, 'token')];
    const joined = await runCommand(this.programs.agent, ['join', ...files], site.env);
    requireSuccess(`join ${site.name}`, joined);
  }

  /** Writes a site's files; gives their folder. `author` spares the question for the author's key. */
  async writeSite(site: SiteOptions, author?: string): Promise<string> {
    this.#sites.set(site.name, site);
    const folder = this.siteFolder(site.name);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, `${site.dataset}.csv`), site.csv);
    const policy = policyOf(site, author ?? (await this.authorKey()));
    await writeFile(join(folder, 'policy.yaml'), stringify(policy));
    await writeFile(join(folder, 'agent.yaml'), stringify(configOf(site)));
    for (const [name, text] of Object.entries(site.files ?? {})) await writeFile(join(folder, name), text);
    return folder;
  }

  /** Starts the agent of a joined site; what `launch` says comes before what the site joined with. */
  startAgent(name: string, launch: Launch = {}): Daemon {
    const site = this.#sites.get(name);
    const script = launch.script ?? site?.script ?? BINARIES.agent;
    const agent = new Daemon({
      script,
      args: ['run', '--config', join(this.siteFolder(name), 'agent.yaml')],
      logFile: join(this.siteFolder(name), 'agent.log'),
      env: { ...site?.env, ...launch.env },
      prefix: launch.prefix ?? [],
    });
    this.agents.set(name, agent);
    return agent;
  }

  /** Brings the ledger to `entries` entries and more, with invitations. */
  async fillLedger(entries: number): Promise<void> {
    const connection = await AdminConnection.open(
      findContext(await readContextFile(this.contextFile), undefined),
      this.contextFile,
    );
    try {
      for (let batch = 0; Number((await connection.unary('GetVersion', {})).ledgerSize) < entries; batch++) {
        await Promise.all(
          Array.from({ length: 50 }, (_, index) =>
            connection.unary('CreateInvitation', {
              site: `site-${String(batch * 50 + index)}`,
              ttlSeconds: 3_600,
            }),
          ),
        );
      }
    } finally {
      connection.close();
    }
  }

  /** What `tributary-agent status -o json` says of a running agent. */
  async agentStatus(name: string): Promise<FullStatus> {
    const status = ['status', '--config', join(this.siteFolder(name), 'agent.yaml'), '-o', 'json'];
    return JSON.parse(
      requireSuccess(`status of ${name}`, await runCommand(BINARIES.agent, status)).stdout,
    ) as FullStatus;
  }

  siteFolder(name: string): string {
    return join(this.folder, 'sites', name);
  }

  /** The object as `tributary get -o json` shows it. */
  async object(reference: string): Promise<Record<string, unknown>> {
    return JSON.parse(await this.cliText('get', reference, '-o', 'json')) as Record<string, unknown>;
  }

  /** Writes a document, and applies it. */
  async apply(document: { readonly metadata: { readonly name: string } }): Promise<void> {
    const path = join(this.folder, `${document.metadata.name}.yaml`);
    await writeFile(path, stringify(document));
    await this.cliText('apply', '-f', path);
  }

  /** Writes a backup to a file, as an operator of the machine would. */
  async backup(to: string): Promise<void> {
    requireSuccess(
      'backup',
      await runCommand(BINARIES.coordinator, ['backup', '--data', this.data, '--to', to]),
    );
  }

  /** Throws the data directory of the stopped coordinator away, makes it anew from a backup, and serves. */
  async restore(from: string): Promise<void> {
    const [addresses, sealKey] = [await readFile(this.#addressFile), join(this.folder, 'seal.key')];
    await copyFile(join(this.data, 'seal.key'), sealKey);
    await rm(this.data, { recursive: true });
    const restore = ['restore', '--data', this.data, '--from', from, '--seal-key-file', sealKey];
    requireSuccess('restore', await runCommand(BINARIES.coordinator, restore));
    await copyFile(sealKey, join(this.data, 'seal.key'));
    // The same ports again: agents know no others.
    await mkdir(join(this.data, 'run'));
    await writeFile(this.#addressFile, addresses);
    await this.serve();
  }

  /** Peak resident memory of the coordinator and of the largest agent, in MiB. */
  async peakMemory(): Promise<{ readonly coordinator: number; readonly agent: number }> {
    const agents = await Promise.all([...this.agents.values()].map((agent) => agent.peakMebibytes()));
    return { coordinator: await this.coordinator.peakMebibytes(), agent: Math.max(0, ...agents) };
  }

  /** Stops everything. */
  async stop(): Promise<void> {
    await Promise.all([...this.agents.values()].map((agent) => agent.stop()));
    await this.#coordinator?.stop();
  }

  get #addressFile(): string {
    return join(this.data, 'run/addresses.json');
  }
}

function policyOf(site: SiteOptions, author: string): unknown {
  return {
    apiVersion: 'tributary.dev/v1alpha1',
    kind: 'SitePolicy',
    metadata: { name: site.name },
    spec: {
      authors: [{ name: 'operator', key: author }],
      datasets: [{ name: site.dataset, columns: ['*'], minimumRows: 1 }],
      minimumCohort: 1,
      maximumParameters: 100_000_000,
      maximumRounds: 1_000,
      requireSecureAggregation: false,
      strategies: ['FedAvg'],
      metrics: ['auc', 'accuracy', 'logLoss', 'brier'],
      ...site.policy,
    },
  };
}

function configOf(site: SiteOptions): unknown {
  return {
    formatVersion: 1,
    dataDir: './data',
    policy: './policy.yaml',
    datasets: [{ name: site.dataset, path: `./${site.dataset}.csv`, format: 'Csv' }],
    ...site.config,
  };
}

export function requireSuccess(what: string, finished: Finished): Finished {
  if (finished.code === 0) return finished;
  throw new Error(
    `${what}: exit ${String(finished.code ?? finished.signal)}: ${finished.stderr || finished.stdout}`,
  );
}
