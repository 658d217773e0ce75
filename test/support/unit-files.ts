import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { repositoryRoot } from './daemon.js';

export interface UnitFile {
  readonly name: string;
  readonly text: string;
  /** All values of a directive, in order. */
  values(directive: string): readonly string[];
}

/** The units of deploy/systemd. */
export function unitFiles(): readonly UnitFile[] {
  const folder = join(repositoryRoot, 'deploy/systemd');
  return readdirSync(folder)
    .filter((name) => name.endsWith('.service'))
    .map((name) => {
      const text = readFileSync(join(folder, name), 'utf8');
      const values = (directive: string): readonly string[] =>
        text
          .split('\n')
          .filter((line) => line.startsWith(`${directive}=`))
          .map((line) => line.slice(directive.length + 1));
      return { name, text, values };
    });
}
