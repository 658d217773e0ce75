import { InvalidArgumentError, type Command } from 'commander';

import { createKey, initFederation, rotate } from './commands/federation.js';
import {
  addMembers,
  initRoster,
  publishRoster,
  removeMembers,
  renewRoster,
  setAuthor,
  showRoster,
  signRosterFile,
  verifyRosterFile,
} from './commands/roster.js';
import type { Session } from './session.js';

type Run = (action: (session: Session) => Promise<void>) => Promise<void>;

const PASSPHRASE = ['--key-passphrase-file <file>', 'file with the passphrase that seals the key'] as const;
const OUT = ['--out <folder>', 'folder to write to', '.'] as const;
const collect = (value: string, before: readonly string[]): readonly string[] => [
  ...before,
  ...value.split(',').filter((part) => part !== ''),
];

/** Words about membership. All but `publish` work on files, on a machine that needs no network. */
export function addFederationCommands(program: Command, run: Run): void {
  const federation = program
    .command('federation')
    .description('the root of a federation: who may say who its members are');
  federation
    .command('init')
    .description('make a root, offline: with a key of its own, or of keys that several hold')
    .requiredOption('--name <name>', 'name of the federation')
    .option(...OUT)
    .option(...PASSPHRASE)
    .option('--keys <files>', '.pub files of those who decide together, with commas', collect, [])
    .option('--threshold <m>', 'how many of them must sign (more than half)', requirePositive)
    .action((options: Parameters<typeof initFederation>[1]) =>
      run((session) => initFederation(session, options)),
    );
  federation
    .command('key <new-name>')
    .description('make one key of a root that several hold')
    .option(...OUT)
    .option(...PASSPHRASE)
    .action((name: string, options: Parameters<typeof createKey>[2]) =>
      run((session) => createKey(session, name, options)),
    );
  federation
    .command('rotate')
    .description('sign the hand-over from one root to another')
    .requiredOption('--from <file>', 'root.json that hands over')
    .requiredOption('--to <file>', 'root.json that takes over')
    .requiredOption('--key <file>', 'key of the root that hands over')
    .option(...PASSPHRASE)
    .option('-f, --filename <file>', 'hand-over; further signatures are added', 'rotation.json')
    .action((options: Parameters<typeof rotate>[1]) => run((session) => rotate(session, options)));
  addRosterCommands(federation, run);
}

function addRosterCommands(federation: Command, run: Run): void {
  const roster = federation.command('roster').description('members and authors, as the root signs them');
  const command = (words: string, description: string): Command =>
    roster
      .command(words)
      .description(description)
      .option('-f, --filename <file>', 'roster', 'roster.json')
      .option('--root <file>', 'root (root.json beside the roster)');
  const edit = (words: string, description: string): Command =>
    command(words, description).option(
      '--days <days>',
      'days for which it counts (as before; 90 at first)',
      requirePositive,
    );
  edit('init', 'begin a roster').action((options: Parameters<typeof initRoster>[1]) =>
    run((session) => initRoster(session, options)),
  );
  edit('add <file...>', 'add agents by the files that `tributary-agent identity` printed').action(
    (files: readonly string[], options: Parameters<typeof addMembers>[2]) =>
      run((session) => addMembers(session, files, options)),
  );
  edit('remove <site...>', 'take sites out').action(
    (sites: readonly string[], options: Parameters<typeof removeMembers>[2]) =>
      run((session) => removeMembers(session, sites, options)),
  );
  edit('author <author> [key]', 'name an author: by public key, or one of `tributary author list`')
    .option('--remove', 'take the author out', false)
    .action((name: string, key: string | undefined, options: Parameters<typeof setAuthor>[3]) =>
      run((session) => setAuthor(session, name, key, options)),
    );
  edit('renew', 'date it anew, or put it under a new root').action(
    (options: Parameters<typeof renewRoster>[1]) => run((session) => renewRoster(session, options)),
  );
  command('sign', 'add one signature')
    .requiredOption('--key <file>', 'key of the root')
    .option(...PASSPHRASE)
    .action((options: Parameters<typeof signRosterFile>[1]) =>
      run((session) => signRosterFile(session, options)),
    );
  command('publish', 'send it to the coordinator, which records it')
    .option('--rotation <file>', 'hand-over from the root before, where the root is new')
    .action((options: Parameters<typeof publishRoster>[1]) =>
      run((session) => publishRoster(session, options)),
    );
  command('show', 'show who is in it; nothing is verified').action(
    (options: Parameters<typeof showRoster>[1]) => run((session) => showRoster(session, options)),
  );
  command('verify', 'fail where sites would refuse it').action(
    (options: Parameters<typeof verifyRosterFile>[1]) => run((session) => verifyRosterFile(session, options)),
  );
}

function requirePositive(value: string): number {
  if (/^[1-9][0-9]{0,3}$/.test(value)) return Number(value);
  throw new InvalidArgumentError('not a whole number from 1');
}
