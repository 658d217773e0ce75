import { buildProgram as buildOperatorProgram } from '@tributary/coordinator/internal/cli/program.js';
import { buildProgram as buildCoordinatorProgram } from '@tributary/coordinator/internal/main.js';
import { buildProgram as buildAgentProgram } from '@tributary/edge-agent/internal/main.js';
import { readCommandTree, type CommandNode } from '@tributary/proto/internal/command-line/command-tree.js';

/** What the three commands take, by their names. */
export const COMMAND_TREES: ReadonlyMap<string, CommandNode> = new Map(
  [buildOperatorProgram(() => Promise.resolve()), buildCoordinatorProgram(), buildAgentProgram({})].map(
    (program) => [program.name(), readCommandTree(program, {})],
  ),
);

/**
 * What is wrong with a command line of a text, such as "tributary get fj -w", or undefined. Words that do not begin with
 * one of our commands are not judged.
 */
export function commandFault(line: string): string | undefined {
  const [name = '', ...words] = line.split(/\s+/);
  const root = COMMAND_TREES.get(name);
  if (root === undefined) return undefined;
  let command = root;
  let values = 0;
  let given = 0;
  for (const word of words) {
    const child = command.commands.find((candidate) => candidate.name === word);
    if (values > 0) values -= 1;
    else if (word.startsWith('-')) {
      const option = command.options.find(({ flags }) => flags.includes(word));
      if (option === undefined) return `${line}: ${command.name} has no option ${word}`;
      values = option.value === undefined ? 0 : 1;
    } else if (child !== undefined) command = child;
    else given += 1;
  }
  if (given > 0 && command.arguments.length === 0) return `${line}: ${command.name} takes no argument`;
  return undefined;
}
