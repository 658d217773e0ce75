import type { CommandNode, Expectation } from './command-tree.js';

/** A word that may be typed, and what it does. */
export interface Offer {
  readonly word: string;
  readonly description: string;
}

/**
 * One row of what a script looks up while it walks along a line. PATH is "" or the names of commands, each with a blank
 * after it.
 *
 *     PATH word      "command" where the word is a command of PATH; an expectation where it is an option with a value
 *     PATH #1        what the first argument is
 *     PATH #rest     what every further argument is
 *     PATH #words    the commands of PATH; in PATH #flags its options
 */
export type TableRow =
  | { readonly keys: readonly string[]; readonly text: string }
  | { readonly keys: readonly string[]; readonly offers: readonly Offer[] };

/** The rows of a command and everything below it. */
export function completionTable(command: CommandNode, path = ''): readonly TableRow[] {
  const rows: TableRow[] = [];
  for (const child of command.commands) rows.push({ keys: [`${path}${child.name}`], text: 'command' });
  for (const { flags, value } of command.options)
    if (value !== undefined) rows.push({ keys: flags.map((flag) => `${path}${flag}`), text: textOf(value) });
  for (const [index, { expectation, variadic }] of command.arguments.entries())
    rows.push({ keys: [`${path}#${variadic ? 'rest' : String(index + 1)}`], text: textOf(expectation) });
  if (command.commands.length > 0)
    rows.push({
      keys: [`${path}#words`],
      offers: command.commands.map(({ name, description }) => ({ word: name, description })),
    });
  rows.push({
    keys: [`${path}#flags`],
    offers: command.options.flatMap(({ flags, description }) => flags.map((word) => ({ word, description }))),
  });
  for (const child of command.commands) rows.push(...completionTable(child, `${path}${child.name} `));
  return rows;
}

function textOf(expectation: Expectation): string {
  switch (expectation.type) {
    case 'Words':
      return `words ${expectation.words.join(' ')}`;
    case 'Names':
      return `names ${expectation.source}`;
    case 'Files':
      return 'files';
    case 'Folders':
      return 'folders';
    case 'Anything':
      return 'anything';
  }
}
