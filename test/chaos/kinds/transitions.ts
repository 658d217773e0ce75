import type { SeededRandom } from '../../support/seeded-random.js';
import { SIDES, type Target } from '../inside/targets.js';
import type { JobType } from '../template.js';

/** What a process persisted in a run without a fault, by name, in order. */
export interface CountedRun {
  readonly job: JobType;
  readonly calls: readonly string[];
}

/** Targets of one case: a process ends at each of them, in one world. */
export interface Batch {
  readonly job: JobType;
  readonly targets: readonly Target[];
}

interface Placed {
  readonly job: JobType;
  /** Of the call in its run. */
  readonly position: number;
  readonly which: number;
  readonly name: string;
}

/** The names of all calls, each once. */
export const namesOf = (runs: readonly CountedRun[]): readonly string[] => [
  ...new Set(runs.flatMap(({ calls }) => calls)),
];

/** Each distinct transition once before and once after it: at one of its repeats, in one of the jobs, as the seed says. */
export function distinctTargets(
  runs: readonly CountedRun[],
  random: SeededRandom,
  most: number,
): readonly Batch[] {
  const calls = runs.flatMap(placedOf);
  return batchesOf(
    namesOf(runs).flatMap((name) => {
      const repeats = calls.filter((call) => call.name === name);
      return SIDES.map((side) => ({ ...random.pick(repeats), side }));
    }),
    most,
  );
}

/** Each call of each run before and after it. */
export const everyTarget = (runs: readonly CountedRun[], most: number): readonly Batch[] =>
  batchesOf(
    runs.flatMap((run) => placedOf(run).flatMap((call) => SIDES.map((side) => ({ ...call, side })))),
    most,
  );

function placedOf({ job, calls }: CountedRun): readonly Placed[] {
  const counts = new Map<string, number>();
  return calls.map((name, position) => {
    const which = (counts.get(name) ?? 0) + 1;
    counts.set(name, which);
    return { job, position, which, name };
  });
}

/** Those of a batch are spread over the whole run, so that one job may come past all of them. */
function batchesOf(targets: readonly (Placed & Target)[], most: number): readonly Batch[] {
  return (['plain', 'secure'] as const).flatMap((job) => {
    const own = targets.filter((target) => target.job === job).sort((a, b) => a.position - b.position);
    const count = Math.ceil(own.length / most);
    return Array.from({ length: count }, (_value, first) => ({
      job,
      targets: own.filter((_target, index) => index % count === first),
    }));
  });
}
