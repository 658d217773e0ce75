import { Accumulator } from '@tributary/proto';

import { peakMebibytes } from '../support/daemon.js';
import { SeededRandom } from '../support/seeded-random.js';
import { median, rounded, timed, type BenchCase } from './bench-case.js';

const CHUNK = 262_144;
const RANGE = 64;

/**
 * Folds as many updates as there are agents, chunk by chunk as they come from a spool. The floor reads and writes the
 * same bytes without computing: one copy of the update's 4 bytes per parameter and one pass over the sum's 8.
 */
export const aggregate: BenchCase = async ({ agents, megabytes, runs, note }) => {
  const parameters = Math.round(megabytes * 250_000);
  const random = new SeededRandom(1);
  const update = Float32Array.from(
    { length: Math.min(parameters, CHUNK) },
    () => random.uint32() / 2 ** 32 - 0.5,
  );
  const accumulator = new Accumulator({ length: parameters, range: RANGE });
  const from = new BigInt64Array(CHUNK);
  const to = new BigInt64Array(parameters);

  const times: number[] = [];
  const floors: number[] = [];
  for (let run = -1; run < runs; run++) {
    accumulator.reset();
    const time = await timed(() =>
      overChunks(agents, parameters, (start, length) => accumulator.fold(start, update.subarray(0, length))),
    );
    const floor = await timed(() =>
      overChunks(agents, parameters, (start, length) => to.set(from.subarray(0, length), start)),
    );
    // The first run warms up.
    if (run < 0) continue;
    times.push(time);
    floors.push(floor);
    note(`run ${String(run + 1)}: ${time.toFixed(1)} ms, floor ${floor.toFixed(1)} ms`);
  }
  const sums = new Float64Array(1);
  accumulator.readSums(0, sums);
  const expected = agents * (update[0] ?? 0);
  if (Math.abs((sums[0] ?? 0) - expected) > agents * 2 ** -accumulator.scaleBits)
    throw new Error('the sum is wrong');

  const ms = median(times);
  const floorMs = median(floors);
  return {
    ms: rounded(ms),
    floorMs: rounded(floorMs),
    ratio: rounded(ms / floorMs),
    nsPerParameterAndClient: rounded((ms * 1e6) / (parameters * agents)),
    agents,
    parameters,
    rssMiB: { process: await peakMebibytes(process.pid) },
  };
};

function overChunks(times: number, length: number, act: (start: number, length: number) => void): void {
  for (let time = 0; time < times; time++) {
    for (let start = 0; start < length; start += CHUNK) act(start, Math.min(CHUNK, length - start));
  }
}
