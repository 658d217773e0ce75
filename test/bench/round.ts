import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { FederatedJob } from '@tributary/proto';

import { exportedWeights } from '../demo/weights.js';
import { LocalFederation } from '../support/federation.js';
import { median, rounded, type BenchCase } from './bench-case.js';
import { randomUpdate } from './noise.js';
import { transferFloor } from './transfer-floor.js';
import { initialOf, parametersOf, TWO_ROWS, wideJob } from './wide-job.js';

const AGENT_SCRIPT = join(import.meta.dirname, 'agent-main.js');

/**
 * Whole rounds of the built daemons: download, upload, spool, sync, ledger, fold and commit are inside the time, from
 * the ledger's own clock (round.opened to round.committed). The first round warms up and is not counted.
 */
export const round: BenchCase = async ({ agents, megabytes, runs, note }) =>
  withSites(agents, async (federation, folder) => {
    const job = wideJob('wide', megabytes, runs + 1, agents);
    const parameters = parametersOf(job);
    note(`${String(agents)} agents joined; ${String(parameters)} parameters`);
    const { times, largestError } = await timedRounds(federation, job, agents);
    const memory = await federation.peakMemory();
    const floors: number[] = [];
    for (let run = 0; run < runs; run++) floors.push(await transferFloor(folder, agents, parameters * 4));
    note(`rounds: ${times.join(', ')} ms; floors: ${floors.map((floor) => floor.toFixed(0)).join(', ')} ms`);
    const ms = median(times);
    const floorMs = median(floors);
    return {
      ...{ ms: rounded(ms), floorMs: rounded(floorMs), ratio: rounded(ms / floorMs) },
      ...{ agents, megabytesPerUpdate: rounded((parameters * 4) / 1e6), rounds: runs, largestError },
      rssMiB: memory,
    };
  });

/** The same rounds with secure aggregation; the floor is the plain round of the same daemons, before and after it. */
export const secureRound: BenchCase = async ({ agents, megabytes, runs, note }) =>
  withSites(agents, async (federation) => {
    const plain = wideJob('wide', megabytes, runs + 1, agents);
    const parameters = parametersOf(plain);
    note(`${String(agents)} agents joined; ${String(parameters)} parameters`);
    const before = await timedRounds(federation, plain, agents);
    const secure = await timedRounds(
      federation,
      wideJob('masked', megabytes, runs + 1, agents, true),
      agents,
    );
    const after = await timedRounds(federation, wideJob('again', megabytes, runs + 1, agents), agents);
    const floors = [...before.times, ...after.times];
    note(`secure rounds: ${secure.times.join(', ')} ms; plain ones: ${floors.join(', ')} ms`);
    const ms = median(secure.times);
    const floorMs = median(floors);
    return {
      ...{ ms: rounded(ms), floorMs: rounded(floorMs), ratio: rounded(ms / floorMs) },
      ...{ agents, megabytesPerUpdate: rounded((parameters * 4) / 1e6), rounds: runs },
      largestError: secure.largestError,
      rssMiB: await federation.peakMemory(),
    };
  });

/** A federation of sites with two rows each, whose trainer is replaced. */
async function withSites<T>(
  agents: number,
  use: (federation: LocalFederation, folder: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'tributary-bench-'));
  const federation = await LocalFederation.start(folder, 'bench');
  try {
    for (let agent = 0; agent < agents; agent++) {
      await federation.addSite({
        name: `site-${String(agent)}`,
        csv: TWO_ROWS,
        dataset: 'rows',
        script: AGENT_SCRIPT,
      });
    }
    return await use(federation, folder);
  } finally {
    await federation.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

interface TimedRounds {
  /** Milliseconds of each round but the first. */
  readonly times: readonly number[];
  readonly largestError: number;
}

/** Runs a job to its end. Rejects where its model is not base plus the means of all updates. */
async function timedRounds(
  federation: LocalFederation,
  job: FederatedJob,
  agents: number,
): Promise<TimedRounds> {
  const { rounds } = job.spec;
  await federation.apply(job);
  const complete = ['--for', 'condition=Complete', '--timeout', '30m'];
  await federation.cliText('wait', `fj/${job.metadata.name}`, ...complete);
  const times = (await roundTimes(federation, job)).slice(1);
  const worst = await largestErrorOf(federation, job, agents, rounds);
  // A step of the ring for each site and round, where the updates are masked.
  const { clipNorm } = job.spec.update;
  const steps = job.spec.privacy.secureAggregation ? (rounds * agents * clipNorm) / 2 ** 31 : 0;
  if (worst > 1e-6 + steps) throw new Error(`the sum is wrong by ${String(worst)}`);
  return { times, largestError: worst };
}

async function roundTimes(federation: LocalFederation, job: FederatedJob): Promise<number[]> {
  const text = await federation.cliText('describe', `fj/${job.metadata.name}`, '-o', 'json');
  const { events } = JSON.parse(text) as {
    readonly events: readonly {
      readonly type: string;
      readonly time: string;
      readonly body: { readonly round?: number };
    }[];
  };
  const at = (type: string, number: number): number =>
    Date.parse(events.find((event) => event.type === type && event.body.round === number)?.time ?? '');
  return Array.from(
    { length: job.spec.rounds },
    (_, index) => at('round.committed', index + 1) - at('round.opened', index + 1),
  );
}

/** Distance between the exported model and base plus the means of all updates, over all parameters. */
async function largestErrorOf(
  federation: LocalFederation,
  job: FederatedJob,
  agents: number,
  rounds: number,
): Promise<number> {
  const weights = await exportedWeights(federation, job.spec.model.name);
  const expected = Float64Array.from(initialOf(job));
  for (let number = 1; number <= rounds; number++) {
    for (let agent = 0; agent < agents; agent++) {
      const update = randomUpdate(agent, number, expected.length);
      for (let index = 0; index < expected.length; index++)
        expected[index] = (expected[index] ?? 0) + (update[index] ?? 0) / agents;
    }
  }
  return expected.reduce(
    (worst, value, index) => Math.max(worst, Math.abs(value - (weights[index] ?? Number.NaN))),
    0,
  );
}
