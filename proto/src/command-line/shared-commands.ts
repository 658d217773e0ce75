import { ERROR_CODES } from '../errors/error-table.js';
import { explainError } from '../errors/error-explanation.js';
import { readCommandTree, type CommandLike, type Placeholders } from './command-tree.js';
import { completionScript, SHELLS } from './completion-script.js';

/** The parts of commander's Command with which commands are added. */
interface ExtensibleCommand {
  command(nameAndArguments: string): ExtensibleCommand;
  description(text: string): ExtensibleCommand;
  exitOverride(): ExtensibleCommand;
  action(run: (word: string) => void): ExtensibleCommand;
}

/** Adds what every command of Tributary has: `completion SHELL` and `explain CODE`. */
export function addSharedCommands(
  program: CommandLike & ExtensibleCommand,
  { placeholders, print }: { readonly placeholders: Placeholders; readonly print: (text: string) => void },
): void {
  program
    .command('completion <shell>')
    .description(`print the script that completes this command in a shell: ${SHELLS.join(', ')}`)
    .exitOverride()
    .action((shell) =>
      print(completionScript(shell, readCommandTree(program, { ...SHARED, ...placeholders }))),
    );
  program
    .command('explain <code>')
    .description('print what an error code, or the exit code of a command, means and what to do')
    .exitOverride()
    .action((code) => print(explainError(code)));
}

const SHARED: Placeholders = {
  shell: { type: 'Words', words: SHELLS },
  code: { type: 'Words', words: ERROR_CODES },
};
