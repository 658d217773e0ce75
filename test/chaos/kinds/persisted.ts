import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Evidence } from '../judge/evidence.js';
import type { JobType } from '../template.js';
import { PROCESSES, World, type ProcessName } from '../world.js';
import type { CaseParts, FaultKind, KindParts } from './kind.js';

const TARGETS = ['coordinator', 'north'] as const satisfies readonly ProcessName[];
const JOBS = ['plain', 'secure'] as const satisfies readonly JobType[];
const SIDES = ['before', 'after'] as const;
/** A case restarts one process: nobody needs long to come back. */
const ROUNDS = 1;

type Side = (typeof SIDES)[number];

interface Plan {
  /** What the process persisted in a run without a fault, in order. */
  readonly calls: readonly string[];
  /** How many of them came before it was told to stop. */
  readonly served: number;
  readonly killed: Record<Side, Set<number>>;
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
  let served: number;
  try {
    await world.begin();
    if (!(await world.ended())) throw new Error(`the run without a fault did not end; see ${world.folder}`);
    served = (await callsOf(path)).length;
  } finally {
    await world.stop();
  }
  return { calls: await callsOf(path), served, killed: { before: new Set(), after: new Set() } };
}

/** A process that is to die at one thing that it persists, however often it has to be started for that. */
class Victim {
  readonly #world: World;
  readonly #name: ProcessName;
  readonly #position: number;
  readonly #side: Side;
  #ended: Promise<void> = Promise.resolve();
  #starts = 0;
  /** What it persisted when it died there. */
  call: string | undefined;

  constructor(world: World, name: ProcessName, position: number, side: Side) {
    this.#world = world;
    this.#name = name;
    this.#position = position;
    this.#side = side;
  }

  async start(): Promise<void> {
    const path = join(this.#world.folder, `calls-${String((this.#starts += 1))}`);
    const env = {
      TRIBUTARY_CHAOS_CALLS: path,
      TRIBUTARY_CHAOS_KILL: `${String(this.#position)}:${this.#side}`,
    };
    const { exited } = await this.#world.start(this.#name, { env });
    this.#ended = exited.then(async ({ signal }) => {
      // Calls may have begun while one that was to be its last ended.
      const calls = await callsOf(path);
      if (signal !== 'SIGKILL' || calls.length < this.#position) return;
      this.call = calls[this.#position - 1];
      await this.#world.restart(this.#name);
    });
    this.#ended.catch(() => undefined);
  }

  /** Told to stop: it may die while it does, and is started again in either case. */
  async stopAndStart(): Promise<void> {
    const last = this.#world.last(this.#name);
    const { code } = await last.daemon.stop();
    last.expected = code === 0;
    await this.#ended;
    if (this.call === undefined) await this.start();
    await settled(this.#world);
  }
}

/** What a variant names: the process, the job, the position among its calls and the side of it. */
function placeOf(variant: string) {
  const [target = '', job = '', position = '', side = ''] = variant.split(':');
  return {
    name: TARGETS.find((one) => one === target) ?? 'coordinator',
    job: JOBS.find((one) => one === job) ?? 'plain',
    position: Number(position),
    side: SIDES.find((one) => one === side) ?? 'before',
  };
}

async function run({ variant, open }: CaseParts): Promise<readonly Evidence[]> {
  const { name, job, position, side } = placeOf(variant);
  const plan = plans.get(`${name}:${job}`);
  const world = await open({ rounds: ROUNDS, job });
  const victim = new Victim(world, name, position, side);
  await victim.start();
  for (const other of PROCESSES) if (other !== name) await world.start(other);
  await settled(world);
  await world.submit();
  // The process may persist less than when it was counted: another job takes it there.
  await world.outlast(async () => {
    if (victim.call === undefined && position > (plan?.served ?? 0)) await victim.stopAndStart();
    return victim.call !== undefined;
  });
  if (victim.call !== undefined) plan?.killed[side].add(position);
  const what = `SIGKILL ${side} call ${String(position)} of ${name} (${victim.call ?? 'not reached'})`;
  return [{ what, count: victim.call === undefined ? 0 : 1 }];
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
        const of = (side: Side): string =>
          `${String(killed[side].size)} of ${String(calls.length)} killed ${side}`;
        return `${name}: ${of('before')} and ${of('after')}`;
      })
      .join('; '),
};
