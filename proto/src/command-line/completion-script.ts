import { TributaryError } from '../errors/tributary-error.js';
import { bashCompletion } from './bash-completion.js';
import type { CommandNode } from './command-tree.js';
import { completionTable } from './completion-table.js';
import { fishCompletion } from './fish-completion.js';
import { zshCompletion } from './zsh-completion.js';

const WRITERS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const;

export type Shell = keyof typeof WRITERS;
export const SHELLS = Object.freeze(Object.keys(WRITERS)) as readonly Shell[];

/** The script that completes the words of a program in a shell; throws USAGE for another than {@link SHELLS}. */
export function completionScript(shell: string, program: CommandNode): string {
  const known = SHELLS.find((name) => name === shell);
  if (known === undefined)
    throw new TributaryError('USAGE', `${shell}: no script for this shell`, {
      hint: `one of ${SHELLS.join(', ')}`,
    });
  return WRITERS[known](program.name, completionTable(program));
}
