import { createHash } from 'node:crypto';

import type { LedgerEntry } from '@tributary/proto';

import { entriesOf } from '../../support/ledger-audit.js';
import { attemptOf, breach, type Breach, type Contribution, type Facts } from './facts.js';

/** Losses and metrics travel in the vector too: its elements are scaled for at least this magnitude. */
const VALUE_BOUND = 64;
const VALUE_BITS = 50;
/** Words of secure rounds are rounded; a round of a few sites stays far below this. */
const ROUNDING = 1e-6;

type Committed = Extract<LedgerEntry, { readonly type: 'round.committed' }>;

/** A model as the judge has it: exactly, or within the rounding of so many secure rounds. */
interface Model {
  readonly weights: Float32Array;
  readonly exact: boolean;
}

/** Every model is the one that the accepted set makes: bit for bit in the clear, within the rounding under masks. */
export function judgeModels(facts: Facts): readonly Breach[] {
  return facts.jobs.flatMap((job) => {
    const started =
      entriesOf(facts.entries, 'job.started').find(({ body }) => body.jobId === job)?.body.modelDigest ?? '';
    const first = facts.models.get(started);
    if (first === undefined) return [breach('model', `the first model of ${job} is not known`)];
    const rounds = entriesOf(facts.entries, 'round.committed').filter(({ body }) => body.jobId === job);
    return judgeChain(facts, rounds, { weights: first, exact: true });
  });
}

function judgeChain(facts: Facts, rounds: readonly Committed[], first: Model): readonly Breach[] {
  let model = first;
  const breaches: Breach[] = [];
  for (const round of rounds) {
    const made = roundModel(facts, round, model);
    if (typeof made === 'string') return [...breaches, breach('model', `${attemptOf(round.body)}: ${made}`)];
    model = made;
  }
  // Under masks a model that is no longer kept is compared with nothing: the last one has to be.
  return model.exact ? breaches : [...breaches, breach('model', 'the last model is not kept')];
}

/** The model after a round, or what is wrong with the one that was committed. */
function roundModel(facts: Facts, { body }: Committed, base: Model): Model | string {
  const opened = entriesOf(facts.entries, 'round.opened').find(
    (entry) => attemptOf(entry.body) === attemptOf(body),
  );
  if (opened?.body.kind === 'Evaluation')
    return opened.body.baseDigest === body.modelDigest ? base : 'an evaluation changed the model';
  const parts = partsOf(facts, body.folded);
  if (typeof parts === 'string') return parts;
  const weights = meanModel(base.weights, parts);
  const masked = parts.some(({ contribution }) => contribution.encoding === 'ring');
  if (masked || !base.exact) return withinRounding(weights, facts.models.get(body.modelDigest), body.round);
  return digestOf(weights) === body.modelDigest
    ? { weights, exact: true }
    : 'the accepted set makes another model';
}

/** What the updates of a sum were made of, or which of them nobody made. */
function partsOf({ contributions, deltas }: Facts, folded: readonly string[]): readonly Part[] | string {
  const parts: Part[] = [];
  for (const uploadId of folded) {
    const contribution = contributions.find((one) => one.uploadId === uploadId);
    const delta = contribution && deltas.get(contribution.delta);
    if (contribution === undefined || delta === undefined) return `nobody made ${uploadId}`;
    parts.push({ contribution, delta });
  }
  return parts;
}

/** The model that is `held`, where it is still kept and close to the one that the accepted set makes. */
function withinRounding(
  weights: Float32Array,
  held: Float32Array | undefined,
  round: number,
): Model | string {
  if (held === undefined) return { weights, exact: false };
  const worst = weights.reduce(
    (most, value, index) => Math.max(most, Math.abs(value - (held[index] ?? NaN))),
    0,
  );
  return worst < ROUNDING * (round + 1) && held.length === weights.length
    ? { weights: held, exact: true }
    : `the model is ${String(worst)} away from that of the accepted set`;
}

interface Part {
  readonly contribution: Contribution;
  readonly delta: Float32Array;
}

/** base + sum(w d) / sum(w), each summand rounded to the integers of the protocol before it is added. */
export function meanModel(base: Float32Array, parts: readonly Part[]): Float32Array {
  const vectors = parts.map(({ contribution, delta }) => {
    const { trainExamples, weightCap, norm, clipNorm } = contribution;
    const weight = Math.min(trainExamples, weightCap) / weightCap;
    const factor = weight * (norm > clipNorm ? clipNorm / norm : 1);
    return [...delta.map((value) => (factor === 1 ? value : value * factor)), Math.fround(weight)];
  });
  const scale =
    2 **
    (VALUE_BITS -
      Math.ceil(Math.log2(Math.max(VALUE_BOUND, ...parts.map((one) => one.contribution.clipNorm)))));
  const sum = (index: number): number =>
    Number(vectors.reduce((total, vector) => total + BigInt(rint((vector[index] ?? NaN) * scale)), 0n)) /
    scale;
  const weight = sum(base.length);
  return base.map((value, index) => value + sum(index) / weight);
}

/** To the nearest integer, halves to the even one (IEEE 754). */
function rint(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest === 0.5) return floor % 2 === 0 ? floor : floor + 1;
  return rest < 0.5 ? floor : floor + 1;
}

export function digestOf(weights: Float32Array): string {
  const bytes = Buffer.from(weights.buffer, weights.byteOffset, weights.byteLength);
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** A site that trained a round again, on the same model, came to the same bits. */
export function judgeTrainings({
  contributions,
  deltas,
}: Pick<Facts, 'contributions' | 'deltas'>): readonly Breach[] {
  const first = new Map<string, string>();
  return contributions.flatMap(({ agentId, jobId, round, baseDigest, delta }) => {
    const held = deltas.get(delta);
    if (held === undefined) return [];
    const name = `${agentId} ${jobId} round ${String(round)} on ${baseDigest}`;
    const digest = digestOf(held);
    const before = first.get(name) ?? digest;
    first.set(name, before);
    return before === digest ? [] : [breach('model', `${name} was trained twice, with other bits`)];
  });
}
