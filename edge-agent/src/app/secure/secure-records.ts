import {
  digestOf,
  digestSchema,
  encodeBase64,
  TributaryError,
  type Digest,
  type RoundSecrets,
  type SecureStage,
  type SignedStage,
} from '@tributary/proto';
import { z } from 'zod';

import type { UnmaskedSum } from '../../domain/differencing.js';
import { roundRef, type RoundKey } from '../../domain/round-key.js';
import type { HeldRound } from '../../domain/secure-retention.js';
import type { StateStore } from '../../ports.js';
import type { StageMessage, StageRecord } from '../../stage-ports.js';
import { bytesField, encodeRecord, readRecord } from '../records.js';

const ROUNDS = 'secure/';
/** Outlives the rounds. */
const SUMS = 'secure-sums/';
/** The newest of each job. */
const DEALERS = 'secure-dealers/';
/** As long as the sums over the base. */
const CONVICTED = 'secure-convicted/';

const secretsSchema = z.strictObject({
  maskSecret: bytesField(32),
  sealSecret: bytesField(32),
  seed: bytesField(32),
  roundingSeed: bytesField(32),
  /** Absent in records of before. */
  begunAt: z.int().optional(),
});

const answerSchema = z.strictObject({
  /** Of what the coordinator showed before the answer was made. */
  request: digestSchema,
  payload: bytesField(),
  signature: bytesField(64),
  attachments: z.record(z.string(), bytesField()),
});

const recordSchema = z.strictObject({
  agentId: z.string(),
  payload: bytesField(),
  signature: bytesField(),
  attachment: bytesField(),
});

const sumSchema = z.strictObject({ sites: z.array(z.string()), colluders: z.int().nonnegative().default(0) });

const dealersSchema = z.strictObject({
  round: z.int(),
  attempt: z.int(),
  rosterDigest: digestSchema,
  threshold: z.int(),
  dealers: z.array(
    z.strictObject({
      agentId: z.string(),
      site: z.string(),
      identityKey: bytesField(32),
      maskKey: bytesField(32),
    }),
  ),
});

/** The dealers of the newest attempt of a job that the site helped to unmask. */
export type UnmaskedDealers = z.output<typeof dealersSchema>;

/** What an agent says in a stage. */
export type StageAnswer = Pick<StageMessage, 'payload' | 'signature' | 'attachments'>;

/**
 * What a site holds of its rounds of secure aggregation, sealed: secrets before their first use, and each answer, with the
 * request that it answers, before it leaves.
 */
export class SecureRecords {
  readonly #store: StateStore;

  constructor(store: StateStore) {
    this.#store = store;
  }

  /** Undefined where nothing of the round is held: the site takes no part in it. */
  async secrets(key: RoundKey): Promise<RoundSecrets | undefined> {
    return readRecord(this.#store, name(key, 'secrets'), secretsSchema);
  }

  /** `now` in milliseconds since the epoch. Durable when it resolves. */
  async begin(key: RoundKey, secrets: RoundSecrets, now: number): Promise<void> {
    const { maskSecret, sealSecret, seed, roundingSeed } = secrets;
    const fields = {
      maskSecret: encodeBase64(maskSecret),
      sealSecret: encodeBase64(sealSecret),
      seed: encodeBase64(seed),
      roundingSeed: encodeBase64(roundingSeed),
      begunAt: now,
    };
    await this.#store.put({ [name(key, 'secrets')]: encodeRecord(fields) });
  }

  /**
   * The site's one answer in a stage: the stored one where `request` is that of the first time, made and stored
   * otherwise. Rejects with SECAGG_STAGE_PASSED for another request.
   */
  async answer(
    key: RoundKey,
    stage: SecureStage,
    request: Uint8Array,
    make: () => Promise<StageAnswer>,
  ): Promise<StageAnswer> {
    const known = await this.answered(key, stage);
    const digest = digestOf(request);
    if (known !== undefined) {
      if (known.request === digest) return known;
      throw new TributaryError(
        'SECAGG_STAGE_PASSED',
        `the site has answered stage ${stage} of this round to another request`,
      );
    }
    const made = await make();
    await this.#store.put({
      [name(key, stage)]: encodeRecord({
        request: digest,
        payload: encodeBase64(made.payload),
        signature: encodeBase64(made.signature),
        attachments: Object.fromEntries([...made.attachments].map(([to, data]) => [to, encodeBase64(data)])),
      }),
    });
    return made;
  }

  /** What the site said in a stage. */
  async answered(
    key: RoundKey,
    stage: SecureStage,
  ): Promise<(StageAnswer & SignedStage & { readonly request: Digest }) | undefined> {
    const found = await readRecord(this.#store, name(key, stage), answerSchema);
    if (found === undefined) return undefined;
    const { attachments, ...rest } = found;
    return { ...rest, attachments: new Map(Object.entries(attachments)) };
  }

  /**
   * Keeps a set that the coordinator announced; the same again changes nothing. Rejects with SECAGG_STAGE_PASSED where
   * another one was announced before.
   */
  async keepSet(key: RoundKey, set: 'roster' | 'cohort' | 'survivors', bytes: Uint8Array): Promise<void> {
    const known = await this.set(key, set);
    if (known === undefined) return this.#store.put({ [name(key, set)]: bytes });
    if (Buffer.compare(known, bytes) === 0) return;
    throw new TributaryError(
      'SECAGG_STAGE_PASSED',
      `the coordinator announced another ${set} of this round before`,
    );
  }

  set(key: RoundKey, set: 'roster' | 'cohort' | 'survivors'): Promise<Uint8Array | undefined> {
    return this.#store.get(name(key, set));
  }

  /**
   * Keeps which delta the masks of the round are for. Rejects with SECAGG_STAGE_PASSED for another one: the difference of
   * two vectors under the same masks is in the clear.
   */
  async keepDelta(key: RoundKey, delta: string): Promise<void> {
    const bytes = new TextEncoder().encode(delta);
    const known = await this.#store.get(name(key, 'delta'));
    if (known === undefined) return this.#store.put({ [name(key, 'delta')]: bytes });
    if (Buffer.compare(known, bytes) === 0) return;
    throw new TributaryError(
      'SECAGG_STAGE_PASSED',
      'the site has masked another update of this round before',
    );
  }

  /** Keeps the shares that were delivered to the site, each under its dealer. */
  async keepDeliveries(key: RoundKey, records: readonly StageRecord[]): Promise<void> {
    const changes = records.map(({ agentId, payload, signature, attachment }) => [
      `${name(key, 'delivery')}/${agentId}`,
      encodeRecord({
        agentId,
        payload: encodeBase64(payload),
        signature: encodeBase64(signature),
        attachment: encodeBase64(attachment),
      }),
    ]);
    await this.#store.put(Object.fromEntries(changes) as Readonly<Record<string, Uint8Array>>);
  }

  async deliveries(key: RoundKey): Promise<readonly StageRecord[]> {
    const records: StageRecord[] = [];
    for await (const { key: at } of this.#store.list(`${name(key, 'delivery')}/`)) {
      const record = await readRecord(this.#store, at, recordSchema);
      if (record !== undefined) records.push(record);
    }
    return records;
  }

  /** The sets of sites whose sum over that base the site helped to unmask. */
  async sums(base: Digest): Promise<readonly UnmaskedSum[]> {
    const sums: UnmaskedSum[] = [];
    for await (const { key } of this.#store.list(`${SUMS}${base}/`)) {
      const record = await readRecord(this.#store, key, sumSchema);
      if (record !== undefined) sums.push(record);
    }
    return sums;
  }

  /** Keeps such a set for as long as the site is in the federation: what is unmasked stays so. Durable when it resolves. */
  async keepSum(base: Digest, { sites, colluders }: UnmaskedSum): Promise<void> {
    const record = encodeRecord({ sites: [...sites].sort(), colluders });
    await this.#store.put({ [`${SUMS}${base}/${digestOf(record)}`]: record });
  }

  /** The dealers of an attempt that the site helps to unmask; only those of the newest one of a job are kept. */
  async keepDealers(jobId: string, { dealers, ...attempt }: UnmaskedDealers): Promise<void> {
    const stored = dealers.map(({ identityKey, maskKey, ...who }) => ({
      ...who,
      identityKey: encodeBase64(identityKey),
      maskKey: encodeBase64(maskKey),
    }));
    await this.#store.put({ [DEALERS + jobId]: encodeRecord({ ...attempt, dealers: stored }) });
  }

  dealers(jobId: string): Promise<UnmaskedDealers | undefined> {
    return readRecord(this.#store, DEALERS + jobId, dealersSchema);
  }

  /** Keeps that a site provably cheated a round over that base: its part in a sum is no secret to protect. */
  async convict(base: Digest, site: string): Promise<void> {
    await this.#store.put({ [`${CONVICTED}${base}/${site}`]: encodeRecord({ site }) });
  }

  async convicted(base: Digest): Promise<ReadonlySet<string>> {
    const prefix = `${CONVICTED}${base}/`;
    const sites = new Set<string>();
    for await (const { key } of this.#store.list(prefix)) sites.add(key.slice(prefix.length));
    return sites;
  }

  /** Forgets a round, all at once. Idempotent. */
  async discard(key: RoundKey): Promise<void> {
    const gone: Record<string, undefined> = {};
    for await (const { key: at } of this.#store.list(`${ROUNDS}${key}/`)) gone[at] = undefined;
    await this.#store.put(gone);
  }

  /** Rounds of which something is held. */
  async rounds(): Promise<readonly HeldRound[]> {
    const keys = new Set<RoundKey>();
    for await (const { key } of this.#store.list(ROUNDS)) {
      const [jobId, round, attempt] = key.slice(ROUNDS.length).split('/');
      keys.add(`${jobId ?? ''}/${Number(round)}/${Number(attempt)}`);
    }
    const held: HeldRound[] = [];
    for (const key of keys) {
      const secrets = await readRecord(this.#store, name(key, 'secrets'), secretsSchema);
      held.push({ ...roundRef(key), begunAt: secrets?.begunAt });
    }
    return held;
  }
}

const name = (key: RoundKey, what: string): string => `${ROUNDS}${key}/${what}`;
