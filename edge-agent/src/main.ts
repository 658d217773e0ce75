import { readFile } from 'node:fs/promises';

import {
  decodeJoinToken,
  ERROR_TABLE,
  SOFTWARE_VERSION,
  TributaryError,
  type ErrorCode,
  type JoinToken,
} from '@tributary/proto';
import { addSharedCommands, errorReport, hintUsage } from '@tributary/proto/command-line';
import { Command, CommanderError, Option } from 'commander';

import { openDataDirectory, socketPath } from './adapters/files/data-directory.js';
import { fileError } from './adapters/files/file-error.js';
import { fetchStatus, NO_LIMIT, requestOf } from './adapters/http/status-client.js';
import { systemClock } from './adapters/system/clock.js';
import { systemRandom } from './adapters/system/random.js';
import { SocketMeter } from './adapters/tls/socket-meter.js';
import { certificateReader, tlsKeyMaker } from './adapters/tls/tls-keys.js';
import { EgressCounter } from './app/egress-counter.js';
import { requireEnrolment, STARTED_BY } from './app/enrolment-record.js';
import { join } from './app/joining.js';
import type { FullStatus } from './app/status.js';
import { describeStatus } from './app/status-text.js';
import { addCheckCommand } from './commands/check/check-command.js';
import { failedWay } from './commands/check/site-check.js';
import { addNames, PLACEHOLDERS } from './commands/names.js';
import { backendsCommand, type BackendsFlags } from './commands/backends.js';
import { createDialer } from './commands/coordinator-dialer.js';
import { datasetCheckCommand, datasetDescribeCommand, type DatasetFlags } from './commands/dataset.js';
import { fitsExportCommand, type FitsFlags } from './commands/fits.js';
import { identityCommand } from './commands/identity.js';
import { pipelineCheckCommand, type PipelineCheckFlags } from './commands/pipeline-check.js';
import { pipelineLettersCommand, type LettersFlags } from './commands/pipeline-letters.js';
import { predictCommand, type PredictFlags } from './commands/predict.js';
import { runCommand, type RunOptions } from './commands/run.js';
import { addSiteCommands } from './commands/site-commands.js';
import { serveCommand } from './commands/serve.js';
import { trainParts } from './commands/train-parts.js';
import { trainCommand, type TrainFlags } from './commands/train.js';
import {
  joinTokenOf,
  loadConfig,
  loadReplicaConfig,
  LOG_LEVELS,
  processEnvironment,
  trustStoresOf,
  type AgentConfig,
  type AgentFlags,
} from './config.js';
import type { ModelRef } from './serving-ports.js';

export type MainOptions = RunOptions;

/** Runs the `tributary-agent` command; resolves with its exit code (see the error table). */
export async function runAgent(argv: readonly string[], options: MainOptions = {}): Promise<number> {
  const outcome = { exit: 0 };
  const program = buildProgram(options, outcome);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return outcome.exit;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : ERROR_TABLE.USAGE.exit;
    return report(error);
  }
}

type JoinFlags = AgentFlags & TokenFlags;

export interface TokenFlags {
  readonly token?: string;
  readonly tokenFile?: string;
  /** An init container asks at every start, also when the Secret with the token has been removed. */
  readonly keep: boolean;
}

interface StatusFlags extends AgentFlags {
  readonly output: string;
}

/** The words and options of `tributary-agent`. */
export function buildProgram(options: MainOptions, outcome = { exit: 0 }): Command {
  const program = new Command('tributary-agent')
    .description('The agent of a site: trains where the data is.')
    .version(SOFTWARE_VERSION)
    .exitOverride();
  const command = (name: string, description: string, parent = program): Command =>
    parent
      .command(name)
      .description(description)
      .option('--config <file>', 'agent.yaml')
      .option('--data <dir>', 'data directory, instead of dataDir')
      .exitOverride();
  command('join', 'Join a federation with the token that its operator gave; running it again resumes.')
    .option('--token <token>', 'join token; TRIBUTARY_JOIN_TOKEN keeps it out of the process list')
    .option('--token-file <file>', 'file with the join token')
    .option('--keep', 'where that file is gone, stay who the data directory says', false)
    .action((flags: JoinFlags) => joinCommand(flags));
  command('run', 'Run the agent until it is told to stop.')
    .addOption(new Option('--log-level <level>', 'lines that are logged').choices(LOG_LEVELS))
    .option('--metrics-port <port>', 'port of /metrics')
    .option('--health-port <port>', 'port of grpc.health.v1, in plaintext, for probes')
    .action((flags: AgentFlags) => runCommand(loadConfig(flags, processEnvironment()), options));
  command('serve', 'Run a replica, which answers with what is rolled out to its site and does not train.')
    .addOption(new Option('--log-level <level>', 'lines that are logged').choices(LOG_LEVELS))
    .option('--metrics-port <port>', 'port of /metrics')
    .option('--health-port <port>', 'port of grpc.health.v1, in plaintext, for probes')
    .action((flags: AgentFlags) => serveCommand(loadReplicaConfig(flags, processEnvironment()), options));
  command('status', 'Show what the running agent does.')
    .addOption(outputOption())
    .action((flags: StatusFlags) => statusCommand(flags));
  command(
    'identity',
    'Print who this agent is, signed with its key: what `tributary federation roster add` takes.',
  ).action(async (flags: AgentFlags) =>
    print(await identityCommand(loadConfig(flags, processEnvironment()))),
  );
  addCheckCommand(command, tokenText, outcome);
  command('backends', 'Show which backend would train here, and why each other would not.')
    .option('-f, --file <file>', 'a job whose model is tried; a small sample otherwise')
    .addOption(outputOption())
    .action(async (flags: AgentFlags & BackendsFlags) =>
      print(await backendsCommand(loadConfig(flags, processEnvironment()), flags)),
    );
  command('train', "Train a job's model on this site's rows alone and print its metrics, for comparison.")
    .option('--offline', 'without a coordinator; nothing leaves the site')
    .option('-f, --file <file>', 'the job')
    .addOption(outputOption())
    .action(async (flags: AgentFlags & TrainFlags) =>
      print(await trainCommand(flags, () => trainParts(loadConfig(flags, processEnvironment())))),
    );
  command('predict', 'Ask a model that the running agent serves, or an exported one, about rows.')
    .option('-f, --file <file>', 'a JSON object or array of rows, or one row a line')
    .option('--model <model@version>', 'without a version the one that serves; the only model where absent')
    .option('--offline', 'without an agent, with --export')
    .option('--export <dir>', 'a folder that `tributary models export` wrote')
    .addOption(outputOption())
    .action(async (flags: AgentFlags & PredictFlags) =>
      print(await predictCommand(flags, () => loadConfig(flags, processEnvironment()).dataDir)),
    );
  command(
    'rollback <model>',
    'Go back to the version of a model that answered before, with or without a coordinator.',
  ).action((model: string, flags: AgentFlags) => rollbackCommand(model, flags));
  command(
    'drain',
    'Answer what brokers have for the running agent or replica, take nothing new, and end it for good.',
  ).action((flags: AgentFlags) => drainCommand(flags));
  const fits = program
    .command('fits')
    .description('What this site learnt for itself, which its replicas need; it never leaves the site.')
    .exitOverride();
  command('export', 'Write it to a file for serving.fits of the replicas.', fits)
    .requiredOption('--to <file>', 'file, which only this user may read')
    .action(async (flags: AgentFlags & FitsFlags) =>
      print(await fitsExportCommand(loadConfig(flags, processEnvironment()).dataDir, flags)),
    );
  addSiteCommands(command, program);
  const dataset = program
    .command('dataset')
    .description('Look at the datasets of agent.yaml as jobs would see them; nothing leaves the machine.')
    .exitOverride();
  command('check [dataset]', 'Rows, types, missing cells, classes, and what the policy would say.', dataset)
    .option('-f, --file <file>', 'FederatedJob that the dataset is checked for')
    .addOption(outputOption())
    .action((name: string | undefined, flags: DatasetFlags & AgentFlags) => checkCommand(name, flags));
  command(
    'describe <dataset>',
    'What may be told of a dataset; counts below minCount are suppressed.',
    dataset,
  )
    .addOption(outputOption())
    .action(async (name: string, flags: DatasetFlags & AgentFlags) => {
      process.stdout.write(
        await datasetDescribeCommand(loadConfig(flags, processEnvironment()), name, flags),
      );
    });
  const pipeline = program
    .command('pipeline')
    .description('Look at stream pipelines and at what they could not use; nothing leaves the machine.')
    .exitOverride();
  command('check', 'Check the file of a pipeline, and what it makes of a payload.', pipeline)
    .requiredOption('-f, --file <file>', 'the pipeline')
    .option('--payload <file>', 'payload of one message')
    .option('--topic <topic>', 'what the payload came on')
    .addOption(outputOption())
    .action((flags: PipelineCheckFlags & AgentFlags) => checkPipelineCommand(flags));
  command('letters [pipeline]', 'List the dead letters that are kept, or write the payload of one.', pipeline)
    .option('--payload <id>', 'letter whose payload is written')
    .option('--to <file>', 'file for the payload, instead of standard output')
    .addOption(outputOption())
    .action(async (name: string | undefined, flags: LettersFlags & AgentFlags) => {
      const config = loadConfig(flags, processEnvironment());
      process.stdout.write(await pipelineLettersCommand(config, name, flags));
    });
  addNames(program, processEnvironment, print);
  addSharedCommands(program, { placeholders: PLACEHOLDERS, print });
  hintUsage(program);
  return program;
}

const outputOption = (): Option =>
  new Option('-o, --output <form>', 'form of the answer').choices(['text', 'json']).default('text');

async function checkCommand(name: string | undefined, flags: DatasetFlags & AgentFlags): Promise<void> {
  const { text, ok } = await datasetCheckCommand(loadConfig(flags, processEnvironment()), name, flags);
  process.stdout.write(text);
  if (!ok)
    throw new TributaryError(
      'DATASET_INVALID',
      'not every dataset can be used as it is; see the problems above',
    );
}

/** With agent.yaml also whether its brokers and other pipelines fit. */
async function checkPipelineCommand(flags: PipelineCheckFlags & AgentFlags): Promise<void> {
  const config = flags.config === undefined ? undefined : loadConfig(flags, processEnvironment());
  const { text, fault } = await pipelineCheckCommand(flags, config, systemClock.now());
  process.stdout.write(text);
  if (fault !== undefined) throw fault;
}

const print = (text: string): void => {
  process.stdout.write(text);
};

/** What a join ends with whose way to the coordinator is closed, or leads elsewhere. */
const ASTRAY: ReadonlySet<ErrorCode> = new Set(['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'CA_MISMATCH']);

async function joinCommand(flags: JoinFlags): Promise<void> {
  const env = processEnvironment();
  const config = loadConfig(flags, env);
  const text = await tokenText(flags, joinTokenOf(env));
  try {
    await joinWith(config, text === undefined ? undefined : decodeJoinToken(text));
  } catch (error) {
    // In an init container nobody can run the check: this log is all there is.
    if (text !== undefined && ASTRAY.has(TributaryError.from(error).code))
      print(await failedWay(config, text, trustStoresOf(env)));
    throw error;
  }
}

async function joinWith(config: AgentConfig, token: JoinToken | undefined): Promise<void> {
  const data = await openDataDirectory(config.dataDir, config.sealKeyFile, (directory) =>
    print(`Another build wrote to ${directory}; it is counted anew, as it is.\n`),
  );
  try {
    if (token === undefined) {
      const { site, agentId } = await requireEnrolment(data.store);
      print(`Still joined as site ${site} (${agentId}).\n`);
      return;
    }
    const sockets = new SocketMeter();
    const egress = await EgressCounter.open({ ...data, sockets, clock: systemClock });
    const dialer = await createDialer(config, egress, sockets);
    const parts = {
      store: data.store,
      dialer,
      keys: tlsKeyMaker,
      certificates: certificateReader,
      random: systemRandom,
      clock: systemClock,
    };
    const { agentId, site, kind, fresh } = await join(parts, token);
    await egress.close();
    const next = fresh
      ? `\nNext: the operator runs \`tributary approve ${site}\` unless the token approves by itself; start it with \`${STARTED_BY[kind]}\`.`
      : '';
    process.stdout.write(`${fresh ? 'Joined' : 'Already joined'} as site ${site} (${agentId}).${next}\n`);
  } finally {
    await data.close();
  }
}

/** The token that was given; undefined where its file is gone and that is no fault. */
async function tokenText(
  { token, tokenFile, keep }: TokenFlags,
  fromEnv: string | undefined,
): Promise<string | undefined> {
  if (token !== undefined) return token;
  if (tokenFile === undefined) {
    if (fromEnv !== undefined) return fromEnv;
    throw new TributaryError('USAGE', 'join needs --token, --token-file or TRIBUTARY_JOIN_TOKEN');
  }
  try {
    return await readFile(tokenFile, 'utf8');
  } catch (error) {
    const known = fileError(error, tokenFile);
    if (keep && known.code === 'NOT_FOUND') return undefined;
    throw new TributaryError('CONFIG_INVALID', `--token-file: ${known.message}`, {
      cause: error,
      hint: 'name the file that holds what `tributary invite` printed',
    });
  }
}

async function statusCommand({ output, ...flags }: StatusFlags): Promise<void> {
  const { dataDir } = loadConfig(flags, processEnvironment());
  const text = await fetchStatus(socketPath(dataDir));
  process.stdout.write(output === 'json' ? text : describeStatus(JSON.parse(text) as FullStatus));
}

async function rollbackCommand(model: string, flags: AgentFlags): Promise<void> {
  const { dataDir } = loadConfig(flags, processEnvironment());
  const { name, version } = JSON.parse(
    await requestOf(socketPath(dataDir), 'POST', '/rollback', { model }),
  ) as ModelRef;
  process.stdout.write(`${name} answers with version ${String(version)} again, until the next rollout.\n`);
}

async function drainCommand(flags: AgentFlags): Promise<void> {
  const { dataDir } = loadConfig(flags, processEnvironment());
  process.stderr.write(
    'Draining, however long that takes: `tributary-agent status` says what is left, and what it waits for.\n',
  );
  await requestOf(socketPath(dataDir), 'POST', '/drain', {}, NO_LIMIT);
  print('Everything is answered, and no broker keeps anything for it: the process ends.\n');
}

function report(error: unknown): number {
  const known = TributaryError.from(error);
  // The text of an error that nobody foresaw may quote a cell.
  const told = known.code === 'INTERNAL' ? new TributaryError('INTERNAL', 'an unexpected error') : known;
  process.stderr.write(errorReport(told, 'tributary-agent'));
  return ERROR_TABLE[known.code].exit;
}
