import type { Placeholders } from '@tributary/proto/command-line';
import { Command } from 'commander';

import { socketPath } from '../adapters/files/data-directory.js';
import { fetchStatus } from '../adapters/http/status-client.js';
import type { AgentStatus } from '../app/status.js';
import { loadConfig, type AgentFlags, type Environment } from '../config.js';
import { readPipelines } from './pipeline-files.js';

/** Milliseconds that somebody who pressed Tab waits for names. */
const PATIENCE_MS = 500;

type Source = (flags: AgentFlags, env: Environment) => Promise<readonly string[]>;

const SOURCES: Readonly<Record<string, Source>> = {
  datasets: (flags, env) => Promise.resolve(loadConfig(flags, env).datasets.map(({ name }) => name)),
  pipelines: async (flags, env) =>
    (await readPipelines(loadConfig(flags, env))).map(({ metadata }) => metadata.name),
  models: async (flags, env) => (await served(flags, env)).map(({ name }) => name),
  versions: async (flags, env) =>
    (await served(flags, env)).map(({ name, version }) => `${name}@${String(version)}`),
};

/** Which names complete which arguments. */
export const PLACEHOLDERS: Placeholders = {
  dataset: { type: 'Names', source: 'datasets' },
  pipeline: { type: 'Names', source: 'pipelines' },
  model: { type: 'Names', source: 'models' },
  'model@version': { type: 'Names', source: 'versions' },
};

/** Adds the hidden command that completion scripts ask for names: one a line, none where they cannot be had. */
export function addNames(
  program: Command,
  environment: () => Environment,
  print: (text: string) => void,
): void {
  program
    .command('names <source> [words...]', { hidden: true })
    .exitOverride()
    .action(async (source: string, words: readonly string[]) => {
      const names = await namesOf(source, words, environment()).catch(() => []);
      print(names.map((name) => `${name}\n`).join(''));
    });
}

/** Names of a source, for the agent that the words of the line speak of. */
async function namesOf(
  source: string,
  words: readonly string[],
  env: Environment,
): Promise<readonly string[]> {
  const line = new Command().option('--config <file>').option('--data <dir>').allowUnknownOption();
  line
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
    .parseOptions([...words]);
  return (await SOURCES[source]?.(line.opts<AgentFlags>(), env)) ?? [];
}

async function served(flags: AgentFlags, env: Environment): Promise<AgentStatus['serving']> {
  const { dataDir } = loadConfig(flags, env);
  return (JSON.parse(await fetchStatus(socketPath(dataDir), PATIENCE_MS)) as AgentStatus).serving;
}
