import { setTimeout as sleep } from 'node:timers/promises';

import { PROCESSES, type ProcessName } from '../world.js';
import { SITES } from '../template.js';
import type { FaultKind } from './kind.js';

/** Milliseconds of a job's life in which somebody dies. */
const WINDOW_MS = 3_000;
const DEATHS = 3;

/** SIGKILL at random instants, several in the life of one job. */
export const instant: FaultKind = {
  name: 'instant',
  about: 'SIGKILL at random instants',
  variants: () => ['coordinator', 'agent', 'both', 'everything'],
  run: async ({ random, variant, open }) => {
    const world = await open({ rounds: 4, epochs: 30 });
    await world.begin();
    for (let death = 0; death < DEATHS; death += 1) {
      const agent = random.pick(SITES);
      const victims: Readonly<Record<string, readonly ProcessName[]>> = {
        coordinator: ['coordinator'],
        agent: [agent],
        both: ['coordinator', agent],
        everything: PROCESSES,
      };
      const dying = victims[variant] ?? [];
      await sleep(random.below(WINDOW_MS));
      await world.atWork();
      await Promise.all(dying.map((name) => world.kill(name)));
      await sleep(random.below(500));
      for (const name of dying) await world.restart(name);
      if (dying.includes('coordinator')) await world.serving();
    }
    await world.ended();
    const killed = await world.killsAtWork();
    return [
      { what: `of ${String(world.killsMs.length)} kills hit a running process in a job`, count: killed },
    ];
  },
};
