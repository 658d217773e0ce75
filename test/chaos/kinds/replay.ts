import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { eventually } from '../../support/waiting.js';
import type { Evidence } from '../judge/evidence.js';
import { SITES, type Site } from '../template.js';
import type { World } from '../world.js';
import type { FaultKind } from './kind.js';

const CONNECTED_MS = 60_000;

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
      await eventually('a hello', () => said(world, site), CONNECTED_MS);
      await sleep(random.below(2_000));
      await world.atWork();
      await world.kill(site);
      await world.restart(site);
    }
    await world.ended();
    return examine(world, variant);
  },
};

/** True once a site has said a hello, which a process after it can say again. */
const said = (world: World, site: Site): Promise<true | undefined> =>
  access(join(world.tapOf(site), 'hellos')).then(
    () => true,
    () => undefined,
  );

async function examine(world: World, variant: string): Promise<readonly Evidence[]> {
  const files = SITES.map((site) =>
    readFile(join(world.tapOf(site), 'replays.jsonl'), 'utf8').catch(() => ''),
  );
  const notes = (await Promise.all(files))
    .flatMap((text) => text.split('\n'))
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { readonly what: string; readonly outcome: string });
  if (notes.some(({ outcome }) => outcome === 'welcomed'))
    world.findings.push('the hello of an older process was welcomed');
  const again = (...whats: readonly string[]): number =>
    notes.filter(({ what }) => whats.includes(what)).length;
  return [
    { what: 'orders again', count: again('order') },
    { what: 'messages again', count: again('message') },
    { what: 'uploads again', count: again('update', 'old update') },
    ...(variant === 'restarted' ? [{ what: 'hellos of an earlier process', count: again('hello') }] : []),
  ];
}
