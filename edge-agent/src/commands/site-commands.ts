import { TributaryError } from '@tributary/proto';
import type { Command } from 'commander';

import { loadConfig, processEnvironment, type AgentConfig, type AgentFlags } from '../config.js';
import { checkLog, showLog, type LogFlags } from './decision-lines.js';
import { decideCommand, egressCommand, jobsCommand, type DecideFlags } from './job-desk.js';
import { forksCommand, headCommand, resolveCommand, type ResolveFlags } from './ledger-desk.js';
import { policyCheck, policyExplain, type ExplainFlags } from './policy.js';

interface OutputFlags extends AgentFlags {
  readonly output: string;
}

/** Makes a command with the options that all have. */
type NewCommand = (name: string, description: string, parent?: Command) => Command;

/** The commands with which a site decides about jobs and looks at what its agent has done. */
export function addSiteCommands(command: NewCommand, program: Command): void {
  addJobCommands(command);
  addPolicyCommands(command, program);
  addLogCommands(command, program);
}

function addJobCommands(command: NewCommand): void {
  for (const [name, decision] of [
    ['approve', 'Approved'],
    ['reject', 'Rejected'],
  ] as const) {
    command(`${name} <job>`, `${decision === 'Approved' ? 'Approve' : 'Reject'} a job, by name or id.`)
      .option(
        '--key <file>',
        'Ed25519 seed of an approver that the policy lists; the key of the agent otherwise',
      )
      .option('--digest <sha256>', 'digest that the document of the job must have')
      .option('-o, --output <form>', 'text or json', 'text')
      .action(async (job: string, flags: OutputFlags & DecideFlags) =>
        print(await decideCommand(configOf(flags), job, decision, requireForm(flags))),
      );
  }
  command('jobs', 'List the jobs whose orders have come, and which of them wait for the site.')
    .option('-o, --output <form>', 'text or json', 'text')
    .action(async (flags: OutputFlags) => print(await jobsCommand(configOf(flags), requireForm(flags))));
  command('egress [job]', 'Show what left for a job, as a signed receipt; without a job what left in all.')
    .option('--verify <file>', 'a receipt whose signature is checked, without an agent')
    .option('-o, --output <form>', 'text or json', 'text')
    .action(async (job: string | undefined, flags: OutputFlags & { readonly verify?: string }) =>
      print(await egressCommand(() => configOf(flags), job, requireForm(flags))),
    );
}

function addPolicyCommands(command: NewCommand, program: Command): void {
  const policy = program.command('policy').description('Look at the policy of the site.').exitOverride();
  command('check', 'Read the policy file and say what is wrong with it.', policy)
    .option('-o, --output <form>', 'text or json', 'text')
    .action(async (flags: OutputFlags) => print(await policyCheck(configOf(flags), requireForm(flags))));
  command('explain <job>', 'What every rule says of a job: a file, or a job that the agent knows.', policy)
    .option('--author <key>', 'key of the author, base64, where the job is a file')
    .option('-o, --output <form>', 'text or json', 'text')
    .action(async (job: string, flags: OutputFlags & ExplainFlags) => {
      const { text, refusal } = await policyExplain(configOf(flags), job, requireForm(flags));
      print(text);
      if (refusal !== undefined) throw refusal;
    });
}

function addLogCommands(command: NewCommand, program: Command): void {
  const log = program.command('log').description("Look at the site's own log of decisions.").exitOverride();
  const withJob = (name: string, description: string): Command =>
    command(name, description, log).option('--job <job>', 'lines about this job only, by name or id');
  withJob('show', 'Show the lines for people.')
    .option('-o, --output <form>', 'text or json', 'text')
    .action((flags: OutputFlags & LogFlags) => showLog(configOf(flags), requireForm(flags), print));
  withJob('export', 'Print the lines as they are.').action((flags: AgentFlags & LogFlags) =>
    showLog(configOf(flags), { ...flags, output: 'lines' }, print),
  );
  command('verify', 'Check that no line was altered, and no end cut off that a running agent knows of.', log)
    .option('--file <file>', 'an exported log instead of that of this agent')
    .option('--key <key>', 'identity key of the agent, base64, that must have signed the heads')
    .option('-o, --output <form>', 'text or json', 'text')
    .action(async (flags: OutputFlags & { readonly file?: string; readonly key?: string }) =>
      print(await checkLog(() => configOf(flags), requireForm(flags))),
    );
  addLedgerCommands(command, log);
}

function addLedgerCommands(command: NewCommand, log: Command): void {
  command(
    'head',
    'Print the newest signed head of the coordinator’s log that this site has verified.',
    log,
  ).action(async (flags: AgentFlags) => print(await headCommand(configOf(flags))));
  command('forks', 'Show where the coordinator’s log contradicted what this site had seen.', log)
    .option('-o, --output <form>', 'text or json', 'text')
    .action(async (flags: OutputFlags) => print(await forksCommand(configOf(flags), requireForm(flags))));
  command('resolve', 'Settle it, and work for this coordinator again.', log)
    .option('--keep', 'with the history that the site had seen', false)
    .option('--accept', 'with the history that the coordinator shows', false)
    .action(async (flags: AgentFlags & ResolveFlags) => print(await resolveCommand(configOf(flags), flags)));
}

const configOf = (flags: AgentFlags): AgentConfig => loadConfig(flags, processEnvironment());

function requireForm<T extends OutputFlags>(flags: T): T {
  if (flags.output !== 'text' && flags.output !== 'json')
    throw new TributaryError('USAGE', '--output: text or json');
  return flags;
}

const print = (text: string): void => {
  process.stdout.write(text);
};
