import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { BINARIES, runCommand } from '../support/daemon.js';
import type { Daemon } from '../support/daemon.js';
import { LocalFederation } from '../support/federation.js';
import { Operator } from '../support/operator.js';
import { pointsJob, pointsOf } from '../support/points.js';
import { eventually } from '../support/waiting.js';
import { median, rounded, timed, type BenchCase, type BenchResult } from './bench-case.js';

const SITES = ['east', 'north', 'west'] as const;
const JOB = 'recovery';
/** With 1,000 epochs of them the first round outlasts the measurement. */
const ROWS = 20_000;
const BACK_MS = 60_000;

/** Milliseconds from an exec to each of the things that follow it. */
interface Recovery {
  /** The coordinator serves, or the agent is connected. */
  readonly servingMs: number;
  /** And every site that had lost the coordinator is connected again. */
  readonly backMs: number;
}

/** Waits for a line of a log behind what was there. */
async function said(daemon: Daemon, line: string, before: number): Promise<void> {
  const text = `"msg":"${line}"`;
  const found = async (): Promise<true | undefined> =>
    (await daemon.log()).slice(before).includes(text) ? true : undefined;
  await eventually(`${daemon.logFile} to say ${line}`, found, BACK_MS, 5);
}

const lengthOf = async (daemon: Daemon): Promise<number> => (await daemon.log()).length;

/** SIGKILL of the coordinator in a round, and its next start. */
async function coordinatorDies(federation: LocalFederation): Promise<Recovery> {
  const agents = [...federation.agents.values()];
  const before = await Promise.all([federation.coordinator, ...agents].map(lengthOf));
  await federation.coordinator.stop('SIGKILL');
  const start = performance.now();
  const coordinator = await federation.spawnCoordinator();
  await said(coordinator, 'serving', before[0] ?? 0);
  const servingMs = performance.now() - start;
  await Promise.all(agents.map((agent, index) => said(agent, 'connected', before[index + 1] ?? 0)));
  return { servingMs, backMs: performance.now() - start };
}

/** SIGKILL of an agent in a round, and its next start. */
async function agentDies(federation: LocalFederation): Promise<Recovery> {
  const [name] = SITES;
  const agent = federation.agents.get(name);
  const before = agent === undefined ? 0 : await lengthOf(agent);
  await agent?.stop('SIGKILL');
  const start = performance.now();
  await said(federation.startAgent(name), 'connected', before);
  const backMs = performance.now() - start;
  return { servingMs: backMs, backMs };
}

const DEATHS = { coordinator: coordinatorDies, agent: agentDies } as const;

/**
 * From exec after a SIGKILL in an open round until the process is back: `ms` is the median, `maxMs` the most of `runs`. A
 * coordinator is back when the three sites that lost it are connected again. The floor is what Node.js takes to start and
 * load the gRPC library alone, on the same machine in turns with it.
 */
export const recovery: BenchCase = async function* ({ runs, note }) {
  const folder = await mkdtemp(join(tmpdir(), 'tributary-bench-'));
  const federation = await LocalFederation.start(folder, 'bench');
  const operator = await Operator.of(federation);
  try {
    for (const [index, name] of SITES.entries())
      await federation.addSite({ name, dataset: 'points', csv: pointsOf(index + 1, ROWS).csv });
    const { training } = pointsJob(JOB).spec;
    await operator.apply(pointsJob(JOB, { rounds: 1, training: { ...training, epochs: 1_000 } }));
    await operator.event(JOB, 'round.opened');
    for (const victim of ['coordinator', 'agent'] as const) {
      const [all, floors]: [Recovery[], number[]] = [[], []];
      for (let run = 1; run <= runs; run += 1) {
        const one = await DEATHS[victim](federation);
        all.push(one);
        floors.push(
          await timed(async () => void (await runCommand(BINARIES.tributary, ['version', '--client']))),
        );
        note(`${victim} ${String(run)}: ${one.servingMs.toFixed(0)} ms, back in ${one.backMs.toFixed(0)} ms`);
      }
      yield resultOf(victim, all, floors);
    }
    if ((await operator.events('FederatedJob', JOB)).some(({ type }) => type === 'round.committed'))
      throw new Error('the round was over before everybody had died in it: make it longer');
  } finally {
    operator.close();
    await federation.stop();
    await rm(folder, { recursive: true, force: true });
  }
};

function resultOf(victim: string, all: readonly Recovery[], floors: readonly number[]): BenchResult {
  const backs = all.map(({ backMs }) => backMs);
  const [ms, floorMs] = [median(backs), median(floors)];
  return {
    ...{ victim, ms: rounded(ms), floorMs: rounded(floorMs), ratio: rounded(ms / floorMs) },
    maxMs: rounded(Math.max(...backs)),
    servingMs: rounded(median(all.map(({ servingMs }) => servingMs))),
    runs: all.length,
  };
}
