import { addSharedCommands, hintUsage } from '@tributary/proto/command-line';
import { Command, InvalidArgumentError, Option, type CommanderError } from 'commander';

import { SOFTWARE_VERSION, TributaryError } from '@tributary/proto';

import { addAuditCommands } from './audit-program.js';
import { apply } from './commands/apply.js';
import { createAuthor, listAuthors } from './commands/author.js';
import { createContext, listContexts, revokeContext, useContext } from './commands/contexts.js';
import { deleteObject } from './commands/delete.js';
import { describe } from './commands/describe.js';
import { get } from './commands/get.js';
import { initJob } from './commands/job-init.js';
import { controlJob, type JobAction } from './commands/jobs.js';
import { leaveOneOut, showHeldOut } from './commands/leave-one-out.js';
import { logs } from './commands/logs.js';
import { names, PLACEHOLDERS } from './commands/names.js';
import { exportModel } from './commands/models.js';
import { setRollout, undoRollout } from './commands/rollouts.js';
import { siteManifest } from './commands/site-manifest.js';
import { approve, invite, revoke } from './commands/sites.js';
import { version } from './commands/version.js';
import { wait } from './commands/wait.js';
import { ROLES, type Role } from '../domain/federation-state.js';
import { addFederationCommands } from './federation-program.js';
import { EXPORT_FORMATS } from './export/export-files.js';
import { OUTPUT_FORMATS } from './output/formats.js';
import type { Session } from './session.js';

/** Options in front of the command. */
export interface GlobalOptions {
  readonly context?: string;
  readonly config?: string;
}

type WithSession = (options: GlobalOptions, run: (session: Session) => Promise<void>) => Promise<void>;

const output = (): Option =>
  new Option('-o, --output <format>', 'form of the answer').choices(OUTPUT_FORMATS).default('table');
const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** The `tributary` command: its words and options. `withSession` opens and closes what a command needs. */
export function buildProgram(withSession: WithSession): Command {
  const program = new Command('tributary')
    .description(
      'Operates a Tributary federation: submits jobs, watches rounds, admits sites, exports models.',
    )
    .option('--context <context>', 'context to use instead of the current one')
    .option('--config <file>', 'context file (default: TRIBUTARY_CONFIG, or ~/.tributary/config.yaml)')
    .version(SOFTWARE_VERSION)
    .exitOverride();
  const run = (action: (session: Session) => Promise<void>): Promise<void> =>
    withSession(program.opts<GlobalOptions>(), action);

  addObjectCommands(program, run);
  addJobCommands(program, run);
  addSiteCommands(program, run);
  addModelCommands(program, run);
  addLocalCommands(program, run);
  addSharedCommands(program, {
    placeholders: PLACEHOLDERS,
    print: (text) => void process.stdout.write(text),
  });
  program
    .command('names <source> [words...]', { hidden: true })
    .action(async (source: string, words: readonly string[]) => {
      // Sets --context and --config, as they stand in the line that is completed.
      program.parseOptions([...words]);
      await run((session) => names(session, source, words));
    });
  addFederationCommands(program, run);
  addAuditCommands(program, run);
  // Subcommands are made after exitOverride of the program and must throw too.
  for (const command of descendants(program)) command.exitOverride();
  hintUsage(program);
  return program;
}

/** Every command below another. */
export function descendants(command: Command): readonly Command[] {
  return command.commands.flatMap((child) => [child, ...descendants(child)]);
}

type Run = (action: (session: Session) => Promise<void>) => Promise<void>;

function addObjectCommands(program: Command, run: Run): void {
  program
    .command('apply')
    .description('sign documents and submit them')
    .requiredOption(
      '-f, --filename <file>',
      'YAML or JSON file, - for standard input; may be repeated',
      collect,
    )
    .option('--author <author>', 'author who signs')
    .option('--dry-run', 'check only, change nothing', false)
    .action((options: Parameters<typeof apply>[1]) => run((session) => apply(session, options)));
  program
    .command('get <kind> [name]')
    .description('list fj (jobs), sites, models or rollouts, or show one')
    .addOption(output())
    .option('-w, --watch', 'go on with every change', false)
    .action((kind: string, name: string | undefined, options: Parameters<typeof get>[3]) =>
      run((session) => get(session, kind, name, options)),
    );
  program
    .command('describe <kind/name> [name]')
    .description('show an object with everything the ledger says of it')
    .addOption(output())
    .action(
      (first: string, second: string | undefined, options: { output: Parameters<typeof describe>[3] }) =>
        run((session) => describe(session, first, second, options.output)),
    );
  program
    .command('delete <kind/name> [name]')
    .description('delete a job; a running one is cancelled first')
    .action((first: string, second: string | undefined) =>
      run((session) => deleteObject(session, first, second)),
    );
  program
    .command('wait <kind/name> [name]')
    .description('wait for a condition')
    .requiredOption('--for <condition>', 'condition=Complete, condition=TYPE=STATUS, or delete')
    .option('--timeout <duration>', 'give up after, for example 90s, 15m or 2h', '30m')
    .action((first: string, second: string | undefined, options: Parameters<typeof wait>[3]) =>
      run((session) => wait(session, first, second, options)),
    );
}

function addJobCommands(program: Command, run: Run): void {
  const actions: readonly (readonly [JobAction, string])[] = [
    ['suspend', 'open no further round of a job'],
    ['resume', 'go on with a suspended job'],
    ['cancel', 'end a job at once'],
  ];
  for (const [action, description] of actions) {
    program
      .command(`${action} <job>`)
      .description(description)
      .option('--reason <text>', 'recorded in the ledger', '')
      .action((name: string, options: { reason: string }) =>
        run((session) => controlJob(session, action, name, options.reason)),
      );
  }
  const job = program.command('job').description('drafts and series of jobs');
  job
    .command('init')
    .description('write a first job for the table of a CSV file')
    .requiredOption('--from <file>', 'CSV file, first line names the columns')
    .option('--label <column>', 'column to predict (found by a customary name)')
    .option('--name <name>', 'name of job, dataset and model (from the file name)')
    .option('--delimiter <character>', 'what stands between the cells', ',')
    .option('-o, --output <file>', 'file to write instead of standard output')
    .action((options: Parameters<typeof initJob>[1]) => run((session) => initJob(session, options)));
  job
    .command('leave-one-out')
    .description('submit one job per site, each keeping that site out of training and measuring there')
    .requiredOption('-f, --filename <file>', 'YAML or JSON file with one job, - for standard input', collect)
    .option('--site <site>', 'site to hold out; may be repeated (all selected sites)', collect, [])
    .option('--print', 'print the jobs instead', false)
    .option('--author <author>', 'author who signs')
    .option('--dry-run', 'check only, change nothing', false)
    .action((options: Parameters<typeof leaveOneOut>[1]) => run((session) => leaveOneOut(session, options)));
  job
    .command('held-out <job>')
    .description('show what the sites report that leave-one-out kept out of the job')
    .addOption(output())
    .action((name: string, options: { output: Parameters<typeof showHeldOut>[2] }) =>
      run((session) => showHeldOut(session, name, options.output)),
    );
  program
    .command('logs [kind/name]')
    .description("the coordinator's log lines, all or those of a job or site (NAME or KIND/NAME)")
    .option('-f, --follow', 'go on with new lines', false)
    .option('--tail <lines>', 'last lines to begin with', requireCount, 200)
    .action((subject: string | undefined, options: Parameters<typeof logs>[2]) =>
      run((session) => logs(session, subject, options)),
    );
}

function addSiteCommands(program: Command, run: Run): void {
  program
    .command('invite <site>')
    .description('print a single-use join token for a site')
    .option('--label <key=value>', 'label of the site; may be repeated', collect, [])
    .option('--ttl <duration>', 'validity of the token', '24h')
    .option('--approve', 'approve the site as soon as it joins', false)
    .option('--serving', 'for a replica of a known site, which serves and does not train', false)
    .action((site: string, options: Parameters<typeof invite>[2]) =>
      run((session) => invite(session, site, options)),
    );
  program
    .command('site')
    .description('what sites need on their clusters')
    .command('manifest <site>')
    .description('invite a site and print everything that its K3s needs, as one file')
    .option('--policy <file>', 'policy of the site')
    .option('--values <file>', 'values of the chart tributary-agent')
    .option('--broker <secret>', 'run a Mosquitto at the site, with the passwords of this Secret')
    .option(
      '--namespace <namespace>',
      'namespace that is there already, and stays as it is (one of its own, tributary-SITE)',
    )
    .option('--chart <dir>', 'the chart tributary-agent, where it does not lie beside this command')
    .option('--label <key=value>', 'label of the site; may be repeated', collect, [])
    .option('--ttl <duration>', 'validity of the token (24h)')
    .option('--approve', 'approve the site as soon as it joins', false)
    .option('--serving', 'for a replica of a known site, which serves and does not train', false)
    .option('--upgrade', 'for a site that has joined: the chart of this version, and no invitation', false)
    .action((site: string, options: Parameters<typeof siteManifest>[2]) =>
      run((session) => siteManifest(session, site, options)),
    );
  program
    .command('approve <site>')
    .description('let whoever has joined for a site take part')
    .action((site: string) => run((session) => approve(session, site)));
  program
    .command('revoke <site>')
    .description('cut a site off, on open connections too')
    .option('--reason <text>', 'recorded in the ledger', '')
    .option('--only <agent-id>', 'one identity of the site, a replica for example')
    .action((site: string, options: Parameters<typeof revoke>[2]) =>
      run((session) => revoke(session, site, options)),
    );
}

function addModelCommands(program: Command, run: Run): void {
  const models = program.command('models').description('registered model versions');
  models
    .command('get [model]')
    .description('list models, or show one')
    .addOption(output())
    .action((name: string | undefined, options: { output: Parameters<typeof get>[3]['output'] }) =>
      run((session) => get(session, 'model', name, { ...options, watch: false })),
    );
  models
    .command('export <model[@version]>')
    .description('write a model with its features, its signed manifest and a loading example')
    .requiredOption('--to <folder>', 'empty folder to write to')
    .addOption(
      new Option('--format <format>', 'onnx is for dense and convolutional models')
        .choices(EXPORT_FORMATS)
        .default(EXPORT_FORMATS[0]),
    )
    .action((reference: string, options: Parameters<typeof exportModel>[2]) =>
      run((session) => exportModel(session, reference, options)),
    );
  const rollout = program.command('rollout').description('which version of a model the sites serve');
  rollout
    .command('set <model@version>')
    .description('have the selected sites serve a version from here on')
    .option('--selector <key=value>', 'label that sites must carry; may be repeated (all sites)', collect, [])
    .option('--author <author>', 'author who signs')
    .option('--dry-run', 'check only, change nothing', false)
    .action((reference: string, options: Parameters<typeof setRollout>[2]) =>
      run((session) => setRollout(session, reference, options)),
    );
  rollout
    .command('undo <model>')
    .description('go back to the version before')
    .action((model: string) => run((session) => undoRollout(session, model)));
}

function addLocalCommands(program: Command, run: Run): void {
  const author = program.command('author').description('keys that sign job documents');
  author
    .command('create <new-name>')
    .description('make a key')
    .action((name: string) => run((session) => createAuthor(session, name)));
  author
    .command('list')
    .description('show names and public keys')
    .action(() => run(listAuthors));
  const context = program.command('context').description('federations this command can reach');
  context
    .command('list')
    .description('show contexts')
    .action(() => run(listContexts));
  context
    .command('use <context>')
    .description('make a context current')
    .action((name: string) => run((session) => useContext(session, name)));
  context
    .command('create <new-name>')
    .description('have a new key certified and add a context for it')
    .addOption(new Option('--role <role>', 'what it may do').choices(ROLES).makeOptionMandatory())
    .action((name: string, options: { role: Role }) =>
      run((session) => createContext(session, name, options.role)),
    );
  context
    .command('revoke <context>')
    .description('cut a context off, on open connections too')
    .action((name: string) => run((session) => revokeContext(session, name)));
  program
    .command('version')
    .description(`versions of this command (${SOFTWARE_VERSION}) and of the coordinator`)
    .addOption(output())
    .option('--client', 'only of this command', false)
    .action((options: Parameters<typeof version>[1]) => run((session) => version(session, options)));
}

function requireCount(value: string): number {
  if (/^[0-9]{1,6}$/.test(value)) return Number(value);
  throw new InvalidArgumentError('not a whole number');
}

/** The exit code and error of what commander throws: help and version end with 0, anything else is USAGE. */
export function usageError(error: CommanderError): TributaryError | undefined {
  return error.exitCode === 0
    ? undefined
    : new TributaryError('USAGE', error.message.replace(/^error: /, ''));
}
