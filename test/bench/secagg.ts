import { createCipheriv, randomBytes } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';

import { peakMebibytes } from '../support/daemon.js';
import { median, rounded, type BenchCase } from './bench-case.js';
import { randomUpdate } from './noise.js';
import { measured, secureRound, type RoleTime, type SecureRoundResult } from './secagg-round.js';

const PIECE = Buffer.alloc(131_072);
const ROUND = 1;

/**
 * Whole secure rounds on the complete graph: keys, shares, masks, survivor set, unmasking and the sums as float64, with
 * every signature made and verified. `ms` is the wall time of all roles together, one after the other in one thread: each
 * agent expands its own masks and the coordinator those that it recovers, nothing is kept between roles. `floorMs` is
 * the AES-256-CTR expansion of as many words as all roles expanded, in the same run. Left out: training, transport, TLS,
 * envelope and disk.
 */
export const secagg: BenchCase = async ({ agents, parameters, dropouts, runs, note }) => {
  // As the daemons do: keystreams live outside the heap.
  setFlagsFromString('--no-incremental-marking');
  const results: SecureRoundResult[] = [];
  const floors: RoleTime[] = [];
  for (let run = -1; run < runs; run++) {
    const deltaOf = (agent: number): Float32Array => randomUpdate(agent, ROUND, parameters);
    const result = await secureRound({ agents, parameters, dropouts, deltaOf });
    requireSum(result, agents - dropouts, parameters, dropouts);
    const floor: RoleTime = { wall: 0, cpu: 0 };
    await measured(floor, () => expand(result.maskWords));
    // The first run warms up.
    if (run < 0) continue;
    results.push(result);
    floors.push(floor);
    note(
      `run ${String(run + 1)}: agents ${result.agents.wall.toFixed(0)} ms, coordinator ${result.coordinator.wall.toFixed(0)} ms, floor ${floor.wall.toFixed(0)} ms`,
    );
  }
  const of = (figure: (result: SecureRoundResult) => number): number => median(results.map(figure));
  const ms = of((result) => result.agents.wall + result.coordinator.wall);
  const floorMs = median(floors.map(({ wall }) => wall));
  return {
    ms: rounded(ms),
    floorMs: rounded(floorMs),
    ratio: rounded(ms / floorMs),
    covers: 'all roles of one round, wall time in one thread; no transport, TLS, envelope or disk',
    agentsMs: rounded(of(({ agents: { wall } }) => wall)),
    coordinatorMs: rounded(of(({ coordinator: { wall } }) => wall)),
    cpuMs: rounded(of((result) => result.agents.cpu + result.coordinator.cpu)),
    floorCpuMs: rounded(median(floors.map(({ cpu }) => cpu))),
    coordinatorCpuMs: rounded(of(({ coordinator: { cpu } }) => cpu)),
    bytesPerParameter: of(({ bytesSent }) => bytesSent) / parameters,
    bytesSentPerAgent: of(({ bytesSent }) => bytesSent),
    agents,
    dropouts,
    parameters,
    rssMiB: { process: await peakMebibytes(process.pid) },
  };
};

/** The unmasked sum must be that of the updates, up to the rounding of each. */
function requireSum(
  { opened }: SecureRoundResult,
  sites: number,
  parameters: number,
  dropouts: number,
): void {
  const checked = Math.min(parameters, 1_000);
  const sums = new Float64Array(checked);
  opened.readSums(0, sums);
  const expected = new Float64Array(checked);
  for (let agent = 0; agent < sites; agent += 1) {
    const update = randomUpdate(agent, ROUND, checked);
    for (let index = 0; index < checked; index += 1)
      expected[index] = (expected[index] ?? 0) + (update[index] ?? 0);
  }
  const agents = sites + dropouts;
  const step = (10 * agents) / 2 ** 30;
  const wrong = sums.findIndex((value, index) => Math.abs(value - (expected[index] ?? 0)) > sites * step);
  if (wrong >= 0) throw new Error(`parameter ${String(wrong)} of the sum is wrong`);
}

function expand(words: number): void {
  const cipher = createCipheriv('aes-256-ctr', randomBytes(32), randomBytes(16));
  for (let left = words * 4; left > 0; left -= PIECE.length) cipher.update(PIECE);
}
