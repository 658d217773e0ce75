import {
  digestSchema,
  encodeBase64,
  encodeWeights,
  formatId,
  groupsOf,
  roundVectors,
  TributaryError,
  vectorFigures,
  type TailShape,
  type UpdateNumbers,
} from '@tributary/proto';
import { z } from 'zod';

import { placeFigures } from '../domain/metrics/placement.js';
import type { OpenedRound } from '../domain/order.js';
import { deltaFile, envelopeFile } from '../domain/outbox.js';
import { roundKey, type RoundKey } from '../domain/round-key.js';
import type { HeldUpdate } from '../domain/session-state.js';
import type { OutboxFiles, Random, StateStore, TrainingResult } from '../ports.js';
import { bytesField, decodeRecord, encodeRecord, readRecord } from './records.js';

const ITEMS = 'outbox/';
/** Of secure rounds: builds that know of none must not take their updates for others. */
const RING_ITEMS = 'outbox-ring/';
/** Where updates are named in the store. */
export const OUTBOX_ITEMS = [ITEMS, RING_ITEMS] as const;
const SENT = 'sent/';

const uint = z.int().nonnegative();

const figures = z.array(z.number().nullable());
const group = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('All') }),
  z.strictObject({ type: z.literal('HeldOut'), site: z.string() }),
  z.strictObject({ type: z.literal('Subgroup'), column: z.string(), value: z.string() }),
  z.strictObject({ type: z.literal('Site'), site: z.string() }),
]);

const evaluationSchema = z.strictObject({
  intervals: z.boolean(),
  /** Of a round in which nobody trains. */
  trains: z.literal(false).optional(),
  /** Every group of the tail, All first, with the values of the metrics in their order; null where undefined. */
  groups: z.array(z.strictObject({ group, examples: uint, values: figures, variances: figures.optional() })),
});

/** Everything that submitting an update needs, whatever became of the process that trained it. */
const itemSchema = z.strictObject({
  agentId: z.string(),
  jobId: z.string(),
  round: uint,
  attempt: uint,
  stage: z.string(),
  /** Of secure rounds: words of the ring, masked. */
  encoding: z.literal('ring').optional(),
  baseDigest: digestSchema,
  layoutDigest: digestSchema,
  vectorLength: uint,
  roundKey: bytesField(32),
  clipNorm: z.number(),
  weightCap: z.number(),
  /** L2 norm of the delta. */
  norm: z.number(),
  trainExamples: uint,
  testExamples: uint,
  loss: z.number(),
  metricNames: z.array(z.string()),
  /** null where a metric is undefined. */
  metricValues: z.array(z.number().nullable()),
  /** Of jobs that report more than the means of all test rows: the other figures of the tail. */
  evaluation: evaluationSchema.optional(),
  /** Upload whose name the delta's file bears: the first one. */
  delta: z.string(),
  uploadId: z.string(),
  /** Salted digest of the rows trained on, where the trainer gave it. */
  dataVersion: z.string().optional(),
});

export type OutboxItem = z.output<typeof itemSchema>;

const sentSchema = z.strictObject({ rounds: z.array(z.string()) });

interface NamedItem {
  /** Key of its record. */
  readonly at: string;
  readonly item: OutboxItem;
}

/** Finished updates, sealed and durable, until the ledger settles them. */
export class Outbox {
  readonly #store: StateStore;
  readonly #files: OutboxFiles;
  readonly #random: Random;
  readonly #agentId: string;

  constructor(store: StateStore, files: OutboxFiles, random: Random, agentId: string) {
    this.#store = store;
    this.#files = files;
    this.#random = random;
    this.#agentId = agentId;
  }

  /** What an earlier process left; removes files that no item names and items of another identity. */
  async recover(): Promise<readonly HeldUpdate[]> {
    const held: HeldUpdate[] = [];
    const named = new Set<string>();
    for (const prefix of OUTBOX_ITEMS)
      for await (const { key, value } of this.#store.list(prefix)) {
        const item = decodeRecord(key, value, itemSchema);
        if (item.agentId !== this.#agentId || !(await this.#files.has(deltaFile(item.delta)))) {
          await this.#store.put({ [key]: undefined });
          continue;
        }
        const { jobId, round, attempt, baseDigest, uploadId } = item;
        held.push({ jobId, round, attempt, baseDigest, uploadId, secure: item.encoding === 'ring' });
        named.add(deltaFile(item.delta)).add(envelopeFile(uploadId));
      }
    for (const name of await this.#files.list()) if (!named.has(name)) await this.#files.remove(name);
    return held;
  }

  /** Seals a training result; durable when it resolves with the id of its upload. */
  async hold({ opened, job, layout }: OpenedRound, result: TrainingResult): Promise<string> {
    if (result.delta.length !== layout.length)
      throw new TributaryError(
        'TRAINING_FAILED',
        'the trainer returned a vector of another length than the model',
      );
    const norm = Math.sqrt(vectorFigures(result.delta).squares);
    if (!Number.isFinite(norm) || !Number.isFinite(result.loss))
      throw new TributaryError('TRAINING_DIVERGED', 'the trained weights or their loss are not finite');
    const uploadId = this.#newUploadId();
    await this.#files.writeSealed(deltaFile(uploadId), encodeWeights(result.delta));
    const sites = opened.cohort.map(({ site }) => site);
    const { tail, bounds } = roundVectors(job.spec, sites, opened.kind);
    const { metrics: metricNames, ...shape } = tail;
    const { jobId, round, attempt, baseDigest, layoutDigest, vectorLength } = opened;
    const secure = job.spec.privacy.secureAggregation;
    const fields = {
      agentId: this.#agentId,
      jobId,
      round,
      attempt,
      stage: secure ? 'mask' : (opened.stages[0]?.name ?? 'collect'),
      ...(secure && { encoding: 'ring' }),
      baseDigest,
      layoutDigest,
      vectorLength,
      roundKey: opened.roundKey,
      clipNorm: bounds.clipNorm,
      weightCap: bounds.weightCap,
      norm,
      trainExamples: result.examples,
      testExamples: result.testExamples,
      loss: result.loss,
      metricNames,
      metricValues: valuesOf(result.metrics, metricNames),
      ...(Object.keys(shape).length === 0
        ? {}
        : { evaluation: this.#evaluation({ metrics: metricNames, ...shape }, opened, result) }),
      delta: uploadId,
      uploadId,
      ...(result.dataVersion === undefined ? {} : { dataVersion: result.dataVersion }),
    };
    try {
      const at = (secure ? RING_ITEMS : ITEMS) + roundKey(opened);
      await this.#store.put({ [at]: encodeRecord(fields) });
    } catch (error) {
      // Without its item it is nobody's, and takes room.
      await this.#files.remove(deltaFile(uploadId)).catch(() => undefined);
      throw error;
    }
    return uploadId;
  }

  #evaluation(
    shape: TailShape,
    { cohort }: OpenedRound['opened'],
    { metrics, variances, testExamples, subgroups }: TrainingResult,
  ): z.input<typeof evaluationSchema> {
    const site = cohort.find(({ agentId }) => agentId === this.#agentId)?.site ?? '';
    const all = { examples: testExamples, metrics, ...(variances && { variances }) };
    const placed = placeFigures(shape, site, { all, ...(subgroups && { subgroups }) });
    const groups = groupsOf(shape).map((group, index) => {
      const numbers = placed[index] ?? { examples: 0, metrics: {} };
      return {
        group,
        examples: numbers.examples,
        values: valuesOf(numbers.metrics, shape.metrics),
        ...(numbers.variances && { variances: valuesOf(numbers.variances, shape.metrics) }),
      };
    });
    const trains = shape.trains === false ? { trains: shape.trains } : {};
    return { intervals: shape.intervals === true, ...trains, groups };
  }

  /** Rejects with NOT_FOUND. */
  async item(key: RoundKey): Promise<OutboxItem> {
    return (await this.#named(key)).item;
  }

  /** Gives the update another upload id: its next envelope has another content key. */
  async renew(key: RoundKey): Promise<void> {
    const { at, item } = await this.#named(key);
    const next = { ...item, roundKey: encodeBase64(item.roundKey), uploadId: this.#newUploadId() };
    await this.#store.put({ [at]: encodeRecord(next) });
    await this.#files.remove(envelopeFile(item.uploadId));
  }

  /** Forgets a settled update. Idempotent. */
  async discard(key: RoundKey): Promise<void> {
    const found = await this.#find(key);
    if (found === undefined) return;
    const { at, item } = found;
    await this.#store.put({ [at]: undefined });
    await this.#files.remove(envelopeFile(item.uploadId));
    await this.#files.remove(deltaFile(item.delta));
  }

  /** Durable before the first byte leaves: this base model has been answered in this round. */
  async markSent({ jobId, baseDigest, round, attempt }: OutboxItem): Promise<void> {
    const key = `${SENT}${jobId}/${baseDigest}`;
    const rounds = new Set((await readRecord(this.#store, key, sentSchema))?.rounds);
    const name = `${String(round)}/${String(attempt)}`;
    if (rounds.has(name)) return;
    await this.#store.put({ [key]: encodeRecord({ rounds: [...rounds, name] }) });
  }

  /** Updates on the round's base model that have left, besides the one that is still held for this very round. */
  async sentOnBase({ opened }: OpenedRound): Promise<number> {
    const { jobId, baseDigest, round, attempt } = opened;
    const rounds = (await readRecord(this.#store, `${SENT}${jobId}/${baseDigest}`, sentSchema))?.rounds ?? [];
    const held = (await this.#find(roundKey(opened))) !== undefined;
    return rounds.filter((name) => !held || name !== `${String(round)}/${String(attempt)}`).length;
  }

  /** Whether the round is trained already. */
  async holds({ opened }: OpenedRound): Promise<boolean> {
    return (await this.#find(roundKey(opened))) !== undefined;
  }

  async #find(key: RoundKey): Promise<NamedItem | undefined> {
    for (const prefix of OUTBOX_ITEMS) {
      const item = await readRecord(this.#store, prefix + key, itemSchema);
      if (item !== undefined) return { at: prefix + key, item };
    }
    return undefined;
  }

  async #named(key: RoundKey): Promise<NamedItem> {
    const found = await this.#find(key);
    if (found !== undefined) return found;
    throw new TributaryError('NOT_FOUND', `the outbox holds no update of ${key}`);
  }

  #newUploadId(): string {
    return formatId('upl', this.#random.bytes(16));
  }
}

/** What the tail of the vector is like. */
export function shapeOf({ metricNames: metrics, evaluation }: OutboxItem): TailShape {
  if (evaluation === undefined) return { metrics };
  const { intervals, trains, groups } = evaluation;
  const shape = { metrics, intervals, groups: groups.map(({ group }) => group) };
  return trains === undefined ? shape : { ...shape, trains };
}

/** What goes into the tail of the vector. */
export function numbersOf(item: OutboxItem): UpdateNumbers {
  const { trainExamples, testExamples, loss, metricNames } = item;
  const groups = item.evaluation?.groups ?? [{ examples: testExamples, values: item.metricValues }];
  return {
    trainExamples,
    loss,
    groups: groups.map(({ examples, values, ...rest }) => ({
      examples,
      metrics: namedValues(values, metricNames),
      ...('variances' in rest && rest.variances && { variances: namedValues(rest.variances, metricNames) }),
    })),
  };
}

const namedValues = (values: readonly (number | null)[], names: readonly string[]) =>
  Object.fromEntries(names.map((name, index) => [name, values[index] ?? Number.NaN]));

const valuesOf = (named: Readonly<Record<string, number>>, names: readonly string[]): (number | null)[] =>
  names.map((name) => finiteOrNull(named[name]));

const finiteOrNull = (value: number | undefined): number | null =>
  value !== undefined && Number.isFinite(value) ? value : null;
