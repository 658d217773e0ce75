import assert from 'node:assert/strict';

import { MemoryDownloads } from '@tributary/edge-agent/internal/adapters/files/memory-downloads.js';
import { MemoryModels } from '@tributary/edge-agent/internal/adapters/models/memory-models.js';
import { MemoryStateStore } from '@tributary/edge-agent/internal/adapters/store/memory-state-store.js';
import { RolloutFollower } from '@tributary/edge-agent/internal/app/rollout-follower.js';
import type { DecisionNote } from '@tributary/edge-agent/internal/domain/decision.js';
import { claimsRollout, verifyRollout } from '@tributary/edge-agent/internal/domain/rollout-order.js';
import type { RawOrder } from '@tributary/edge-agent/internal/coordinator-messages.js';
import type { AgentMessage, BlobRequest, FleetClient } from '@tributary/edge-agent/internal/ports.js';
import type { ModelRef } from '@tributary/edge-agent/internal/serving-ports.js';
import {
  canonicalText,
  compileFeatures,
  digestOf,
  encodeBase64,
  encodeManifest,
  float32ToBytes,
  initialWeights,
  layoutDigest,
  layoutOf,
  parseFederatedJob,
  parseModelRollout,
  parseSitePolicy,
  signDocument,
  signingKeyFromSeed,
  signManifest,
  TributaryError,
  type Digest,
  type NewEntry,
  type SitePolicySpec,
} from '@tributary/proto';

import { jobDocument, policyDocument } from '../../support/job-document.js';
import { refusal } from '../../support/refusal.js';
import { ScriptedLog, scriptedId } from '../../support/scripted-log.js';
import { eventually } from '../../support/waiting.js';

const modelKey = signingKeyFromSeed(new Uint8Array(32).fill(7));

interface Version {
  readonly manifest: Uint8Array;
  readonly weights: Uint8Array;
  /** Sequence of its registration. */
  readonly seq: number;
}

/** A site that follows rollouts, and the coordinator's blobs, behind a channel that a test may cut. */
class Bench {
  readonly log = new ScriptedLog();
  readonly models = new MemoryModels();
  readonly blobs = new Map<Digest, Uint8Array>();
  readonly sent: AgentMessage[] = [];
  readonly notes: DecisionNote[] = [];
  readonly requests: BlobRequest[] = [];
  /** Bytes after which each of the next downloads is cut. */
  cuts: number[] = [];
  /** Every download is cut at once. */
  severed = false;
  asked = 0;
  policy: SitePolicySpec;
  follower: RolloutFollower;
  readonly #store = new MemoryStateStore();

  constructor() {
    const policy = policyDocument();
    this.policy = parseSitePolicy({
      ...policy,
      spec: {
        ...policy.spec,
        authors: [{ name: 'author', key: this.log.authorKey }],
        serving: { models: ['loans'] },
      },
    }).spec;
    this.follower = this.start();
  }

  /** The agent begins anew with what is durable. */
  start(): RolloutFollower {
    const quiet = (): void => undefined;
    return (this.follower = new RolloutFollower({
      membership: { prove: () => Promise.reject(new Error('no policy of these tests pins a root')) },
      models: this.models,
      serving: {
        swap: async ({ name, version }) => {
          const { current } = await this.models.pointers(name);
          const lastGood = current === undefined ? {} : { lastGood: current };
          await this.models.point(name, { current: version, ...lastGood });
          this.#answers = { name, version };
        },
        rollback: async (name) => {
          const { current, lastGood } = await this.models.pointers(name);
          await this.models.point(name, {
            ...(lastGood !== undefined && { current: lastGood }),
            ...(current !== undefined && { lastGood: current }),
          });
          return (this.#answers = { name, version: lastGood ?? 0 });
        },
        stop: async (name) => {
          await this.models.point(name, {});
          this.#answers = undefined;
        },
        served: () => (this.#answers === undefined ? [] : [this.#answers]),
      },
      modelKey: modelKey.publicKey,
      pinned: { logId: this.log.logId, logKey: this.log.key.publicKey },
      witness: { observe: () => Promise.resolve() },
      policy: {
        read: () => Promise.resolve({ spec: this.policy, digest: digestOf(policyBytes(this.policy)) }),
      },
      decisions: { note: (note) => Promise.resolve(void this.notes.push(note)) },
      store: this.#store,
      downloads: new MemoryDownloads(),
      send: (message) => this.sent.push(message),
      askAgain: () => (this.asked += 1),
      alarm: quiet,
      client: () => this.#client,
      clock: {
        now: () => 0,
        at: (_at, action) => {
          setImmediate(action);
          return quiet;
        },
      },
      random: { bytes: (length) => new Uint8Array(length) },
      log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    }));
  }

  #answers: ModelRef | undefined;

  get answers(): string {
    return this.#answers === undefined ? '' : `${this.#answers.name}@${String(this.#answers.version)}`;
  }

  register(version: number): Version {
    const { spec } = parseFederatedJob(jobDocument());
    const { shape } = compileFeatures(spec.features);
    const layout = layoutOf(spec.model.layers, shape);
    const weights = float32ToBytes(initialWeights(spec.model.layers, shape, version));
    const none = digestOf(new Uint8Array());
    const manifest = encodeManifest({
      ...{ name: 'loans', version, jobId: 'job-1', jobName: 'loans', rounds: 1, fit: {}, metrics: {} },
      ...{ weightsDigest: digestOf(weights), layoutDigest: layoutDigest(layout), layout },
      topology: { inputShape: [...shape], layers: [...spec.model.layers] },
      features: [...spec.features],
      outputs: ['Class', 'bad'],
      lineage: { baseDigest: none, rounds: [], sites: ['west'], documentDigest: none },
      createdAt: '2026-01-01T00:00:00.000Z',
    });
    for (const blob of [manifest, weights]) this.blobs.set(digestOf(blob), blob);
    const signature = encodeBase64(signManifest(digestOf(manifest), modelKey));
    const digests = { manifestDigest: digestOf(manifest), weightsDigest: digestOf(weights) };
    const seq = this.log.append({
      type: 'model.registered',
      actor: 'coordinator',
      subject: 'model/loans',
      body: { model: 'loans', version, jobId: 'job-1', ...digests, signature },
    });
    return { manifest, weights, seq };
  }

  /** Sequence of its `rollout.applied`. */
  apply(name: string, version: number, { manifest }: Version, alter: Alteration = (body) => body): number {
    const document = parseModelRollout({
      apiVersion: 'tributary.dev/v1alpha1',
      kind: 'ModelRollout',
      metadata: { name: 'loans' },
      spec: { model: 'loans', steps: [{ version }] },
    });
    return this.log.append({
      type: 'rollout.applied',
      actor: 'context/root',
      subject: 'model/loans',
      body: alter({
        rolloutId: scriptedId('rol', name),
        model: 'loans',
        version,
        manifestDigest: digestOf(manifest),
        document: canonicalText(document),
        authorKey: this.log.authorKey,
        signature: encodeBase64(signDocument(document, this.log.author)),
      }),
    });
  }

  undo(name: string, previous: number): number {
    const body = { rolloutId: scriptedId('rol', name), model: 'loans', previous };
    return this.log.append({ type: 'rollout.undone', actor: 'context/root', subject: 'model/loans', body });
  }

  /** Gives the order and waits for its answer. */
  async take(order: RawOrder): Promise<Extract<AgentMessage, { type: 'Acknowledge' }>> {
    const before = this.sent.length;
    this.follower.order(order);
    return eventually('an answer', () =>
      this.sent.slice(before).find((message) => message.type === 'Acknowledge'),
    );
  }

  readonly #client = {
    consistencyProof: () => Promise.resolve([]),
    fetchBlob: (request: BlobRequest) => this.#download(request),
  } as unknown as FleetClient;

  async *#download(request: BlobRequest): AsyncGenerator<Uint8Array, void, undefined> {
    await Promise.resolve();
    this.requests.push(request);
    const blob = this.blobs.get(request.digest) ?? new Uint8Array();
    const cut = this.severed ? 0 : this.cuts.shift();
    for (let at = request.offset; at < blob.length; at += 8) {
      if (cut !== undefined && at - request.offset >= cut)
        throw new TributaryError('UNAVAILABLE', 'the coordinator went away');
      yield blob.subarray(at, at + 8);
    }
  }
}

type Applied = Extract<NewEntry, { type: 'rollout.applied' }>['body'];
type Alteration = (body: Applied) => Applied;

const policyBytes = (spec: SitePolicySpec): Uint8Array =>
  new TextEncoder().encode(JSON.stringify(spec.serving ?? null));

describe('rollouts at a site', () => {
  let bench: Bench;
  let one: Version;
  let two: Version;

  beforeEach(() => {
    bench = new Bench();
    one = bench.register(1);
    two = bench.register(2);
  });

  it('are orders of their own, of which nothing unproven is believed', async () => {
    const applied = bench.apply('a', 1, one);
    const order = await bench.log.order('a', [one.seq, applied]);
    assert.ok(claimsRollout(order));
    const pinned = { logId: bench.log.logId, logKey: bench.log.key.publicKey };
    const verified = verifyRollout(pinned, order);
    assert.deepEqual([verified.seq, verified.model, verified.version], [applied, 'loans', 1]);
    const verify = async (...seqs: number[]) => verifyRollout(pinned, await bench.log.order('x', seqs));
    await assert.rejects(verify(applied), refusal('PROOF_INVALID', /one model.registered entry/));
    await assert.rejects(verify(two.seq, applied), refusal('PROOF_INVALID', /registered version/));
    const other = bench.apply('b', 1, one, (body) => ({
      ...body,
      version: 2,
      manifestDigest: digestOf(two.manifest),
    }));
    await assert.rejects(verify(two.seq, other), refusal('PROOF_INVALID', /another version/));
    const forged = bench.apply('c', 1, one, (body) => ({
      ...body,
      authorKey: encodeBase64(modelKey.publicKey),
    }));
    await assert.rejects(verify(one.seq, forged), refusal('SIGNATURE_INVALID'));
    const tampered = { ...order, entries: order.entries.map((entry) => ({ ...entry, path: [] })) };
    assert.throws(() => verifyRollout(pinned, tampered), refusal('PROOF_INVALID'));
  });

  it('go on with a download where it was cut, and switch once it is whole', async () => {
    bench.cuts = [64, 16, 0, 24];
    const answer = await bench.take(await bench.log.order('a', [one.seq, bench.apply('a', 1, one)]));
    assert.ok(answer.accepted, answer.detail);
    assert.equal(bench.answers, 'loans@1');
    const offsets = bench.requests.map(({ digest, offset }) => [digest === digestOf(one.weights), offset]);
    assert.deepEqual(offsets.slice(0, 4), [
      [false, 0],
      [false, 64],
      [false, 80],
      [false, 80],
    ]);
    assert.deepEqual(offsets.at(-1)?.[0], true);
    assert.deepEqual(bench.sent.at(-1), { type: 'Heartbeat', serving: [{ name: 'loans', version: 1 }] });
  });

  it('are refused where the policy does not list the model, the author, or is not there', async () => {
    const order = await bench.log.order('a', [one.seq, bench.apply('a', 1, one)]);
    const { serving: _, ...silent } = bench.policy;
    bench.policy = silent;
    assert.equal((await bench.take(order)).code, 'POLICY_REFUSED');
    // A repeat is answered alike, and not recorded again.
    assert.equal((await bench.take(order)).code, 'POLICY_REFUSED');
    assert.deepEqual(
      bench.notes.map((note) => note.type === 'Rollout' && [note.allowed, note.rule]),
      [[false, 'spec.serving.models']],
    );
    bench.policy = { ...silent, serving: { models: ['loans'] }, authors: [] };
    assert.equal((await bench.take(order)).code, 'AUTHOR_UNKNOWN');
    assert.equal(bench.answers, '');
    assert.equal(bench.requests.length, 0);
  });

  it('are refused where manifest or weights are not what was signed', async () => {
    bench.blobs.set(
      digestOf(one.weights),
      one.weights.map((byte) => byte ^ 1),
    );
    const first = await bench.take(await bench.log.order('a', [one.seq, bench.apply('a', 1, one)]));
    assert.equal(first.code, 'PROOF_INVALID');
    bench.blobs.set(digestOf(two.manifest), one.manifest);
    const second = await bench.take(await bench.log.order('b', [two.seq, bench.apply('b', 2, two)]));
    assert.equal(second.code, 'PROOF_INVALID');
    assert.equal(bench.answers, '');
    assert.deepEqual(await bench.models.list(), []);
  });

  it('stay rolled back by the site until a later entry, also after a restart', async () => {
    const orders: RawOrder[] = [];
    for (const [name, version, of] of [
      ['a', 1, one],
      ['b', 2, two],
    ] as const) {
      const order = await bench.log.order(name, [of.seq, bench.apply(name, version, of)]);
      orders.push(order);
      assert.ok((await bench.take(order)).accepted);
    }
    assert.deepEqual(await bench.follower.rollback('loans'), { name: 'loans', version: 1 });
    const note = bench.notes.at(-1);
    assert.ok(note?.type === 'RolledBack' && note.version === 1 && note.previous === 2);
    bench.start();
    for (const order of orders) assert.ok((await bench.take(order)).accepted);
    assert.equal(bench.answers, 'loans@1');
    const later = await bench.log.order('c', [two.seq, bench.apply('c', 2, two)]);
    assert.ok((await bench.take(later)).accepted);
    assert.equal(bench.answers, 'loans@2');
    await assert.rejects(bench.follower.rollback('other'), refusal('NOT_FOUND'));
  });

  it('go back to the rollout before when one is undone, and end with the first', async () => {
    const first = bench.apply('a', 1, one);
    const second = bench.apply('b', 2, two);
    await bench.take(await bench.log.order('b', [two.seq, second]));
    assert.equal(bench.answers, 'loans@2');
    const undone = bench.undo('b', 2);
    await bench.take(await bench.log.order('back', [one.seq, first, undone]));
    assert.equal(bench.answers, 'loans@1');
    const { serving: _, ...silent } = bench.policy;
    bench.policy = silent;
    await bench.take(await bench.log.order('end', [first, bench.undo('a', 1)]));
    assert.equal(bench.answers, '');
    // An order from before the end is not followed.
    bench.policy = { ...silent, serving: { models: ['loans'] } };
    await bench.take(await bench.log.order('late', [two.seq, second]));
    assert.equal(bench.answers, '');
  });

  it('give up a download for a newer rollout', async () => {
    bench.severed = true;
    const older = await bench.log.order('a', [one.seq, bench.apply('a', 1, one)]);
    bench.follower.order(older);
    await eventually('the first download', () => bench.requests.length > 2 || undefined);
    const newer = await bench.log.order('b', [two.seq, bench.apply('b', 2, two)]);
    bench.follower.order(newer);
    await eventually(
      'the second download',
      () => bench.requests.some(({ digest }) => digest === digestOf(two.manifest)) || undefined,
    );
    bench.severed = false;
    await eventually('the newer version', () => bench.answers === 'loans@2' || undefined);
    const answered = bench.sent.flatMap((message) =>
      message.type === 'Acknowledge' ? [message.orderId] : [],
    );
    assert.deepEqual(answered, [newer.orderId]);
  });
});
