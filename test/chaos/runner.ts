import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { SeededRandom } from '../support/seeded-random.js';
import { collect } from './collect.js';
import { acceptedUpdates, judge, recoverySeconds } from './judge/contract.js';
import type { Breach } from './judge/facts.js';
import type { FaultKind } from './kinds/kind.js';
import { Template, type JobType } from './template.js';
import { World } from './world.js';

export interface RunOptions {
  readonly kinds: readonly FaultKind[];
  readonly cases: number;
  readonly seed: number;
  /** Where cases leave their directories. */
  readonly folder: string;
  /** The only variant, and the job, of a case that is repeated. */
  readonly variant?: string | undefined;
  readonly job?: JobType | undefined;
  /** No case begins after it; milliseconds since the epoch. */
  readonly endMs?: number;
  readonly report?: (result: CaseResult) => void;
}

export interface CaseResult {
  readonly kind: string;
  readonly variant: string;
  readonly job: JobType;
  readonly seed: number;
  /** None: the contract held. */
  readonly breaches: readonly Breach[];
  readonly recoverySeconds: number;
  readonly updates: number;
  readonly seconds: number;
  /** Of a case that failed. */
  readonly folder?: string;
}

export interface SuiteResult {
  readonly results: readonly CaseResult[];
  /** Kinds that did not run, with the reason. */
  readonly missing: ReadonlyMap<string, string>;
}

/** Seeds of cases that follow each other: the first is that of the run, so that one case can be repeated alone. */
const SEED_STEP = 7_919;

/** Runs cases, the kinds in turn. A kind that this machine or user cannot run is named, never counted. */
export async function runSuite(options: RunOptions): Promise<SuiteResult> {
  const { folder, seed } = options;
  const missing = new Map<string, string>();
  for (const { name, missing: why } of options.kinds) {
    const reason = why?.();
    if (reason !== undefined) missing.set(name, reason);
  }
  const kinds = options.kinds.filter(({ name }) => !missing.has(name));
  await mkdir(folder, { recursive: true });
  const template = await Template.make(join(folder, 'template'));
  const schedules = new Map<string, readonly string[]>();
  const results: CaseResult[] = [];
  try {
    for (let index = 0; index < options.cases && kinds.length > 0; index += 1) {
      if (Date.now() >= (options.endMs ?? Infinity)) break;
      const kind = kinds[index % kinds.length];
      if (kind === undefined) break;
      const turn = Math.floor(index / kinds.length);
      const variants = schedules.get(kind.name) ?? (await scheduleOf(kind, template, options));
      schedules.set(kind.name, variants);
      const job = options.job ?? ((turn + (index % kinds.length)) % 2 === 0 ? 'plain' : 'secure');
      const variant = options.variant ?? variants[turn % variants.length] ?? '';
      const result = await runCase(kind, { template, folder, seed: seed + index * SEED_STEP, job, variant });
      results.push(result);
      options.report?.(result);
    }
  } finally {
    for (const kind of kinds) if (schedules.has(kind.name)) await kind.clear?.();
  }
  return { results, missing };
}

/** Prepares a kind, and puts its variants into an order that follows from the seed. */
async function scheduleOf(
  kind: FaultKind,
  template: Template,
  { folder, seed }: RunOptions,
): Promise<readonly string[]> {
  const random = new SeededRandom(seed);
  const own = join(folder, kind.name);
  await mkdir(own, { recursive: true });
  await kind.prepare?.({ template, folder: own, random });
  const left = [...kind.variants()];
  return Array.from({ length: left.length }, () => left.splice(random.below(left.length), 1)[0] ?? '');
}

interface CaseOptions {
  readonly template: Template;
  readonly folder: string;
  readonly seed: number;
  readonly job: JobType;
  readonly variant: string;
}

async function runCase(
  kind: FaultKind,
  { template, folder, seed, job, variant }: CaseOptions,
): Promise<CaseResult> {
  const own = join(folder, `${kind.name}-${String(seed)}-${variant.replaceAll(/[^a-z0-9]+/gi, '-')}`);
  await rm(own, { recursive: true, force: true });
  const began = Date.now();
  let world: World | undefined;
  let type = job;
  let outcome: Pick<CaseResult, 'breaches' | 'recoverySeconds' | 'updates'>;
  try {
    await kind.run({
      random: new SeededRandom(seed),
      job,
      variant,
      open: async (options = {}) => {
        type = options.job ?? job;
        world = await World.open({ template, folder: own, job, ...options });
        return world;
      },
    });
    if (world === undefined) throw new Error('the case opened no world');
    const facts = await collect(world);
    const startsMs = world.restartsMs;
    outcome = {
      breaches: judge(facts),
      recoverySeconds: recoverySeconds(facts, startsMs),
      updates: acceptedUpdates(facts),
    };
  } catch (error) {
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    outcome = { breaches: [{ kind: 'unfinished', detail }], recoverySeconds: 0, updates: 0 };
  } finally {
    await world?.stop();
  }
  const seconds = (Date.now() - began) / 1_000;
  const failed = outcome.breaches.length > 0;
  if (!failed) await rm(own, { recursive: true, force: true });
  return { kind: kind.name, variant, job: type, seed, ...outcome, seconds, ...(failed && { folder: own }) };
}
