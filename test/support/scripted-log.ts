import {
  canonicalText,
  compileFeatures,
  digestOf,
  encodeBase64,
  encodeEntry,
  encodeHex,
  encodeWeights,
  ENTRY_VERSION,
  consistencyProof,
  decodeEntry,
  inclusionProof,
  initialWeights,
  layoutDigest,
  layoutOf,
  leafHash,
  logIdOf,
  merkleRoot,
  nodeHash,
  parseFederatedJob,
  roundKeyPair,
  sha256,
  signDocument,
  signingKeyFromSeed,
  signTreeHead,
  tailShapeOf,
  vectorLength,
  type Digest,
  type FederatedJobInput,
  type JsonObject,
  type Layout,
  type NewEntry,
  type SignedTreeHead,
} from '@tributary/proto';
import type { RawOrder } from '@tributary/edge-agent/internal/coordinator-messages.js';

import { jobDocument } from './job-document.js';

const named = (name: string): Uint8Array => sha256(new TextEncoder().encode(name));
export const scriptedId = (prefix: string, name: string): string =>
  `${prefix}-${encodeHex(named(name)).slice(0, 32)}`;

export interface ScriptedRound {
  readonly jobId: string;
  readonly round: number;
  readonly attempt: number;
  readonly base: Float32Array;
  readonly baseDigest: Digest;
  readonly layout: Layout;
  readonly roundSecret: Uint8Array;
  /** The entries that an order of this round proves. */
  readonly seqs: readonly number[];
}

export interface RoundOptions {
  readonly job?: string;
  readonly round?: number;
  readonly attempt?: number;
  readonly spec?: Partial<FederatedJobInput['spec']>;
  readonly cohort: readonly { readonly site: string; readonly agentId: string }[];
  readonly alter?: (
    body: Extract<NewEntry, { type: 'round.opened' }>['body'],
  ) => Extract<NewEntry, { type: 'round.opened' }>['body'];
}

/** A ledger in memory that proves whatever a test writes into it. */
export class ScriptedLog {
  readonly key = signingKeyFromSeed(named('log key'));
  readonly author = signingKeyFromSeed(named('author key'));
  readonly logId = logIdOf(this.key.publicKey);
  entries: Uint8Array[] = [];
  readonly #jobs = new Map<string, readonly number[]>();

  get authorKey(): string {
    return encodeBase64(this.author.publicKey);
  }

  append(entry: NewEntry): number {
    const seq = this.entries.length;
    this.entries.push(encodeEntry({ ...entry, v: ENTRY_VERSION, seq, time: '2026-01-01T00:00:00.000Z' }));
    return seq;
  }

  async head(size = this.entries.length): Promise<SignedTreeHead> {
    const rootHash = await merkleRoot(size, this.#node);
    return signTreeHead(this.key, {
      logId: this.logId,
      treeSize: size,
      rootHash,
      time: '2026-01-01T00:00:00.000Z',
    });
  }

  consistency(first: number, second: number): Promise<Uint8Array[]> {
    return consistencyProof(first, second, this.#node);
  }

  async order(name: string, seqs: readonly number[]): Promise<RawOrder> {
    const treeHead = await this.head();
    const entries = await Promise.all(
      seqs.map(async (seq) => ({
        seq,
        entry: this.#entry(seq),
        path: await inclusionProof(seq, treeHead.treeSize, this.#node),
      })),
    );
    return { orderId: scriptedId('ord', name), treeHead, entries, remainingMs: 60_000 };
  }

  /** Submits and starts the job where that has not happened, and opens a round of it. */
  openRound({
    job = 'loans',
    round = 1,
    attempt = 0,
    spec = {},
    cohort,
    alter = (body) => body,
  }: RoundOptions): ScriptedRound {
    const base = jobDocument();
    const document = parseFederatedJob({ ...base, metadata: { name: job }, spec: { ...base.spec, ...spec } });
    const jobId = scriptedId('job', job);
    const layout = layoutOf(document.spec.model.layers, compileFeatures(document.spec.features).shape);
    const weights = initialWeights(
      document.spec.model.layers,
      compileFeatures(document.spec.features).shape,
      round,
    );
    const baseDigest = digestOf(...encodeWeights(weights));
    const started = this.#jobs.get(jobId) ?? this.#start(job, jobId, document, layout, baseDigest);
    this.#jobs.set(jobId, started);
    const pair = roundKeyPair(named(`round ${jobId} ${String(round)} ${String(attempt)}`));
    const opened = this.append({
      type: 'round.opened',
      actor: 'coordinator',
      subject: `job/${jobId}`,
      body: alter({
        ...{
          jobId,
          round,
          attempt,
          mode: 'plain',
          stages: [{ name: 'collect', deadlineMs: 60_000, minimum: 1 }],
          cohort: [...cohort],
        },
        ...{ baseDigest, layoutDigest: layoutDigest(layout), roundKey: encodeBase64(pair.publicKey) },
        vectorLength: vectorLength({
          parameters: layout.length,
          ...tailShapeOf(
            document.spec.evaluation,
            cohort.map(({ site }) => site),
          ),
        }),
      }),
    });
    return {
      jobId,
      round,
      attempt,
      base: weights,
      baseDigest,
      layout,
      roundSecret: pair.secretKey,
      seqs: [...started, opened],
    };
  }

  #start(
    name: string,
    jobId: string,
    document: JsonObject,
    layout: Layout,
    modelDigest: Digest,
  ): readonly number[] {
    const subject = `job/${jobId}`;
    const signature = encodeBase64(signDocument(document, this.author));
    const submitted = {
      jobId,
      name,
      document: canonicalText(document),
      authorKey: this.authorKey,
      signature,
    };
    const started = { jobId, layoutDigest: layoutDigest(layout), modelDigest, parameters: layout.length };
    return [
      this.append({ type: 'job.submitted', actor: 'context/root', subject, body: submitted }),
      this.append({ type: 'job.started', actor: 'coordinator', subject, body: started }),
    ];
  }

  closeRound({ jobId, round, attempt, baseDigest }: ScriptedRound, how: 'committed' | 'failed'): number {
    const ref = { jobId, round, attempt };
    const place = { actor: 'coordinator', subject: `job/${jobId}` };
    if (how === 'failed')
      return this.append({
        type: 'round.failed',
        ...place,
        body: { ...ref, code: 'ROUND_UNDERSUBSCRIBED', detail: '' },
      });
    return this.append({
      type: 'round.committed',
      ...place,
      body: { ...ref, modelDigest: baseDigest, folded: [], reporting: [], dropped: [], metrics: {} },
    });
  }

  /** Another history of the same key, as a restored backup or a split view has it. */
  rewrite(from: number): void {
    this.entries = this.entries.map((entry, index) => (index < from ? entry : renamed(entry)));
  }

  #entry(seq: number): Uint8Array {
    const entry = this.entries[seq];
    if (entry === undefined) throw new Error(`no entry ${String(seq)}`);
    return entry;
  }

  /** Small enough to compute every node from the leaves. */
  readonly #node = (level: number, index: number): Uint8Array =>
    level === 0
      ? leafHash(this.#entry(index))
      : nodeHash(this.#node(level - 1, 2 * index), this.#node(level - 1, 2 * index + 1));
}

function renamed(entry: Uint8Array): Uint8Array {
  return encodeEntry({ ...decodeEntry(entry), actor: 'context/other' });
}
