import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';

import { repositoryRoot } from './daemon.js';

const script = (name: string): string => join(repositoryRoot, 'test', 'support', name);

/** Why tests of the second verifier do not run; undefined where they do. */
export function withoutPython(): string | undefined {
  try {
    execFileSync('python3', ['-c', 'import sys; sys.exit(sys.version_info < (3, 9))'], { stdio: 'ignore' });
    return undefined;
  } catch {
    return 'no python3 of version 3.9 or newer is installed';
  }
}

/** What a verifier says of a file: the code and place of the first thing that is wrong, or what was in order. */
export interface Verdict {
  readonly code?: string;
  readonly line?: number | null;
  readonly what?: string;
  readonly entries?: number;
  readonly signatures?: number;
  readonly unchecked?: number;
  readonly redacted?: number;
  readonly witnesses?: Readonly<Record<string, number>>;
  readonly exit: number | null;
}

/** Runs the verifier that was written in Python from proto/LEDGER.md; the exit code is that of the first wrong file. */
export function verifyAllWithPython(
  files: readonly string[],
  ...options: readonly string[]
): readonly Verdict[] {
  return verdicts(files, 'audit_ledger.py', ...files, ...options);
}

export function verifyWithPython(file: string, ...options: readonly string[]): Verdict {
  const [verdict] = verifyAllWithPython([file], ...options);
  if (verdict === undefined) throw new Error('no verdict');
  return verdict;
}

/** Runs the part of it that is a page: whether the log of this key is there, whole. */
export function verifyAllWithPage(files: readonly string[], logKey: string): readonly Verdict[] {
  return verdicts(files, 'verify_ledger.py', logKey, ...files);
}

function verdicts(files: readonly string[], name: string, ...words: readonly string[]): readonly Verdict[] {
  // Without -B, the page would be kept compiled beside the sources.
  const { stdout, stderr, status } = spawnSync('python3', ['-B', script(name), ...words], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  const lines = stdout.trimEnd().split('\n');
  if (lines.length !== files.length) throw new Error(stderr);
  return lines.map((line) => ({ ...(JSON.parse(line) as Omit<Verdict, 'exit'>), exit: status }));
}
