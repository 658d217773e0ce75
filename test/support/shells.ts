import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

import { repositoryRoot } from './daemon.js';

/** Asks a shell what it would complete a line to. */
export interface CompletingShell {
  readonly name: 'bash' | 'zsh' | 'fish';
  readonly available: () => boolean;
  /** The words that the script `file` offers at the end of `line`. */
  readonly offers: (file: string, line: string, env: Environment) => Promise<readonly string[]>;
}

type Environment = Readonly<Record<string, string>>;

const installed = (name: string): boolean =>
  (process.env['PATH'] ?? '').split(delimiter).some((folder) => existsSync(join(folder, name)));

/** Our commands are found as an installation has them. */
const PATH = `${join(repositoryRoot, 'node_modules/.bin')}${delimiter}${process.env['PATH'] ?? ''}`;

function run(command: string, args: readonly string[], env: Environment): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: repositoryRoot,
      env: { ...process.env, PATH, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let faults = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (faults += text));
    child.once('error', reject);
    child.once('close', () => (faults === '' ? resolve(out) : reject(new Error(`${command}: ${faults}`))));
  });
}

const lines = (text: string): readonly string[] => text.split('\n').filter((line) => line !== '');

/** The name of the function of a program's script. */
const functionOf = (line: string): string => `_${(line.split(' ')[0] ?? '').replaceAll('-', '_')}`;

const BASH = `source "$1"; COMP_LINE=$2 COMP_POINT=\${#2}; "$3"; printf '%s\\n' "\${COMPREPLY[@]}"`;

export const BASH_SHELL: CompletingShell = {
  name: 'bash',
  available: () => installed('bash'),
  offers: async (file, line, env) =>
    lines(
      await run('bash', ['--norc', '--noprofile', '-c', BASH, 'bash', file, line, functionOf(line)], env),
    ),
};

/** fish adds a description after a tab, and the value to "--output=". */
export const FISH_SHELL: CompletingShell = {
  name: 'fish',
  available: () => installed('fish'),
  offers: async (file, line, env) =>
    lines(
      await run('fish', ['--no-config', '-c', 'source $argv[1]; complete -C $argv[2]', file, line], env),
    ).map((offer) => (offer.split('\t')[0] ?? '').replace(/^--[a-z]+=/, '')),
};

/**
 * zsh completes in its line editor only: one is run on a pseudo-terminal, Tab is pressed in it, and what is handed to
 * compadd is written down, then what the line has become.
 */
const ZSH = `
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1=''; autoload -Uz compinit; compinit -D -u; source $1; unsetopt automenu; LISTMAX=0"
zpty -w shell 'compadd() { if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then builtin compadd "$@"; return; fi; local -a hit; builtin compadd -O hit "$@"; print -rl -- "\${hit[@]}" >> '$3'; builtin compadd "$@" }'
zpty -w shell 'finish() { print -r -- end >> '$3'; exit }; zle -N finish; bindkey "^X" finish'
zpty -w -n shell "$2"$'\\t'$'\\x18'
zpty -r shell shown '*never*' 2>/dev/null
true
`;

export const ZSH_SHELL: CompletingShell = {
  name: 'zsh',
  available: () => installed('zsh'),
  offers: async (file, line, env) => {
    const heard = `${file}.heard`;
    await writeFile(heard, '');
    await run('zsh', ['-f', '-c', ZSH, 'zsh', file, line, heard], env);
    const words = lines(await readFile(heard, 'utf8'));
    if (words.at(-1) !== 'end') throw new Error(`zsh did not come to the end of: ${line}`);
    return words.slice(0, -1).map((word) => word.trim());
  },
};
