import { ENTRY_TYPES } from '@tributary/proto';
import { InvalidArgumentError, Option, type Command } from 'commander';

import { exportAudit, showAudit, verifyAudit } from './commands/audit.js';
import type { Session } from './session.js';

type Run = (action: (session: Session) => Promise<void>) => Promise<void>;

const output = (): Option =>
  new Option('-o, --output <format>', 'form of the answer').choices(['table', 'json']).default('table');

/** Words about the audit trail. With --file nothing but public keys is needed: no context, no network. */
export function addAuditCommands(program: Command, run: Run): void {
  const audit = program.command('audit').description('the ledger, for those who verify it');
  const withKeys = (command: Command): Command =>
    command
      .option('--log-key <key>', 'key that must have signed the head, base64, or the id of its log')
      .option('--root <file>', 'root.json of the federation: its rosters are followed from there')
      .option('--head <file>', 'a head seen before, which the ledger must continue');
  withKeys(audit.command('verify').description('verify everything from the first entry to the signed head'))
    .option('--file <file>', 'an export, instead of what the coordinator shows')
    .option(
      '--witnesses <n>',
      'sites that must have signed that they saw a head of this ledger',
      requireCount,
      0,
    )
    .option('--save-head <file>', 'keep the head for the next time')
    .addOption(output())
    .action((options: Parameters<typeof verifyAudit>[1]) => run((session) => verifyAudit(session, options)));
  withKeys(audit.command('export').description('write the ledger to a file that anybody can verify'))
    .requiredOption('--file <file>', 'file to write')
    .option('--from <entry>', 'first entry', requireCount)
    .option('--to <entry>', 'entry before which it ends', requireCount)
    .option('--job <job>', 'entries about a job, and its rollouts')
    .option('--redact <type>', 'entries of a type by their hash alone; may be repeated', collectType, [])
    .action((options: Parameters<typeof exportAudit>[1]) => run((session) => exportAudit(session, options)));
  withKeys(audit.command('show').description('print entries, or how a version of a model came to be'))
    .option('--file <file>', 'an export, instead of what the coordinator shows')
    .option('--type <type>', 'entries of a type; may be repeated', collectType, [])
    .option('--job <job>', 'entries about a job, and its rollouts')
    .option('--site <site>', 'entries that name a site')
    .option('--since <time>', 'not before, for example 2026-01-31 or 2026-01-31T08:00, in UTC', requireTime)
    .option('--until <time>', 'not after, in the same form', requireTime)
    .option('--model <model@version>', 'from its job to the sites of its rounds')
    .addOption(output())
    .action((options: Parameters<typeof showAudit>[1]) => run((session) => showAudit(session, options)));
}

function requireCount(value: string): number {
  if (/^[0-9]{1,15}$/.test(value)) return Number(value);
  throw new InvalidArgumentError('not a whole number');
}

/** A misspelt type would hide nothing, and show nothing. */
function collectType(value: string, before: readonly string[]): readonly string[] {
  if (ENTRY_TYPES.some((type) => type === value)) return [...before, value];
  throw new InvalidArgumentError(`not a type of entry: ${ENTRY_TYPES.join(', ')}`);
}

/** Beginning of an RFC 3339 time, without its Z: times of entries are compared with it as text. */
function requireTime(value: string): string {
  const beginning = value.replace(/Z$/, '');
  const whole = beginning + '0000-01-01T00:00:00.000Z'.slice(beginning.length);
  const time = new Date(whole);
  if (
    /^\d{4}(-\d\d){0,2}(T|$)/.test(beginning) &&
    !Number.isNaN(time.getTime()) &&
    time.toISOString() === whole
  )
    return beginning;
  throw new InvalidArgumentError('no time such as 2026-01-31 or 2026-01-31T08:00');
}
