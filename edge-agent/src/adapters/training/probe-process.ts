import { fork, type ChildProcess } from 'node:child_process';

import { LIMITS } from '@tributary/proto';

import type { BackendName } from './backend.js';
import type { NativePackages } from './native-backend.js';
import { isStopped, type StopWord } from './stop-word.js';
import type { TrialModel } from './trial.js';

/** What the probe process is asked; it answers with a {@link ProbeAnswer}. */
export interface ProbeRequest {
  readonly backend: BackendName;
  readonly model: TrialModel;
  readonly packages: NativePackages;
}

export interface ProbeAnswer {
  /** Undefined where the step was taken. */
  readonly fault?: string;
}

export interface ProbeOptions {
  /** Environment of the probe process: what its libraries are found by, and nothing secret. */
  readonly environment?: Readonly<Record<string, string>> | undefined;
  /** Ends the process. */
  readonly stop?: StopWord | undefined;
  /** Milliseconds; LIMITS.backendProbeMs by default. */
  readonly timeoutMs?: number | undefined;
}

/** How often the shared word is looked at. */
const LOOK_MS = 100;

const ENTRY = new URL('./probe-main.js', import.meta.url);

/** Takes a trial step in a process of its own, whatever becomes of it; resolves with what is wrong, if anything. */
export function tryInProcess(request: ProbeRequest, options: ProbeOptions = {}): Promise<string | undefined> {
  const timeoutMs = options.timeoutMs ?? LIMITS.backendProbeMs;
  const child = fork(ENTRY, {
    env: { ...options.environment },
    execArgv: [],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    serialization: 'advanced',
  });
  return new Promise<string | undefined>((resolve) => {
    const timer = setTimeout(() => {
      resolve(`it did not take a trial step within ${String(timeoutMs / 1_000)} s`);
    }, timeoutMs);
    const looking = setInterval(() => {
      if (options.stop !== undefined && isStopped(options.stop)) resolve('the trial was stopped');
    }, LOOK_MS);
    child.once('message', (answer: ProbeAnswer) => {
      resolve(answer.fault);
    });
    child.once('error', () => {
      resolve('no process could be started to try it');
    });
    child.once('exit', (code, signal) => {
      resolve(describeExit(code, signal));
    });
    // A process that is gone already is told by 'exit'.
    child.send(request, () => undefined);
    child.once('close', () => {
      clearTimeout(timer);
      clearInterval(looking);
    });
  }).finally(() => end(child));
}

/** Ends the process and waits until it is gone: the remains of one whose thread ends before are collected by nobody. */
async function end(child: ChildProcess): Promise<void> {
  child.removeAllListeners('message');
  if (child.connected) child.disconnect();
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  await new Promise<void>((resolve) => {
    // A driver that hangs keeps its process from ending at all.
    const timer = setTimeout(resolve, LIMITS.probeEndMs);
    child.once('exit', () => {
      clearTimeout(timer);
      resolve();
    });
    child.kill('SIGKILL');
  });
}

function describeExit(code: number | null, signal: NodeJS.Signals | null): string {
  if (signal === 'SIGILL')
    return 'its binding ended the process (SIGILL): it uses an instruction that this processor lacks';
  if (signal !== null) return `its binding ended the process (${signal})`;
  if (code === 127) return 'its binding ended the process (exit code 127): a symbol or library is missing';
  return `its binding ended the process (exit code ${String(code)})`;
}
