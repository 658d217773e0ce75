import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { BINARIES, runCommand } from '../support/daemon.js';
import { LocalFederation } from '../support/federation.js';
import { median, rounded, timed, type BenchCase } from './bench-case.js';

/**
 * From exec to serving, with `entries` ledger entries on disk: invitations, each one entry. The floor is what Node.js
 * takes to start and load the gRPC library alone.
 */
export const startup: BenchCase = async ({ entries, runs, note }) => {
  const folder = await mkdtemp(join(tmpdir(), 'tributary-bench-'));
  const federation = await LocalFederation.start(folder, 'bench');
  try {
    await federation.fillLedger(entries);
    const times: number[] = [];
    const floors: number[] = [];
    for (let run = -1; run < runs; run++) {
      await federation.coordinator.stop();
      const time = await timed(async () => void (await federation.serve()));
      const floor = await timed(
        async () => void (await runCommand(BINARIES.tributary, ['version', '--client'])),
      );
      if (run < 0) continue;
      times.push(time);
      floors.push(floor);
      note(`run ${String(run + 1)}: ${time.toFixed(0)} ms, floor ${floor.toFixed(0)} ms`);
    }
    const ms = median(times);
    const floorMs = median(floors);
    return {
      ms: rounded(ms),
      floorMs: rounded(floorMs),
      ratio: rounded(ms / floorMs),
      entries,
      rssMiB: { coordinator: await federation.coordinator.peakMebibytes() },
    };
  } finally {
    await federation.stop();
    await rm(folder, { recursive: true, force: true });
  }
};
