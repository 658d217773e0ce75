import {
  hashIntegers,
  seededRandom,
  shuffle,
} from '@tributary/edge-agent/internal/domain/datasets/seeded-random.js';

import {
  distance,
  gradientOfDelta,
  invertFirstLayer,
  invertLabel,
  relativeError,
} from './attack-inversion.js';
import { MaskedRound } from './attack-masking.js';
import { MembershipAttack, type Preparation } from './attack-membership.js';
import { inputsOf, type AttackedJob, type Records } from './attack-records.js';
import { AttackedSite, type SentUpdate } from './attack-site.js';
import type { LineUp } from './attack-statistics.js';
import { meanOf } from './attack-tracing.js';

/** What the attacker has of a round. */
export interface Scenario {
  /** One update as it is, in ring words without masks, in masked words alone, or the unmasked sum of all sites. */
  readonly target: 'plain' | 'words' | 'masked' | 'sum';
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
/** Ordinary sites: every trial draws its own among them. */
const POOL = 60;
export const SITE_RECORDS = 100;
/** Records of a line-up beside the member. */
export const OTHERS = 99;

/** One model under attack: who has which records, what the sites send, and what the attacker can compute. */
export class AttackWorld {
  readonly #job: AttackedJob;
  readonly #records: Records;
  readonly #site: AttackedSite;
  /** Against updates of one record, and of ordinary sites. */
  readonly #membership: { readonly single: MembershipAttack; readonly ordinary: MembershipAttack };
  /** Records that may take part or not. */
  readonly #population: Uint32Array;
  readonly #sent = new Map<string, SentUpdate>();

  /** Needs a backend that has started. */
  constructor(job: AttackedJob, records: Records) {
    this.#job = job;
    this.#records = records;
    this.#site = new AttackedSite(job, records);
    const order = Uint32Array.from({ length: records.count }, (_, record) => record);
    shuffle(order, seededRandom(1));
    const known = [...order.subarray(0, KNOWN)];
    this.#membership = {
      single: new MembershipAttack(job, records, { known, weights: job.base }),
      ordinary: new MembershipAttack(job, records, this.#imitate(known)),
    };
    this.#population = order.subarray(KNOWN);
  }

  /** Trial number `number` of a scenario; the same number gives the same trial. */
  run(scenario: Scenario, number: number): Trial {
    const random = seededRandom(2, scenario.sites, scenario.records, number);
    const sites = this.#drawSites(scenario, random);
    const gradient = this.#observe(
      scenario,
      sites.map((members) => this.#updateOf(members)),
      number,
    );
    const member = pick(sites[0] ?? [], random);
    const others = this.#drawOthers(new Set(sites.flat()), random);

    const found = invertFirstLayer(gradient, this.#job.layout);
    const closeness = (record: number): number => -distance(found, inputsOf(this.#records, record));
    const traced = this.#membership[scenario.records === 1 ? 'single' : 'ordinary'].scorer(gradient);
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
  #observe(
    { target, sites, records }: Scenario,
    updates: readonly SentUpdate[],
    number: number,
  ): Float64Array {
    const { layout, spec } = this.#job;
    const [first] = updates;
    if (first === undefined) throw new RangeError('a round without sites');
    const seed = hashIntegers(layout.length, sites, records, number);
    const round = new MaskedRound(layout.length, sites, spec.update.clipNorm, seed);
    const gradient = (sum: Float64Array, weight: number): Float64Array =>
      this.#gradient(sum, weight, first.steps);
    switch (target) {
      case 'plain':
        return gradient(Float64Array.from(first.vector.subarray(0, layout.length)), first.weight);
      case 'words':
      case 'masked':
        return gradient(round.first(updates, target === 'masked'), first.weight);
      case 'sum': {
        const sum = round.sum(updates, false);
        const deltas = readDeltas(sum, layout.length);
        // Masks cancel bit for bit; the first trial of each size goes through all of them.
        if (number === 0) {
          const again = new MaskedRound(layout.length, sites, spec.update.clipNorm, seed);
          requireEqual(deltas, readDeltas(again.sum(updates, true), layout.length));
        }
        return gradient(deltas, sum.tail[0] ?? Number.NaN);
      }
    }
  }

  /** Mean gradient behind a weighted sum of deltas. */
  #gradient(sum: Float64Array, weight: number, steps: number): Float64Array {
    const { layout, base, spec } = this.#job;
    const { optimizer, l2 } = spec.training;
    const known = { layout, base, rate: optimizer.learningRate, l2, steps };
    return gradientOfDelta(
      sum.map((value) => value / weight),
      known,
    );
  }

  /** Sites of the attacker's own records show where the training of any site goes. */
  #imitate(known: readonly number[]): Preparation {
    const { layout, base } = this.#job;
    const sites = Array.from({ length: known.length / SITE_RECORDS }, (_, site) =>
      this.#site.updateOf(known.slice(site * SITE_RECORDS, (site + 1) * SITE_RECORDS)),
    );
    const delta = meanOf(
      sites.map(({ vector, weight }) => vector.subarray(0, layout.length).map((value) => value / weight)),
      layout.length,
    );
    const weights = base.map((value, at) => value + (delta[at] ?? 0) / 2);
    return { known, weights, centre: this.#gradient(delta, 1, sites[0]?.steps ?? 0) };
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

  /** Trained once; the trials of several scenarios share their sites. */
  #updateOf(members: readonly number[]): SentUpdate {
    const key = `${String(members.length)} from ${String(members[0])}`;
    const update = this.#sent.get(key) ?? this.#site.updateOf(members);
    this.#sent.set(key, update);
    return update;
  }
}

function readDeltas(
  sum: { readSums(offset: number, into: Float64Array): void },
  length: number,
): Float64Array {
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
