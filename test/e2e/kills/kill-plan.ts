import { readFileSync, writeFileSync } from 'node:fs';

/** What a process may be killed around; `point` tells how far its own part in the stage has come. */
export interface Kill {
  readonly round: number;
  readonly stage: string;
  /** Before the answer is durable, right after it is, or once others have heard of it. */
  readonly point: 'before' | 'durable' | 'told';
}

/** File with kills in JSON; beside it a file for each that happened. Processes that share it die one at a time. */
const PLAN = process.env['TEST_KILLS'] ?? '';

export const killedFile = (plan: string, { round }: Pick<Kill, 'round'>): string =>
  `${plan}.${String(round)}`;

/** Kills this process where its plan says so, once: as nobody could who asked it to stop. */
export function dieAt(now: Kill): void {
  const plan = JSON.parse(readFileSync(PLAN, 'utf8')) as readonly Kill[];
  const due = plan.some(
    ({ round, stage, point }) => round === now.round && stage === now.stage && point === now.point,
  );
  if (!due || !isFirst(killedFile(PLAN, now))) return;
  process.kill(process.pid, 'SIGKILL');
  // Nothing more may happen here until the signal has done its work.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

function isFirst(file: string): boolean {
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' });
    return true;
  } catch {
    return false;
  }
}

/** Puts something around a method of every object of a class. */
export function around<T extends object, K extends keyof T>(
  prototype: T,
  name: K,
  wrapped: (original: T[K]) => T[K],
): void {
  prototype[name] = wrapped(prototype[name]);
}
