import { TributaryError } from '@tributary/proto';

/** One word of shared memory, since a worker that computes reads no messages; not 0 means stop. */
export type StopWord = Int32Array;

export const createStopWord = (): StopWord =>
  new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

export function setStopped(word: StopWord): void {
  Atomics.store(word, 0, 1);
}

export const isStopped = (word: StopWord): boolean => Atomics.load(word, 0) !== 0;

/** Throws JOB_CANCELLED where the work is to stop. */
export function requireRunning(word: StopWord): void {
  if (isStopped(word)) throw cancelled();
}

export const cancelled = (): TributaryError =>
  new TributaryError('JOB_CANCELLED', 'the training was cancelled');
