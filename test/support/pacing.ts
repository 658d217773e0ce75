import { setTimeout as sleep } from 'node:timers/promises';

/** Does something with each of a list, `everyMs` apart on average: what falls behind catches up. */
export async function paced<T>(
  list: readonly T[],
  everyMs: number,
  act: (one: T, index: number) => void,
): Promise<void> {
  const startMs = performance.now();
  for (const [index, one] of list.entries()) {
    while (performance.now() - startMs < index * everyMs) await sleep(1);
    act(one, index);
  }
}
