import { join } from 'node:path';

import { parseTargets, targetText, type Side, type Target } from '../inside/targets.js';
import type { Evidence } from '../judge/evidence.js';
import type { JobType } from '../template.js';
import { PROCESSES, World, type ProcessName } from '../world.js';
import type { CaseParts, FaultKind, KindParts } from './kind.js';
import { distinctTargets, everyTarget, namesOf, type Batch, type CountedRun } from './transitions.js';
import { callsOf, Victim } from './victim.js';

const VICTIMS = ['coordinator', 'north'] as const satisfies readonly ProcessName[];
const JOBS = ['plain', 'secure'] as const satisfies readonly JobType[];
/** Deaths of a case. */
const DEATHS = 5;
/** A case restarts one process: nobody needs long to come back. */
const ROUNDS = { counted: 1, alone: 1, several: 3 };

type Sides = Record<Side, Set<string>>;

interface Plan {
  readonly name: ProcessName;
  readonly batches: readonly Batch[];
  /** What is to be died at: the names of transitions, or each call of each job. */
  readonly wanted: ReadonlySet<string>;
  readonly keyOf: (job: JobType, target: Target) => string;
  readonly killed: Sides;
}

const plans = new Map<string, Plan>();
let told: string | undefined;

/** A run without a fault, in which one process counts. */
async function dryRun({ template, folder }: KindParts, name: ProcessName, job: JobType): Promise<CountedRun> {
  const own = join(folder, `${name}-${job}`);
  const world = await World.open({ template, folder: own, job, rounds: ROUNDS.counted });
  const path = join(world.folder, 'calls');
  world.launches.set(name, { env: { TRIBUTARY_CHAOS_CALLS: path } });
  try {
    await world.begin();
    if (!(await world.ended())) throw new Error(`the run without a fault did not end; see ${world.folder}`);
  } finally {
    await world.stop();
  }
  return { job, calls: (await callsOf(path)).calls };
}

/** Counts what a process persists in jobs without a fault, and plans where it is to die. */
async function planOf(parts: KindParts, name: ProcessName, jobs: readonly JobType[]): Promise<Plan> {
  const runs: CountedRun[] = [];
  for (const job of jobs) runs.push(await dryRun(parts, name, job));
  const killed: Sides = { before: new Set(), after: new Set() };
  if (parts.every) {
    const batches = everyTarget(runs, DEATHS);
    const keyOf = (job: JobType, { which, name: call }: Target): string => `${job}:${String(which)}:${call}`;
    const wanted = new Set(batches.flatMap(({ job, targets }) => targets.map((one) => keyOf(job, one))));
    return { name, batches, wanted, keyOf, killed };
  }
  // A run of a few cases dies once in each of them.
  const batches = distinctTargets(runs, parts.random, isShort(parts) ? 1 : DEATHS);
  return { name, batches, wanted: new Set(namesOf(runs)), keyOf: (_job, target) => target.name, killed };
}

const isShort = ({ cases }: KindParts): boolean => cases < VICTIMS.length * JOBS.length;

async function prepare(parts: KindParts): Promise<void> {
  plans.clear();
  told = parts.variant;
  if (told !== undefined) return;
  const [names, jobs] = isShort(parts)
    ? [[parts.random.pick(VICTIMS)], [parts.random.pick(JOBS)]]
    : [VICTIMS, JOBS];
  for (const name of names) plans.set(name, await planOf(parts, name, jobs));
}

/** What a variant names: the process, the job, and where it is to die. */
function placeOf(variant: string) {
  const [process = '', type = '', ...rest] = variant.split('~');
  const [name, job] = [VICTIMS.find((one) => one === process), JOBS.find((one) => one === type)];
  const targets = parseTargets(rest.join('~'));
  if (name === undefined || job === undefined || targets.length === 0)
    throw new Error(`${variant} names no process, job and calls`);
  return { name, job, targets };
}

const variantsOf = ({ name, batches }: Plan): readonly string[] =>
  batches.map(({ job, targets }) => `${name}~${job}~${targets.map(targetText).join(',')}`);

async function run({ variant, open }: CaseParts): Promise<readonly Evidence[]> {
  const { name, job, targets } = placeOf(variant);
  const world = await open({ rounds: targets.length > 1 ? ROUNDS.several : ROUNDS.alone, job });
  const victim = new Victim(world, name, targets);
  try {
    await victim.start();
    for (const other of PROCESSES) if (other !== name) await world.start(other);
    await victim.settled();
    await world.submit();
    // It may persist less, or less often, than when it was counted: another job takes it there.
    await world.outlast(async () => {
      if (victim.left.length > 0) await victim.stopAndStart();
      return victim.left.length === 0;
    });
  } finally {
    victim.retire();
  }
  const plan = plans.get(name);
  return targets.map((target) => {
    const missed = victim.left.some((left) => left.side === target.side && left.name === target.name);
    if (!missed) plan?.killed[target.side].add(plan.keyOf(job, target));
    return { what: `SIGKILL ${target.side} ${target.name} of ${name}`, count: missed ? 0 : 1 };
  });
}

/** SIGKILL just before and just after everything that a process persists. */
export const persisted: FaultKind = {
  name: 'persisted',
  about: 'SIGKILL before and after everything that is persisted',
  prepare,
  variants: () => (told === undefined ? [...plans.values()].flatMap(variantsOf) : [told]),
  run,
  summary: () =>
    [...plans.values()]
      .map(({ name, wanted, killed }) => {
        const of = (side: Side): string => `${String(killed[side].size)} of ${String(wanted.size)}`;
        return `${name}: ${of('before')} transitions killed before and ${of('after')} after`;
      })
      .join('; '),
};
