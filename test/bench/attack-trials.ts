import { seededRandom, shuffle } from '@tributary/edge-agent/internal/domain/datasets/seeded-random.js';

import { referenceGradient } from '../support/dense-reference.js';
import {
  distance,
  gradientOfDelta,
  invertFirstLayer,
  invertLabel,
  relativeError,
} from './attack-inversion.js';
import { MaskedRound } from './attack-masking.js';
import { inputsOf, type AttackedJob, type Records } from './attack-records.js';
import { AttackedSite, type SentUpdate } from './attack-site.js';
import type { LineUp } from './attack-statistics.js';
import { alignment, TracingAttack } from './attack-tracing.js';

/** What the attacker has of a round. */
export interface Scenario {
  /** One update as it is, one masked update alone, or the unmasked sum of all sites. */
  readonly target: 'plain' | 'masked' | 'sum';
  readonly sites: number;
  /** Of each site. */
  readonly records: number;
  readonly trials: number;
}

/** What came of both attacks in one trial. */
export interface Trial {
  readonly inversion: LineUp;
  readonly membership: LineUp;
  /** Relative error of the reconstructed inputs. */
  readonly error: number;
  readonly label: { readonly found: 0 | 1; readonly truth: number };
}

/** Records of the attacker's own, which take part in nothing. */
const KNOWN = 1_500;
/** Ordinary sites: each trains once, and every trial draws its sites among them. */
const POOL = 60;
export const SITE_RECORDS = 100;
/** Records of a line-up beside the member. */
export const OTHERS = 99;

/** One model under attack: who has which records, what the sites send, and what the attacker can compute. */
export class AttackWorld {
  readonly #job: AttackedJob;
  readonly #records: Records;
  readonly #site: AttackedSite;
  readonly #tracing: TracingAttack;
  /** Records that may take part or not. */
  readonly #population: Uint32Array;
  readonly #pool = new Map<number, SentUpdate>();
  readonly #whitened = new Map<number, Float64Array>();

  /** Needs a backend that has started. */
  constructor(job: AttackedJob, records: Records) {
    this.#job = job;
    this.#records = records;
    this.#site = new AttackedSite(job, records);
    const order = Uint32Array.from({ length: records.count }, (_, record) => record);
    shuffle(order, seededRandom(1));
    this.#tracing = new TracingAttack([...order.subarray(0, KNOWN)].map((record) => this.#gradientOf(record)));
    this.#population = order.subarray(KNOWN);
  }

  /** Trial number `number` of a scenario; the same number gives the same trial. */
  run(scenario: Scenario, number: number): Trial {
    const random = seededRandom(2, scenario.sites, scenario.records, number);
    const sites = this.#drawSites(scenario, random);
    const gradient = this.#observe(scenario, sites.map((members) => this.#updateOf(members)), number);
    const member = pick(sites[0] ?? [], random);
    const others = this.#drawOthers(new Set(sites.flat()), random);

    const found = invertFirstLayer(gradient, this.#job.layout);
    const closeness = (record: number): number => -distance(found, inputsOf(this.#records, record));
    const update = this.#tracing.whiten(gradient);
    const traced = (record: number): number => alignment(update, this.#candidate(record));
    return {
      inversion: { member: closeness(member), others: others.map(closeness) },
      membership: { member: traced(member), others: others.map(traced) },
      error: relativeError(found, inputsOf(this.#records, member)),
      label: { found: invertLabel(gradient), truth: this.#records.labels[member] ?? Number.NaN },
    };
  }

  dispose(): void {
    this.#site.dispose();
  }

  /** The mean gradient as far as the attacker can tell: rate, steps, penalty and weights are known to it. */
  #observe({ target, sites }: Scenario, updates: readonly SentUpdate[], number: number): Float64Array {
    const { layout, spec, base } = this.#job;
    const [first] = updates;
    if (first === undefined) throw new RangeError('a round without sites');
    const round = new MaskedRound(layout.length, sites, spec.update.clipNorm, number);
    const known = {
      layout,
      base,
      rate: spec.training.optimizer.learningRate,
      l2: spec.training.l2,
      steps: first.steps,
    };
    const meanOf = (sum: Float64Array, weight: number): Float64Array =>
      gradientOfDelta(
        sum.map((value) => value / weight),
        known,
      );
    switch (target) {
      case 'plain':
        return meanOf(Float64Array.from(first.vector.subarray(0, layout.length)), first.weight);
      case 'masked':
        return meanOf(round.firstMasked(updates), first.weight);
      case 'sum': {
        const sum = round.sum(updates, false);
        const deltas = readDeltas(sum, layout.length);
        // Masks cancel bit for bit; the first trial of each size goes through all of them.
        if (number === 0) {
          const again = new MaskedRound(layout.length, sites, spec.update.clipNorm, number);
          requireEqual(deltas, readDeltas(again.sum(updates, true), layout.length));
        }
        return meanOf(deltas, sum.tail[0] ?? Number.NaN);
      }
    }
  }

  /** The records of each site of a round. */
  #drawSites({ sites, records }: Scenario, random: () => number): readonly (readonly number[])[] {
    const places = records === 1 ? this.#population.length : POOL;
    return drawDistinct(sites, places, random).map((place) => [
      ...this.#population.subarray(place * records, (place + 1) * records),
    ]);
  }

  #drawOthers(members: ReadonlySet<number>, random: () => number): readonly number[] {
    const others = new Set<number>();
    while (others.size < OTHERS) {
      const record = pick(this.#population, random);
      if (!members.has(record)) others.add(record);
    }
    return [...others];
  }

  #updateOf(members: readonly number[]): SentUpdate {
    const [first = 0] = members;
    if (members.length === 1) return this.#site.updateOf(members);
    const known = this.#pool.get(first) ?? this.#site.updateOf(members);
    this.#pool.set(first, known);
    return known;
  }

  #candidate(record: number): Float64Array {
    const known = this.#whitened.get(record) ?? this.#tracing.whiten(this.#gradientOf(record));
    this.#whitened.set(record, known);
    return known;
  }

  /** Gradient of the loss of one record at the base model. */
  #gradientOf(record: number): Float64Array {
    const { spec, layout, base } = this.#job;
    const plain = { ...spec, training: { ...spec.training, l2: 0 } };
    const row = [...inputsOf(this.#records, record)];
    return referenceGradient(plain, layout, base, [row], [this.#records.labels[record] ?? 0]).gradient;
  }
}

function readDeltas(sum: { readSums(offset: number, into: Float64Array): void }, length: number): Float64Array {
  const deltas = new Float64Array(length);
  sum.readSums(0, deltas);
  return deltas;
}

function requireEqual(one: Float64Array, other: Float64Array): void {
  if (one.some((value, at) => value !== other[at])) throw new Error('the masks of a round do not cancel');
}

/** `count` distinct numbers below `end`, in random order (a partial Fisher-Yates over the places touched). */
function drawDistinct(count: number, end: number, random: () => number): readonly number[] {
  const moved = new Map<number, number>();
  return Array.from({ length: count }, (_, place) => {
    const other = place + Math.floor(random() * (end - place));
    const drawn = moved.get(other) ?? other;
    moved.set(other, moved.get(place) ?? place);
    return drawn;
  });
}

function pick(values: ArrayLike<number>, random: () => number): number {
  return values[Math.floor(random() * values.length)] ?? Number.NaN;
}
