import { Worker } from 'node:worker_threads';

/**
 * A worker thread without environment and output: neither secrets go in, nor what a library prints about its data comes
 * out. What it died of may quote data as well; that it died is told by 'exit'.
 */
export function startSilentWorker(entry: URL, name: string, workerData: unknown): Worker {
  const worker = new Worker(entry, { env: {}, execArgv: [], stdout: true, stderr: true, name, workerData });
  worker.stdout.resume();
  worker.stderr.resume();
  // Without a listener it would end the process.
  worker.on('error', () => undefined);
  return worker;
}

/** Runs `action` when the signal fires; the returned function takes that back and clears the timer of the action. */
export function onAbort(signal: AbortSignal | undefined, action: () => NodeJS.Timeout): () => void {
  let timer: NodeJS.Timeout | undefined;
  const listener = (): void => {
    timer = action();
  };
  signal?.addEventListener('abort', listener, { once: true });
  return () => {
    signal?.removeEventListener('abort', listener);
    clearTimeout(timer);
  };
}
