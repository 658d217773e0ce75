import { LIMITS } from '@tributary/proto';
import type { Command } from 'commander';

import { joinTokenOf, loadConfig, processEnvironment, trustStoresOf, type AgentFlags } from '../../config.js';
import { checkSite, siteCheckText } from './site-check.js';

interface CheckFlags extends AgentFlags {
  readonly token?: string;
  readonly tokenFile?: string;
  readonly fleet?: string;
  readonly json: boolean;
}

/** Reads the token that was given. */
type TokenReader = (
  flags: Pick<CheckFlags, 'token' | 'tokenFile'> & { readonly keep: boolean },
  fromEnv: string | undefined,
) => Promise<string | undefined>;

/** Adds `check`, which ends with 0 where nothing failed and with 1 otherwise. */
export function addCheckCommand(
  command: (name: string, description: string) => Command,
  readToken: TokenReader,
  outcome: { exit: number },
): void {
  command(
    'check',
    'Look at all that a site needs, before it joins and after, and change nothing; exit code 1 where something failed.',
  )
    .option('--token <token>', 'join token; TRIBUTARY_JOIN_TOKEN keeps it out of the process list')
    .option('--token-file <file>', 'file with the join token')
    .option('--fleet <address>', 'fleet address of the coordinator, before the site has joined')
    .option('--json', 'as JSON', false)
    .action(async (flags: CheckFlags) => {
      const env = processEnvironment();
      const result = await checkSite({
        config: () => loadConfig(flags, env),
        token: () => givenToken(flags, joinTokenOf(env), readToken),
        fleet: flags.fleet,
        trustStores: trustStoresOf(env),
      });
      process.stdout.write(siteCheckText(result, flags.json));
      outcome.exit = result.ok ? 0 : 1;
      // A name server or a disk that answers nobody cannot be cut off: the process ends all the same.
      if (result.late) setTimeout(() => process.exit(outcome.exit), LIMITS.probeLeaveMs).unref();
    });
}

function givenToken(
  flags: CheckFlags,
  fromEnv: string | undefined,
  read: TokenReader,
): Promise<string | undefined> {
  if (flags.token === undefined && flags.tokenFile === undefined) return Promise.resolve(fromEnv);
  return read({ ...flags, keep: false }, fromEnv);
}
