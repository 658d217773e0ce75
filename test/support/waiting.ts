import { setTimeout as sleep } from 'node:timers/promises';

/** Polls until `probe` gives something; rejects with what was awaited after `timeoutMs`. */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined> | T | undefined,
  timeoutMs = 20_000,
  everyMs = 20,
): Promise<T> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`waited ${String(timeoutMs)} ms for ${what}`);
    await sleep(everyMs);
  }
}
