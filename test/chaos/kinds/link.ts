import { setTimeout as sleep } from 'node:timers/promises';

import type { SeededRandom } from '../../support/seeded-random.js';
import { Relay, type RelayCounts } from '../relay.js';
import { judgeEvidence, type Evidence } from '../judge/evidence.js';
import type { FaultKind } from './kind.js';

/** What a link does until the job ends. */
type Weather = (relay: Relay, random: SeededRandom, stop: AbortSignal) => Promise<void>;

const pause = (ms: number, signal: AbortSignal): Promise<void> => sleep(ms, undefined, { signal });

const WEATHERS: Readonly<Record<string, Weather>> = {
  delay: (relay, random) => {
    relay.fault = { delayMs: 50 + random.below(250) };
    // Connections that are open already keep their delay: the next ones have the new one.
    relay.cut();
    return Promise.resolve();
  },
  flap: async (relay, random, stop) => {
    for (;;) {
      await pause(1_000 + random.below(2_000), stop);
      relay.fault = { down: true };
      relay.cut();
      await pause(200 + random.below(1_500), stop);
      relay.fault = {};
    }
  },
  hole: async (relay, random, stop) => {
    await pause(random.below(2_500), stop);
    relay.fault = { hole: true };
    await pause(5_000 + random.below(10_000), stop);
    // What went into the hole is lost: the connections from before cannot go on.
    relay.fault = {};
    relay.cut();
  },
  // The connections of before the hole are never heard of again, and nobody tells their ends.
  'half-open': async (relay, random, stop) => {
    await pause(random.below(2_500), stop);
    relay.abandon();
    await pause(1, stop);
  },
  corrupt: (relay, random) => {
    relay.fault = { corruptEvery: 20_000 + random.below(40_000) };
    return Promise.resolve();
  },
  cut: async (relay, random, stop) => {
    for (;;) {
      await pause(1_500 + random.below(2_500), stop);
      relay.cut();
    }
  },
};

/** What each weather has to have done. */
const TRACES: Readonly<Record<string, Partial<Record<keyof RelayCounts, string>>>> = {
  delay: { delayedBytes: 'bytes delayed' },
  flap: { refused: 'connections refused', cut: 'connections cut' },
  hole: { swallowedBytes: 'bytes swallowed' },
  'half-open': { abandoned: 'connections left open' },
  corrupt: { corrupted: 'bits inverted' },
  cut: { cut: 'connections cut' },
};

function evidenceOf({ counts }: Relay, variant: string): readonly Evidence[] {
  const traces = Object.entries(TRACES[variant] ?? {});
  return traces.map(([name, what]) => ({ what, count: counts[name as keyof RelayCounts] }));
}

/** A relay between the agents and the coordinator. */
export const link: FaultKind = {
  name: 'link',
  about: 'delays, flaps, black holes, inverted bits and cuts between agents and coordinator',
  variants: () => Object.keys(WEATHERS),
  run: async ({ random, variant, open }) => {
    const world = await open({ rounds: 4, epochs: 20 });
    const fleet = Number((await world.federation.addresses()).fleet.split(':').at(-1));
    const relay = await Relay.start(fleet, fleet + 1, random);
    world.launches.set('coordinator', { ports: { fleet: fleet + 1 } });
    const stop = new AbortController();
    try {
      await world.begin();
      // Everybody is connected: the weather has somebody to hit.
      await world.event('round.opened');
      const weather = WEATHERS[variant]?.(relay, random, stop.signal).catch(() => undefined);
      await world.outlast(() => judgeEvidence(evidenceOf(relay, variant)).length === 0);
      stop.abort();
      await weather;
      relay.fault = {};
    } finally {
      world.whenStopped(() => relay.stop());
    }
    return evidenceOf(relay, variant);
  },
};
