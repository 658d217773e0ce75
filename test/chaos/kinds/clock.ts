import { rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Daemon } from '../../support/daemon.js';
import { faketimeLibrary } from '../../support/system-tools.js';
import { judgeEvidence, type Evidence } from '../judge/evidence.js';
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

const LAST_TIME = /.*"time":"([^"]+)"/s;
/** Milliseconds at least that a clock which drifts has to be away: it gains 200 in a second. */
const DRIFTED_MS = 300;

/** How far the newest line of a log is from the time at which it was written, in seconds, where the clock is as wrong as it should be. */
async function skewOf(daemon: Daemon, setting: string): Promise<readonly Evidence[]> {
  const [log, { mtimeMs }] = [await daemon.log(), await stat(daemon.logFile)];
  const skewMs = Date.parse(LAST_TIME.exec(log)?.[1] ?? '') - mtimeMs;
  const hours = Number(/^([+-][0-9])h/.exec(setting)?.[1] ?? 0);
  const wrong = hours === 0 ? skewMs > DRIFTED_MS : Math.abs(skewMs / 3_600_000 - hours) < 0.1;
  const text = `skewed clocks seen in a log (${(skewMs / 1_000).toFixed(1)} s)`;
  return [{ what: text, count: wrong ? 1 : 0 }];
}

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
    const { daemon } = world.last(name);
    const seen = (): Promise<readonly Evidence[]> => skewOf(daemon, later ?? first);
    await world.outlast(async () => judgeEvidence(await seen()).length === 0);
    return seen();
  },
};
