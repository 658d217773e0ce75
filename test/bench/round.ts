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
export const round: BenchCase = async ({ agents, megabytes, runs, note }) => {
  const folder = await mkdtemp(join(tmpdir(), 'tributary-bench-'));
  const rounds = runs + 1;
  const job = wideJob('wide', megabytes, rounds, agents);
  const parameters = parametersOf(job);
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
    note(`${String(agents)} agents joined; ${String(parameters)} parameters`);
    await federation.apply(job);
    await federation.cliText(
      'wait',
      `fj/${job.metadata.name}`,
      '--for',
      'condition=Complete',
      '--timeout',
      '30m',
    );
    const times = (await roundTimes(federation, job)).slice(1);
    const memory = await federation.peakMemory();
    const worst = await largestError(federation, job, agents, rounds);
    if (worst > 1e-6) throw new Error(`the sum is wrong by ${String(worst)}`);
    const floors: number[] = [];
    for (let run = 0; run < runs; run++) floors.push(await transferFloor(folder, agents, parameters * 4));
    note(`rounds: ${times.join(', ')} ms; floors: ${floors.map((floor) => floor.toFixed(0)).join(', ')} ms`);
    const ms = median(times);
    const floorMs = median(floors);
    return {
      ...{ ms: rounded(ms), floorMs: rounded(floorMs), ratio: rounded(ms / floorMs) },
      ...{
        agents,
        megabytesPerUpdate: rounded((parameters * 4) / 1e6),
        rounds: runs,
        largestError: worst,
        rssMiB: memory,
      },
    };
  } finally {
    await federation.stop();
    await rm(folder, { recursive: true, force: true });
  }
};

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
async function largestError(
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
