import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { SeededRandom } from '../support/seeded-random.js';
import { collect, signsOf } from './collect.js';
import { acceptedUpdates, judge } from './judge/contract.js';
import { judgeEvidence, type Evidence } from './judge/evidence.js';
import type { Breach } from './judge/facts.js';
import { recoveries } from './judge/recovery.js';
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
  /** Each variant of the kinds once, however many cases that makes. */
  readonly sweep?: boolean;
  /** Variants for what happens again and again each time, rather than once. */
  readonly every?: boolean;
  /** No case begins after it; milliseconds since the epoch. */
  readonly endMs?: number;
  /** Ends the case that runs, and the run. */
  readonly signal?: AbortSignal;
  readonly report?: (result: CaseResult) => void;
}

export interface CaseResult {
  readonly kind: string;
  readonly variant: string;
  readonly job: JobType;
  readonly seed: number;
  /** None: the contract held. */
  readonly breaches: readonly Breach[];
  /** What shows that the fault happened. */
  readonly evidence: readonly Evidence[];
  /** Seconds from each exec after a fault until the process was back. */
  readonly recoverySeconds: readonly number[];
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
  const missing = missingOf(options.kinds);
  const kinds = options.kinds.filter(({ name }) => !missing.has(name));
  await mkdir(options.folder, { recursive: true });
  const template = await Template.make(join(options.folder, 'template'));
  const schedules = new Map<FaultKind, readonly string[]>();
  const prepared = new Set<FaultKind>();
  const results: CaseResult[] = [];
  const aborted = abortOf(options.signal);
  let current: World | undefined;
  try {
    for (const [index, kind] of turnsOf(kinds, options)) {
      prepared.add(kind);
      const variants = schedules.get(kind) ?? (await scheduleOf(kind, template, { ...options, kinds }));
      schedules.set(kind, variants);
      requireVariant(kind, variants, options.variant);
      if (options.sweep === true && Math.floor(index / kinds.length) >= variants.length) break;
      const opened = (world: World): World => (current = world);
      const running = runCase(kind, { template, opened, ...caseOf(index, variants, { ...options, kinds }) });
      const result = await Promise.race([running, aborted]);
      if (result === undefined) break;
      results.push(result);
      options.report?.(result);
    }
  } finally {
    await current?.stop();
    for (const kind of prepared) await kind.clear?.();
  }
  return { results, missing };
}

/** A variant that a kind does not have would break nothing, and pass. */
function requireVariant({ name }: FaultKind, variants: readonly string[], variant: string | undefined): void {
  if (variant !== undefined && !variants.includes(variant))
    throw new Error(`${name} has no variant ${variant}: ${variants.slice(0, 20).join(', ')}`);
}

function missingOf(kinds: readonly FaultKind[]): ReadonlyMap<string, string> {
  const reasons = kinds.map(({ name, missing }) => [name, missing?.()] as const);
  return new Map(
    reasons.flatMap(([name, reason]) => (reason === undefined ? [] : [[name, reason] as const])),
  );
}

function abortOf(signal: AbortSignal | undefined): Promise<undefined> {
  return new Promise((resolve) => {
    signal?.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}

/** Numbers of cases with their kinds, for as long as there are cases and time. */
function* turnsOf(
  kinds: readonly FaultKind[],
  { cases, sweep = false, endMs = Infinity }: RunOptions,
): Generator<readonly [number, FaultKind]> {
  for (let index = 0; (sweep || index < cases) && Date.now() < endMs; index += 1) {
    const kind = kinds[index % kinds.length];
    if (kind === undefined) return;
    yield [index, kind];
  }
}

/** Plain and secure jobs alternate, from case to case and for each kind; the next time round each variant has the other. */
function caseOf(
  index: number,
  variants: readonly string[],
  { kinds, seed, folder, variant, job }: RunOptions,
): Omit<CaseOptions, 'template' | 'opened'> {
  const turn = Math.floor(index / kinds.length);
  const [round, place] = [Math.floor(turn / variants.length), turn % variants.length];
  return {
    folder,
    seed: seed + index * SEED_STEP,
    job: job ?? ((round + place + (index % kinds.length)) % 2 === 0 ? 'plain' : 'secure'),
    variant: variant ?? variants[place] ?? '',
  };
}

/** Prepares a kind, and puts its variants into an order that follows from the seed. */
async function scheduleOf(
  kind: FaultKind,
  template: Template,
  { folder, seed, kinds, cases, sweep = false, variant, every = false }: RunOptions,
): Promise<readonly string[]> {
  const random = new SeededRandom(seed);
  const own = join(folder, kind.name);
  await mkdir(own, { recursive: true });
  const most = sweep ? Infinity : Math.ceil(cases / kinds.length);
  await kind.prepare?.({ template, folder: own, random, cases: most, variant, every });
  const left = [...kind.variants()];
  return Array.from({ length: left.length }, () => left.splice(random.below(left.length), 1)[0] ?? '');
}

interface CaseOptions {
  readonly template: Template;
  readonly folder: string;
  readonly seed: number;
  readonly job: JobType;
  readonly variant: string;
  readonly opened: (world: World) => World;
}

async function runCase(
  kind: FaultKind,
  { template, folder, seed, job, variant, opened }: CaseOptions,
): Promise<CaseResult> {
  // Short: sockets lie below it, and their paths may have 107 bytes.
  const own = join(folder, `${kind.name}-${String(seed)}`);
  await rm(own, { recursive: true, force: true });
  const began = Date.now();
  let world: World | undefined;
  let type = job;
  let outcome: Pick<CaseResult, 'breaches' | 'evidence' | 'recoverySeconds' | 'updates'>;
  try {
    const evidence = await kind.run({
      random: new SeededRandom(seed),
      job,
      variant,
      open: async (options = {}) => {
        type = options.job ?? job;
        world = opened(await World.open({ template, folder: own, job, ...options }));
        return world;
      },
    });
    if (world === undefined) throw new Error('the case opened no world');
    const facts = await collect(world);
    outcome = {
      breaches: [...judgeEvidence(evidence), ...judge(facts)],
      evidence,
      recoverySeconds: recoveries(world.started, await signsOf(world)),
      updates: acceptedUpdates(facts),
    };
  } catch (error) {
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    outcome = {
      breaches: [{ kind: 'unfinished', detail }],
      evidence: [],
      recoverySeconds: [],
      updates: 0,
    };
  } finally {
    await world?.stop();
  }
  const seconds = (Date.now() - began) / 1_000;
  const failed = outcome.breaches.length > 0;
  if (!failed) await rm(own, { recursive: true, force: true });
  return { kind: kind.name, variant, job: type, seed, ...outcome, seconds, ...(failed && { folder: own }) };
}
