import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

import { LIMITS, TributaryError } from '@tributary/proto';
import { parse } from 'yaml';
import { z } from 'zod';

import { brokerFile, brokersOf, type BrokerConfig } from './broker-config.js';
import { datasetConfigSchema, withPaths } from './dataset-config.js';
import { parseAddress, type Address } from './domain/address.js';
import type { DatasetDeclaration } from './domain/datasets/declaration.js';
import { servingConfigOf, servingFile, type ServingConfig } from './serving-config.js';
import { trainerConfigOf, trainerFile, type TrainerConfig } from './trainer-config.js';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const path = z.string().min(1);
const port = z.int().min(0).max(65_535);

const agentFile = z.strictObject({
  formatVersion: z.literal(1),
  dataDir: path,
  policy: path.optional(),
  datasets: z.array(datasetConfigSchema).max(LIMITS.datasets).optional(),
  sealKeyFile: path.optional(),
  proxy: z
    .strictObject({
      url: z.string(),
      username: z.string().min(1).optional(),
      passwordFile: path.optional(),
      noProxy: z.array(z.string().min(1)).optional(),
    })
    .optional(),
  caBundle: path.optional(),
  coordinator: z.strictObject({ tunnel: z.string().optional() }).optional(),
  logLevel: z.enum(LOG_LEVELS).optional(),
  metricsPort: port.optional(),
  healthPort: port.optional(),
  healthHost: z.string().min(1).default('0.0.0.0'),
  trainer: trainerFile.optional(),
  serving: servingFile.optional(),
  brokers: z.array(brokerFile).max(LIMITS.brokers).default([]),
  pipelines: z.array(path).max(LIMITS.pipelines).default([]),
});

/** How to reach the coordinator from behind a firewall: an HTTP CONNECT proxy, spoken to in plaintext. */
export interface ProxyConfig {
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
  /** Absolute; read when connecting, so that a rotated password needs no restart of the file's owner. */
  readonly passwordFile?: string;
  /** Host names, domain suffixes (".example.org") or "*" that are reached directly. */
  readonly noProxy: readonly string[];
}

/** Everything the agent is told from outside, checked, with absolute paths. */
export interface AgentConfig {
  readonly dataDir: string;
  readonly policyPath: string | undefined;
  readonly datasets: readonly DatasetDeclaration[];
  readonly sealKeyFile: string;
  readonly proxy: ProxyConfig | undefined;
  readonly caBundlePath: string | undefined;
  /** Where the coordinator takes tunnels, for a site behind a proxy that opens TLS; undefined dials it directly. */
  readonly tunnel: Address | undefined;
  readonly logLevel: LogLevel;
  readonly metricsPort: number | undefined;
  /** grpc.health.v1 in plaintext; not served where undefined. */
  readonly healthPort: number | undefined;
  /** Address that it listens on. */
  readonly healthHost: string;
  readonly trainer: TrainerConfig;
  readonly serving: ServingConfig;
  readonly brokers: readonly BrokerConfig[];
  /** Absolute paths of StreamPipeline documents. */
  readonly pipelines: readonly string[];
}

/** What a replica is told: it has no dataset and no trainer. */
export type ReplicaConfig = Omit<AgentConfig, 'datasets' | 'trainer'>;

/** Options of the command line; each wins over the environment, which wins over the file. */
export interface AgentFlags {
  readonly config?: string;
  readonly data?: string;
  readonly logLevel?: string;
  readonly metricsPort?: string;
  readonly healthPort?: string;
}

/** Variables of the process environment; only this module reads them. */
export type Environment = Readonly<Record<string, string | undefined>>;

export const processEnvironment = (): Environment => process.env;

/** The join token of the environment (TRIBUTARY_JOIN_TOKEN): keeps it out of the process list. */
export const joinTokenOf = (env: Environment): string | undefined => env['TRIBUTARY_JOIN_TOKEN'];

/** Where Debian, Red Hat and SUSE keep the authorities that a machine trusts. */
const TRUST_STORES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
];

/** Files with the authorities that this machine trusts; SSL_CERT_FILE, which OpenSSL reads too, takes their place. */
export function trustStoresOf({ ['SSL_CERT_FILE']: own }: Environment): readonly string[] {
  return own === undefined || own === '' ? TRUST_STORES : [own];
}

/**
 * Reads agent.yaml (flag --config or TRIBUTARY_AGENT_CONFIG) and lays environment and flags over it. Relative paths
 * count from the file. Throws CONFIG_INVALID naming the field and the fix.
 */
export function loadConfig(flags: AgentFlags, env: Environment): AgentConfig {
  const { given, at } = locate(flags, env);
  const { datasets = [] } = given;
  requireDistinct(datasets.map(({ name }) => name));
  return {
    ...commonOf(given, flags, env, at),
    datasets: datasets.map((dataset) => withPaths(dataset, at)),
    trainer: trainerConfigOf(given.trainer, env, at),
  };
}

/** The same for a replica. Throws CONFIG_INVALID also where the file has what only the agent that trains takes. */
export function loadReplicaConfig(flags: AgentFlags, env: Environment): ReplicaConfig {
  const { given, at } = locate(flags, env);
  const field = (['datasets', 'trainer'] as const).find((name) => given[name] !== undefined);
  if (field !== undefined)
    throw invalid(
      field,
      'a replica trains nothing; remove it, or start the agent with `tributary-agent run`',
    );
  return commonOf(given, flags, env, at);
}

/** agent.yaml, and what makes its paths absolute. */
function locate(flags: AgentFlags, env: Environment): { readonly given: AgentFile; readonly at: Resolver } {
  const file = flags.config ?? env['TRIBUTARY_AGENT_CONFIG'];
  if (file === undefined)
    throw invalid('--config', 'give the path of agent.yaml, or set TRIBUTARY_AGENT_CONFIG');
  const configPath = resolve(file);
  return { given: readAgentFile(configPath), at: (value) => resolve(dirname(configPath), value) };
}

function commonOf(given: AgentFile, flags: AgentFlags, env: Environment, at: Resolver): ReplicaConfig {
  return {
    ...pathsOf(given, flags, env, at),
    proxy: proxyOf(given.proxy, env, at),
    tunnel: tunnelOf(given.coordinator?.tunnel),
    logLevel: logLevelOf(flags.logLevel ?? env['TRIBUTARY_AGENT_LOG_LEVEL'], given.logLevel),
    metricsPort:
      portOf('metricsPort', flags.metricsPort ?? env['TRIBUTARY_AGENT_METRICS_PORT']) ?? given.metricsPort,
    healthPort:
      portOf('healthPort', flags.healthPort ?? env['TRIBUTARY_AGENT_HEALTH_PORT']) ?? given.healthPort,
    healthHost: given.healthHost,
    serving: servingConfigOf(given.serving, at),
    brokers: brokersOf(given.brokers, at),
    pipelines: given.pipelines.map(at),
  };
}

type Paths = Pick<AgentConfig, 'dataDir' | 'policyPath' | 'sealKeyFile' | 'caBundlePath'>;
/** Makes a path of the file absolute. */
type Resolver = (path: string) => string;

/** Paths of flags and environment count from the working directory, those of the file from the file. */
function pathsOf(given: AgentFile, flags: AgentFlags, env: Environment, at: Resolver): Paths {
  const dataDir = absolute(flags.data ?? env['TRIBUTARY_AGENT_DATA_DIR']) ?? at(given.dataDir);
  return {
    dataDir,
    policyPath: absolute(env['TRIBUTARY_AGENT_POLICY']) ?? mapped(given.policy, at),
    sealKeyFile:
      absolute(env['TRIBUTARY_AGENT_SEAL_KEY_FILE']) ??
      mapped(given.sealKeyFile, at) ??
      resolve(dataDir, 'seal.key'),
    caBundlePath: mapped(given.caBundle, at),
  };
}

type AgentFile = z.infer<typeof agentFile>;

function readAgentFile(configPath: string): AgentFile {
  let value: unknown;
  try {
    value = parse(readConfigText(configPath), { maxAliasCount: 0 });
  } catch (cause) {
    if (cause instanceof TributaryError) throw cause;
    const reason = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : '';
    throw new TributaryError('CONFIG_INVALID', `${configPath}: not readable as YAML: ${reason}`, { cause });
  }
  const parsed = agentFile.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new TributaryError(
    'CONFIG_INVALID',
    `${configPath}: ${parsed.error.issues.map(explain).join('; ')}`,
    {
      fields: { file: configPath },
    },
  );
}

function readConfigText(configPath: string): string {
  try {
    return readFileSync(configPath, 'utf8');
  } catch (cause) {
    const fault = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown fault';
    const words = fault === 'ENOENT' ? 'does not exist' : `cannot be read (${fault})`;
    throw new TributaryError('CONFIG_INVALID', `${configPath}: ${words}`, {
      cause,
      hint: 'name your agent.yaml with --config or TRIBUTARY_AGENT_CONFIG',
    });
  }
}

/** One line for an issue: path, what is wrong, what to write instead. */
function explain(issue: z.core.$ZodIssue): string {
  const where = issue.path.length === 0 ? 'the file' : issue.path.map(String).join('.');
  if (issue.code === 'unrecognized_keys') {
    const names = issue.keys.map((key) => (issue.path.length === 0 ? key : `${where}.${key}`)).join(', ');
    return `${names}: unknown field; remove it or correct its spelling`;
  }
  if (where === 'formatVersion')
    return 'formatVersion: write "formatVersion: 1"; this build reads no other version';
  return `${where}: ${issue.message}`;
}

function requireDistinct(names: readonly string[]): void {
  const repeated = names.find((name, index) => names.indexOf(name) !== index);
  if (repeated !== undefined)
    throw invalid('datasets', `the name ${repeated} occurs twice; give each dataset its own`);
}

function proxyOf(given: AgentFile['proxy'], env: Environment, at: Resolver): ProxyConfig | undefined {
  const [field, text] = proxyText(given, env);
  if (text === undefined) return undefined;
  const url = proxyUrl(field, text);
  const username = basicUser(given?.username ?? userInfo(field, url.username));
  const password = userInfo(field, url.password);
  const passwordFile = mapped(given?.passwordFile, at);
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? 80 : Number(url.port),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(passwordFile === undefined ? {} : { passwordFile }),
    noProxy: given?.noProxy ?? listOf(variable(env, 'NO_PROXY')),
  };
}

function tunnelOf(text: string | undefined): Address | undefined {
  if (text === undefined) return undefined;
  try {
    return parseAddress(text, 'coordinator.tunnel');
  } catch (cause) {
    throw new TributaryError('CONFIG_INVALID', 'coordinator.tunnel: write host:port', {
      cause,
      fields: { field: 'coordinator.tunnel' },
    });
  }
}

/** Where the proxy is named, and what is said there. */
function proxyText(
  given: AgentFile['proxy'],
  env: Environment,
): readonly [field: string, text: string | undefined] {
  const own = env['TRIBUTARY_AGENT_PROXY_URL'];
  if (own !== undefined && own !== '') return ['TRIBUTARY_AGENT_PROXY_URL', own];
  if (given !== undefined) return ['proxy.url', given.url];
  return ['HTTPS_PROXY', variable(env, 'HTTPS_PROXY')];
}

/** The text of a proxy URL may hold a password: errors never repeat it. */
function proxyUrl(field: string, text: string): URL {
  if (!URL.canParse(text)) throw invalid(field, 'write http://host:port');
  const url = new URL(text);
  if (url.protocol !== 'http:')
    throw invalid(field, 'only http:// proxies are supported (the tunnel inside is TLS)');
  return url;
}

/** A variable under its upper-case or its lower-case name, as tools have it; an empty one counts as absent. */
function variable(env: Environment, name: string): string | undefined {
  return [env[name], env[name.toLowerCase()]].find((value) => value !== undefined && value !== '');
}

function basicUser(name: string | undefined): string | undefined {
  if (name?.includes(':') === true)
    throw invalid('proxy.username', 'has no ":", which Basic authentication takes for its end (RFC 7617)');
  return name;
}

function userInfo(field: string, text: string): string | undefined {
  if (text === '') return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid(field, 'write % in user name and password as %25');
  }
}

const listOf = (text = ''): readonly string[] =>
  text
    .split(',')
    .map((host) => host.trim())
    .filter((host) => host !== '');

function logLevelOf(override: string | undefined, given: LogLevel | undefined): LogLevel {
  if (override === undefined) return given ?? 'info';
  const level = LOG_LEVELS.find((name) => name === override);
  if (level === undefined) throw invalid('logLevel', `one of ${LOG_LEVELS.join(', ')}`);
  return level;
}

function portOf(field: 'metricsPort' | 'healthPort', text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const parsed = port.safeParse(text.trim() === '' ? undefined : Number(text));
  if (!parsed.success) throw invalid(field, 'a port number from 0 to 65535');
  return parsed.data;
}

const absolute = (path: string | undefined): string | undefined =>
  path === undefined || path === '' ? undefined : resolve(path);
const mapped = (path: string | undefined, at: Resolver): string | undefined =>
  path === undefined ? undefined : at(path);

function invalid(field: string, fix: string): TributaryError {
  return new TributaryError('CONFIG_INVALID', `${field}: ${fix}`, { fields: { field } });
}
