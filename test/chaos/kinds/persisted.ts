import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { JobType } from '../template.js';
import { World, type ProcessName } from '../world.js';
import type { CaseParts, FaultKind, KindParts } from './kind.js';

const TARGETS = ['coordinator', 'north'] as const satisfies readonly ProcessName[];
const JOBS = ['plain', 'secure'] as const satisfies readonly JobType[];
const SIDES = ['before', 'after'] as const;
/** A case restarts one process: nobody needs long to come back. */
const ROUNDS = 1;

interface Plan {
  /** What the process persisted in a run without a fault, in order. */
  readonly calls: readonly string[];
  readonly killed: Record<(typeof SIDES)[number], Set<number>>;
}

const plans = new Map<string, Plan>();

async function callsOf(path: string): Promise<readonly string[]> {
  return (await readFile(path, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');
}

/** A run without a fault, in which one process counts. */
async function dryRun({ template, folder }: KindParts, target: ProcessName, job: JobType): Promise<Plan> {
  const world = await World.open({ template, folder: join(folder, `${target}-${job}`), job, rounds: ROUNDS });
  const path = join(world.folder, 'calls');
  world.launches.set(target, { env: { TRIBUTARY_CHAOS_CALLS: path } });
  try {
    await world.begin();
    if (!(await world.ended())) throw new Error(`the run without a fault did not end; see ${world.folder}`);
  } finally {
    await world.stop();
  }
  return { calls: await callsOf(path), killed: { before: new Set(), after: new Set() } };
}

async function run({ variant, open }: CaseParts): Promise<World> {
  const [target = '', job = '', position = '', side = ''] = variant.split(':');
  const name = TARGETS.find((one) => one === target) ?? 'coordinator';
  const world = await open({ rounds: ROUNDS, job: job === 'secure' ? 'secure' : 'plain' });
  const path = join(world.folder, 'calls');
  const env = { TRIBUTARY_CHAOS_CALLS: path, TRIBUTARY_CHAOS_KILL: `${position}:${side}` };
  const victim = await world.start(name, { env });
  let stopping = false;
  const died = victim.exited.then(async () => {
    const calls = await callsOf(path);
    if (calls.length === Number(position) && (side === 'before' || side === 'after'))
      plans.get(`${target}:${job}`)?.killed[side].add(calls.length);
    if (!stopping) await world.restart(name);
  });
  died.catch(() => undefined);
  for (const other of ['coordinator', 'east', 'north', 'west'] as const) {
    if (other === name) continue;
    await world.start(other);
  }
  await settled(world);
  await world.submit();
  await world.ended();
  stopping = true;
  return world;
}

/** The coordinator serves, though it may die on the way there once. */
async function settled(world: World): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      await world.serving();
      return;
    } catch (error) {
      if (tries === 20) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** SIGKILL just before and just after everything that a process persists. */
export const persisted: FaultKind = {
  name: 'persisted',
  about: 'SIGKILL before and after everything that is persisted',
  prepare: async (parts) => {
    plans.clear();
    const all = TARGETS.flatMap((target) => JOBS.map((job) => ({ target, job })));
    // A run of a few cases does not count everything first.
    const chosen = parts.cases < all.length ? [parts.random.pick(all)] : all;
    for (const { target, job } of chosen) plans.set(`${target}:${job}`, await dryRun(parts, target, job));
  },
  variants: () =>
    [...plans].flatMap(([name, { calls }]) =>
      calls.flatMap((_call, index) => SIDES.map((side) => `${name}:${String(index + 1)}:${side}`)),
    ),
  run,
  summary: () =>
    [...plans]
      .map(([name, { calls, killed }]) => {
        const of = (side: (typeof SIDES)[number]): string =>
          `${String(killed[side].size)} of ${String(calls.length)} ${side}`;
        return `${name}: ${of('before')}, ${of('after')}`;
      })
      .join('; '),
};
