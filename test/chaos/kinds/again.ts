import { setTimeout as sleep } from 'node:timers/promises';

import { ANY, targetText } from '../inside/targets.js';
import type { Evidence } from '../judge/evidence.js';
import { SITES } from '../template.js';
import { PROCESSES, type ProcessName } from '../world.js';
import type { FaultKind } from './kind.js';

/** Deaths that follow each other before a process may stay. */
const DEATHS = 3;
/** Things that a process persists after its start before it dies again, and milliseconds after which it dies without. */
const CALLS = 8;
const STARTING_MS = 600;

/** Whoever starts again after a SIGKILL is killed again: while it loads, opens its stores, or does the first of its work. */
export const again: FaultKind = {
  name: 'again',
  about: 'SIGKILL again while a process, or all of them, recover from one',
  variants: () => ['everything', 'coordinator', 'agent'],
  run: async ({ random, variant, open }) => {
    const world = await open({ rounds: 3, epochs: 30 });
    await world.begin();
    await world.event('round.opened');
    await sleep(random.below(1_500));
    await world.atWork();
    const victims: Readonly<Record<string, readonly ProcessName[]>> = {
      coordinator: ['coordinator'],
      agent: [random.pick(SITES)],
      everything: PROCESSES,
    };
    const dying = victims[variant] ?? [];
    await Promise.all(dying.map((name) => world.kill(name)));
    let died = 0;
    for (let death = 1; death < DEATHS; death += 1) {
      const wait = sleep(random.below(STARTING_MS));
      for (const name of dying) {
        const which = 1 + random.below(CALLS);
        const path = `${world.folder}/calls-${name}-${String(death)}`;
        await world.restart(name, {
          env: {
            TRIBUTARY_CHAOS_CALLS: path,
            TRIBUTARY_CHAOS_KILL: targetText({ side: 'before', which, name: ANY }),
          },
        });
      }
      await wait;
      const started = dying.map((name) => world.last(name));
      await Promise.all(dying.map((name) => world.kill(name)));
      const exits = await Promise.all(started.map(({ daemon }) => daemon.exited));
      died += exits.filter(({ signal }) => signal === 'SIGKILL').length;
    }
    for (const name of dying) await world.restart(name);
    if (dying.includes('coordinator')) await world.serving();
    await world.ended();
    return [
      { what: 'kills of running processes in a job', count: await world.killsAtWork() },
      { what: 'processes killed again while they recovered', count: died },
    ] satisfies readonly Evidence[];
  },
};
