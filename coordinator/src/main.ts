import { setDefaultHighWaterMark } from 'node:stream';

import { ERROR_TABLE, SOFTWARE_VERSION, TributaryError } from '@tributary/proto';
import { addSharedCommands, errorReport, hintUsage } from '@tributary/proto/command-line';
import { Command, CommanderError, Option } from 'commander';

import { LOG_LEVELS } from './adapters/logs/log.js';
import { backup } from './commands/backup.js';
import { context } from './commands/context.js';
import { init } from './commands/init.js';
import { restore } from './commands/restore.js';
import { serve } from './commands/serve.js';
import {
  loadContextLocation,
  loadDataDirectory,
  loadSealKeyFile,
  loadServeConfig,
  type Flags,
} from './config.js';
import { ROLES, type Role } from './domain/federation-state.js';

/**
 * Messages that a gRPC stream reads ahead or queues before it says "wait". Node's default of 16 would hold 16 MiB of
 * chunks for each upload and download.
 */
const MESSAGES_AHEAD = 2;

/**
 * Runs one command of `tributary-coordinator` and resolves with its exit code: 0, or that of the error table. `serve`
 * resolves when the daemon has stopped.
 */
export async function runCoordinator(args: readonly string[]): Promise<number> {
  setDefaultHighWaterMark(true, MESSAGES_AHEAD);
  try {
    await buildProgram().parseAsync([...args], { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : ERROR_TABLE.USAGE.exit;
    const known = TributaryError.from(error);
    process.stderr.write(errorReport(known, 'tributary-coordinator'));
    if (known.code === 'INTERNAL') process.stderr.write(`${stackOf(known)}\n`);
    return ERROR_TABLE[known.code].exit;
  }
}

/** The words and options of `tributary-coordinator`. */
export function buildProgram(): Command {
  const root = new Command('tributary-coordinator')
    .description('Runs training rounds over the agents of a federation.')
    .version(SOFTWARE_VERSION)
    .exitOverride();
  addInit(root);
  addServe(root);
  addBackup(root);
  addRestore(root);
  addContext(root);
  addSharedCommands(root, { placeholders: {}, print: (text) => void process.stdout.write(text) });
  hintUsage(root);
  return root;
}

const DATA = ['--data <dir>', 'data directory (TRIBUTARY_DATA)'] as const;
const SEAL_KEY = [
  '--seal-key-file <file>',
  'file with the key that seals keys at rest (TRIBUTARY_SEAL_KEY_FILE)',
] as const;

type InitFlags = Flags &
  Readonly<Record<'name', string>> &
  Readonly<Record<'host', unknown>> &
  Readonly<Record<'ifAbsent', unknown>>;

function addInit(root: Command): void {
  root
    .command('init')
    .description(
      'Creates a federation: its certificate authority, its keys, its ledger and the first admin context.',
    )
    .option(...DATA)
    .requiredOption('--name <name>', 'name of the federation')
    .option(
      '--host <host>',
      'name or address at which agents and operators reach it; may be repeated',
      collect,
      [],
    )
    .option(...SEAL_KEY)
    .option(
      '--context-file <file>',
      'file to add the admin context to (TRIBUTARY_CONFIG, or ~/.tributary/config.yaml)',
    )
    .option('--if-absent', 'leave a federation that is there as it is', false)
    .action(async (options: InitFlags) => {
      const { path, home } = loadContextLocation();
      await init({
        data: loadDataDirectory(options),
        name: options.name,
        hosts: hostsOf(options.host),
        sealKeyFile: loadSealKeyFile(options),
        contextFile: options['contextFile'] ?? path,
        ifAbsent: options.ifAbsent === true,
        home,
        print,
      });
    });
}

function addServe(root: Command): void {
  root
    .command('serve')
    .description('Serves a federation until it is told to stop (SIGTERM, SIGINT).')
    .option(...DATA)
    .option('--listen <address>', 'address to listen on (TRIBUTARY_LISTEN; 0.0.0.0)')
    .option('--host <host>', 'name or address at which agents reach this coordinator (TRIBUTARY_HOST)')
    .option('--fleet-address <address>', 'host:port that agents are told (TRIBUTARY_FLEET_ADDRESS)')
    .option('--enrol-address <address>', 'host:port in join tokens (TRIBUTARY_ENROL_ADDRESS)')
    .option('--admin-address <address>', 'host:port of the first context (TRIBUTARY_ADMIN_ADDRESS)')
    .option(
      '--tunnel-address <address>',
      'host:port at which sites find the tunnel (TRIBUTARY_TUNNEL_ADDRESS)',
    )
    .option('--fleet-port <port>', 'agents, mutual TLS (TRIBUTARY_FLEET_PORT; 7443)')
    .option('--enrol-port <port>', 'joining agents, server TLS (TRIBUTARY_ENROL_PORT; 7444)')
    .option('--admin-port <port>', 'operators, mutual TLS (TRIBUTARY_ADMIN_PORT; 7445)')
    .option('--health-port <port>', 'grpc.health.v1, plaintext (TRIBUTARY_HEALTH_PORT; 7446)')
    .option('--tunnel-port <port>', 'agents behind proxies that open TLS (TRIBUTARY_TUNNEL_PORT; not served)')
    .option('--tunnel-cert-file <file>', 'PEM of a certificate that those proxies trust, with its chain')
    .option('--tunnel-key-file <file>', 'PEM of its key')
    .option('--metrics-port <port>', 'HTTP /metrics, plaintext (TRIBUTARY_METRICS_PORT; 7447)')
    .option(...SEAL_KEY)
    .addOption(
      new Option('--log-level <level>', 'lines that are logged (TRIBUTARY_LOG_LEVEL; info)').choices(
        LOG_LEVELS,
      ),
    )
    .addHelpText(
      'after',
      '\nEvery port may be 0: the addresses are then in run/addresses.json of the data directory.',
    )
    .action((options: Flags) => serve(loadServeConfig(options)));
}

function addBackup(root: Command): void {
  root
    .command('backup')
    .description(
      'Writes a consistent backup: through the socket of a running daemon, else from the directory.',
    )
    .option(...DATA)
    .requiredOption('--to <file>', 'file to write; - for standard output')
    .option(...SEAL_KEY)
    .action((options: Flags & { readonly to: string }) =>
      backup({
        data: loadDataDirectory(options),
        to: options.to,
        output: process.stdout,
        sealKeyFile: loadSealKeyFile(options),
        print: options.to === '-' ? note : print,
      }),
    );
}

function addRestore(root: Command): void {
  root
    .command('restore')
    .description('Creates a data directory from a backup.')
    .option(...DATA)
    .requiredOption('--from <file>', 'backup to read; - for standard input')
    .option(...SEAL_KEY)
    .action((options: Flags & { readonly from: string }) =>
      restore({
        data: loadDataDirectory(options),
        from: options.from,
        input: process.stdin,
        sealKeyFile: loadSealKeyFile(options),
        print,
      }),
    );
}

type ContextFlags = Flags & { readonly role: Role };

function addContext(root: Command): void {
  root
    .command('context <name>')
    .description(
      'Makes a context for an operator without another one: the way back in when none works any more.',
    )
    .option(...DATA)
    .addOption(new Option('--role <role>', 'what it may do').choices(ROLES).default('admin'))
    .option('--server <address>', 'host:port of the admin listener (where the daemon listens)')
    .option(...SEAL_KEY)
    .option(
      '--context-file <file>',
      'file to add the context to (TRIBUTARY_CONFIG, or ~/.tributary/config.yaml); - prints it',
    )
    .action(async (name: string, options: ContextFlags) => {
      const { path, home } = loadContextLocation();
      await context({
        ...{ data: loadDataDirectory(options), name, role: options.role, server: options['server'] },
        ...{
          sealKeyFile: loadSealKeyFile(options),
          contextFile: options['contextFile'] ?? path,
          home,
          print,
        },
      });
    });
}

function collect(value: string, previous: readonly string[]): readonly string[] {
  return [...previous, value];
}

function hostsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** For what must not come between the bytes of an answer. */
function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

function stackOf(error: TributaryError): string {
  const cause = error.cause instanceof Error ? error.cause : error;
  return cause.stack ?? cause.message;
}
