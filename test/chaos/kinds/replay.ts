import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { SITES } from '../template.js';
import type { World } from '../world.js';
import type { FaultKind } from './kind.js';

/** Orders, acknowledgements, stages, uploads and hellos come again, at once and much later. */
export const replay: FaultKind = {
  name: 'replay',
  about: 'orders, uploads, stages and hellos again, at once and later',
  variants: () => ['running', 'restarted'],
  run: async ({ random, variant, open }) => {
    const world = await open({ rounds: 3, epochs: 10 });
    for (const site of SITES)
      world.launches.set(site, { env: { TRIBUTARY_CHAOS_REPLAY: String(1 + random.uint32()) } });
    await world.begin();
    if (variant === 'restarted') {
      // A process that is newer than the hello that it sends again.
      const site = random.pick(SITES);
      await sleep(random.below(2_000));
      await world.kill(site);
      await world.restart(site);
    }
    await world.ended();
    await examine(world);
    return world;
  },
};

async function examine(world: World): Promise<void> {
  const lines: string[] = [];
  for (const site of SITES)
    lines.push(
      ...(await readFile(join(world.tapOf(site), 'replays.jsonl'), 'utf8').catch(() => '')).split('\n'),
    );
  if (lines.every((line) => line === '')) world.findings.push('nothing was sent again');
  for (const line of lines)
    if (line.includes('welcomed')) world.findings.push('the hello of an older process was welcomed');
}
