import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Root of the repository, from test/dist/support. */
export const repositoryRoot = join(import.meta.dirname, '../../..');

/** The commands as users start them. */
export const BINARIES = {
  tributary: join(repositoryRoot, 'coordinator/bin/tributary.js'),
  coordinator: join(repositoryRoot, 'coordinator/bin/tributary-coordinator.js'),
  agent: join(repositoryRoot, 'edge-agent/bin/tributary-agent.js'),
} as const;

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface DaemonOptions {
  readonly script: string;
  readonly args: readonly string[];
  /** Standard output and error are appended here. */
  readonly logFile: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Program and arguments that run Node in its place, and end as it does: another network namespace, say. */
  readonly prefix?: readonly string[];
}

/** A long-running child process whose output goes to a file. */
export class Daemon {
  readonly logFile: string;
  /** Resolves when the process has ended, however it ended. */
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;

  constructor({ script, args, logFile, env = {}, prefix = [] }: DaemonOptions) {
    this.logFile = logFile;
    const log = createWriteStream(logFile, { flags: 'a' });
    const [program = process.execPath, ...words] = [...prefix, process.execPath, script, ...args];
    this.#child = spawn(program, words, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.#child.stdout?.pipe(log, { end: false });
    this.#child.stderr?.pipe(log, { end: false });
    this.exited = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => {
        log.end(() => resolve({ code, signal }));
      });
    });
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error('the process could not be started');
    return pid;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Sends `signal` and waits for the end. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Exit> {
    if (this.running) this.#child.kill(signal);
    return this.exited;
  }

  /** Everything printed so far. */
  log(): Promise<string> {
    return readFile(this.logFile, 'utf8').catch(() => '');
  }

  /** Resident memory in MiB at its highest. */
  peakMebibytes(): Promise<number> {
    return peakMebibytes(this.pid);
  }
}

/** Resident memory of a process at its highest, in MiB, from the kernel; NaN where it does not tell. */
export async function peakMebibytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${String(pid)}/status`, 'utf8').catch(() => '');
  return Math.round(Number(/^VmHWM:\s+([0-9]+) kB$/m.exec(status)?.[1]) / 1024);
}

export interface Finished extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end. */
export function runCommand(
  script: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  input = '',
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    const output = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ ...output, code, signal }));
    child.stdin.end(input);
  });
}
