import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { faketimeLibrary } from '../tools.js';
import type { ProcessName } from '../world.js';
import type { FaultKind } from './kind.js';

/** Where the clock of a process stands, as libfaketime writes it: from its start, and after a while. */
const SKEWS: Readonly<Record<string, readonly [name: ProcessName, first: string, later?: string]>> = {
  'agent-ahead': ['north', '+1h'],
  'agent-behind': ['north', '-1h'],
  'agent-drifts': ['north', '+0 x1.2'],
  'agent-jumps': ['north', '+0', '+2h'],
  'agent-falls-back': ['north', '+0', '-2h'],
  'coordinator-ahead': ['coordinator', '+1h'],
  'coordinator-behind': ['coordinator', '-1h'],
  'coordinator-drifts': ['coordinator', '+0 x1.2'],
  'coordinator-jumps': ['coordinator', '+0', '+2h'],
  'coordinator-falls-back': ['coordinator', '+0', '-2h'],
};

/** The time of day of one process is wrong, or jumps while it runs. Time that only passes is right. */
export const clock: FaultKind = {
  name: 'clock',
  about: 'clocks an hour ahead and behind, fast, and jumping',
  missing: () => (faketimeLibrary() === undefined ? 'needs libfaketime' : undefined),
  variants: () => Object.keys(SKEWS),
  run: async ({ random, variant, open }) => {
    const world = await open({ rounds: 4, epochs: 20 });
    const [name, first, later] = SKEWS[variant] ?? ['north', '+1h'];
    const file = join(world.folder, 'clock');
    await writeFile(file, first);
    world.launches.set(name, {
      env: {
        LD_PRELOAD: faketimeLibrary() ?? '',
        FAKETIME_TIMESTAMP_FILE: file,
        FAKETIME_CACHE_DURATION: '1',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
        DONT_FAKE_MONOTONIC: '1',
      },
    });
    await world.begin();
    await sleep(random.below(2_500));
    if (later !== undefined) {
      await writeFile(`${file}.next`, later);
      await rename(`${file}.next`, file);
    }
    await world.ended();
    return world;
  },
};
