import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

import { TributaryError } from '@tributary/proto';
import { z } from 'zod';

import { LOG_LEVELS } from './adapters/logs/log.js';

export type Environment = Readonly<Record<string, string | undefined>>;
/** Options of a command line, as text; absent ones are undefined. */
export type Flags = Readonly<Record<string, string | undefined>>;

/** Port of the admin listener; `init` writes it into the first context. */
export const DEFAULT_ADMIN_PORT = 7445;

const port = z.coerce.number().int().min(0).max(65_535);
const address = z
  .string()
  .regex(/^(?:(?:\[[0-9A-Fa-f:.]+\]|[^\s:[\]/]+):[0-9]{1,5})?$/, 'an address has the form host:port');

/**
 * What `serve` can be told. Each setting is taken from the option, else from the environment variable, else from
 * `serve` in coordinator.json, else the default.
 */
const SETTINGS = {
  /** Address to listen on. */
  listen: { variable: 'TRIBUTARY_LISTEN', schema: z.string().min(1), fallback: '0.0.0.0' },
  /** Ports; 0 takes a free one. */
  fleetPort: { variable: 'TRIBUTARY_FLEET_PORT', schema: port, fallback: 7443 },
  enrolPort: { variable: 'TRIBUTARY_ENROL_PORT', schema: port, fallback: 7444 },
  adminPort: { variable: 'TRIBUTARY_ADMIN_PORT', schema: port, fallback: DEFAULT_ADMIN_PORT },
  healthPort: { variable: 'TRIBUTARY_HEALTH_PORT', schema: port, fallback: 7446 },
  metricsPort: { variable: 'TRIBUTARY_METRICS_PORT', schema: port, fallback: 7447 },
  /** For agents behind proxies that open TLS; not served unless given. */
  tunnelPort: { variable: 'TRIBUTARY_TUNNEL_PORT', schema: port.optional(), fallback: undefined },
  /** PEM of a certificate that those proxies trust, and its key; '' takes one of the federation. */
  tunnelCertFile: { variable: 'TRIBUTARY_TUNNEL_CERT_FILE', schema: z.string(), fallback: '' },
  tunnelKeyFile: { variable: 'TRIBUTARY_TUNNEL_KEY_FILE', schema: z.string(), fallback: '' },
  /** Name or address at which agents reach this coordinator; '' takes the first name given to `init`. */
  host: { variable: 'TRIBUTARY_HOST', schema: z.string(), fallback: '' },
  /** What others are told to dial where that is not host and port of the listener, behind a router by server names. */
  fleetAddress: { variable: 'TRIBUTARY_FLEET_ADDRESS', schema: address, fallback: '' },
  enrolAddress: { variable: 'TRIBUTARY_ENROL_ADDRESS', schema: address, fallback: '' },
  adminAddress: { variable: 'TRIBUTARY_ADMIN_ADDRESS', schema: address, fallback: '' },
  /** Nobody is told this one: sites name it themselves. */
  tunnelAddress: { variable: 'TRIBUTARY_TUNNEL_ADDRESS', schema: address, fallback: '' },
  /** File with the 32-byte key (base64 or raw) that seals keys at rest; '' keeps one in the data directory. */
  sealKeyFile: { variable: 'TRIBUTARY_SEAL_KEY_FILE', schema: z.string(), fallback: '' },
  logLevel: { variable: 'TRIBUTARY_LOG_LEVEL', schema: z.enum(LOG_LEVELS), fallback: 'info' },
} as const;

type SettingName = keyof typeof SETTINGS;
type Settings = { readonly [K in SettingName]: z.infer<(typeof SETTINGS)[K]['schema']> };

export interface ServeConfig extends Settings {
  /** Absolute path of the data directory. */
  readonly data: string;
}

const directoryFile = z.looseObject({
  formatVersion: z.int(),
  serve: z.record(z.string(), z.union([z.string(), z.number()])).default({}),
});

/** Settings of `serve`; throws CONFIG_INVALID that names the option, variable or field, and gives the fix. */
export function loadServeConfig(flags: Flags, environment: Environment = process.env): ServeConfig {
  const data = loadDataDirectory(flags, environment);
  const stored = readStored(data);
  const settings = Object.fromEntries(
    (Object.keys(SETTINGS) as SettingName[]).map((name) => [
      name,
      resolveSetting(name, flags, environment, stored),
    ]),
  ) as Settings;
  return { data, ...settings, sealKeyFile: settings.sealKeyFile === '' ? '' : resolve(settings.sealKeyFile) };
}

/** The data directory of any command: --data, else TRIBUTARY_DATA; throws CONFIG_INVALID where neither is given. */
export function loadDataDirectory(flags: Flags, environment: Environment = process.env): string {
  const data = flags['data'] ?? environment['TRIBUTARY_DATA'];
  if (data !== undefined && data !== '') return resolve(data);
  throw new TributaryError('CONFIG_INVALID', 'no data directory is given', {
    hint: 'pass --data DIR or set TRIBUTARY_DATA',
  });
}

/** The sealing key's file of any command, or undefined where the data directory keeps its own. */
export function loadSealKeyFile(flags: Flags, environment: Environment = process.env): string | undefined {
  const file = flags['sealKeyFile'] ?? environment['TRIBUTARY_SEAL_KEY_FILE'];
  return file === undefined || file === '' ? undefined : resolve(file);
}

/** Where the `tributary` command keeps its contexts: what TRIBUTARY_CONFIG names, and the home directory otherwise. */
export function loadContextLocation(environment: Environment = process.env): {
  readonly path: string | undefined;
  readonly home: string;
} {
  return { path: environment['TRIBUTARY_CONFIG'], home: homedir() };
}

function resolveSetting(
  name: SettingName,
  flags: Flags,
  environment: Environment,
  stored: Readonly<Record<string, string | number>>,
): unknown {
  const { variable, schema, fallback } = SETTINGS[name];
  const sources: readonly (readonly [string, string | number | undefined])[] = [
    [`--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`, flags[name]],
    [variable, environment[variable]],
    [`coordinator.json: serve.${name}`, stored[name]],
  ];
  for (const [source, value] of sources) {
    if (value === undefined || value === '') continue;
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    throw new TributaryError(
      'CONFIG_INVALID',
      `${source}: ${parsed.error.issues[0]?.message ?? 'wrong value'}`,
      {
        hint: `give ${source} another value, or leave it out${fallback === undefined ? '' : ` for ${String(fallback)}`}`,
      },
    );
  }
  return fallback;
}

/** `serve` of coordinator.json; the rest of that file belongs to the data directory's own reader. */
function readStored(data: string): Readonly<Record<string, string | number>> {
  const path = join(data, 'coordinator.json');
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new TributaryError('CONFIG_INVALID', `${path}: cannot be read`, { cause: error });
  }
  const parsed = directoryFile.safeParse(parseJson(text, path));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new TributaryError(
      'CONFIG_INVALID',
      `${path}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`,
    );
  }
  const unknown = Object.keys(parsed.data.serve).find((name) => !Object.hasOwn(SETTINGS, name));
  if (unknown === undefined) return parsed.data.serve;
  throw new TributaryError('CONFIG_INVALID', `${path}: serve.${unknown}: no such setting`, {
    hint: `settings: ${Object.keys(SETTINGS).join(', ')}`,
  });
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TributaryError('CONFIG_INVALID', `${path}: not JSON`, { cause });
  }
}
