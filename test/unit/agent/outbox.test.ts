import assert from 'node:assert/strict';

import { MemoryOutbox } from '@tributary/edge-agent/internal/adapters/files/memory-outbox.js';
import { MemoryStateStore } from '@tributary/edge-agent/internal/adapters/store/memory-state-store.js';
import { encodedVector } from '@tributary/edge-agent/internal/app/encoded-vector.js';
import { DeltaSource } from '@tributary/edge-agent/internal/app/delta-source.js';
import {
  firstUploadParts,
  openEnvelope,
  uploadParts,
  writeEnvelope,
} from '@tributary/edge-agent/internal/app/envelope-file.js';
import { numbersOf, Outbox } from '@tributary/edge-agent/internal/app/outbox.js';
import { verifyOrder, type OpenedRound } from '@tributary/edge-agent/internal/domain/order.js';
import { deltaFile, envelopeFile } from '@tributary/edge-agent/internal/domain/outbox.js';
import { roundKey } from '@tributary/edge-agent/internal/domain/round-key.js';
import type { TrainingResult, UploadPart } from '@tributary/edge-agent/internal/ports.js';
import {
  bytesToFloat32,
  drawEnvelopeSecrets,
  encodeUpdate,
  EnvelopeOpener,
  EnvelopeWriter,
  signingKeyFromSeed,
  type FederatedJobInput,
} from '@tributary/proto';

import { plainPart, writeOutboxFile } from '../../support/outbox-file.js';
import { refusal } from '../../support/refusal.js';
import { ScriptedLog, scriptedId, type ScriptedRound } from '../../support/scripted-log.js';

const agentId = scriptedId('agt', 'west');
const METRICS = { evaluation: { metrics: ['auc', 'accuracy'] } } satisfies Partial<FederatedJobInput['spec']>;

/** A proven round, as an order would bring it. */
async function opened(
  log: ScriptedLog,
  attempt = 0,
): Promise<{ readonly round: OpenedRound; readonly scripted: ScriptedRound }> {
  const scripted = log.openRound({ cohort: [{ site: 'west', agentId }], attempt, spec: METRICS });
  const reader = { agentId, site: 'west', logId: log.logId, logKey: log.key.publicKey };
  const round = verifyOrder(reader, await log.order('train', scripted.seqs));
  assert.ok(round.kind === 'Opened');
  return { round, scripted };
}

const resultOf = ({ layout }: OpenedRound, parts: Partial<TrainingResult> = {}): TrainingResult => ({
  delta: Float32Array.from({ length: layout.length }, (_, index) => index - 3),
  examples: 40,
  loss: 0.5,
  metrics: { auc: 0.75, accuracy: Number.NaN },
  testExamples: 10,
  ...parts,
});

describe('outbox', () => {
  let store: MemoryStateStore;
  let files: MemoryOutbox;
  let outbox: Outbox;
  let count = 0;
  const random = { bytes: (length: number): Uint8Array => new Uint8Array(length).fill((count += 1)) };

  beforeEach(() => {
    store = new MemoryStateStore();
    files = new MemoryOutbox();
    outbox = new Outbox(store, files, random, agentId);
  });

  it('gives to the next process what this one held', async () => {
    const { round } = await opened(new ScriptedLog());
    const uploadId = await outbox.hold(round, resultOf(round));
    const { jobId, baseDigest } = round.opened;
    assert.deepEqual(await new Outbox(store, files, random, agentId).recover(), [
      { jobId, round: 1, attempt: 0, baseDigest, uploadId, secure: false },
    ]);
    assert.deepEqual(await files.list(), [deltaFile(uploadId)]);
    const numbers = numbersOf(await outbox.item(roundKey(round.opened)));
    assert.deepEqual(numbers, {
      trainExamples: 40,
      loss: 0.5,
      groups: [{ examples: 10, metrics: { auc: 0.75, accuracy: Number.NaN } }],
    });
  });

  it('removes at start what no item names: a file without its record, and a record without its file', async () => {
    const { round } = await opened(new ScriptedLog());
    await files.writeSealed('upl-lost.delta', [new Uint8Array(3)]);
    const uploadId = await outbox.hold(round, resultOf(round));
    await files.remove(deltaFile(uploadId));
    assert.deepEqual(await outbox.recover(), []);
    assert.deepEqual(await files.list(), []);
    await assert.rejects(outbox.item(roundKey(round.opened)), refusal('NOT_FOUND'));
  });

  it('drops what an identity before this one trained', async () => {
    const { round } = await opened(new ScriptedLog());
    await outbox.hold(round, resultOf(round));
    assert.deepEqual(await new Outbox(store, files, random, 'agt-other').recover(), []);
    assert.deepEqual(await files.list(), []);
  });

  it('refuses vectors of another length and results that are not finite, and keeps nothing of them', async () => {
    const { round } = await opened(new ScriptedLog());
    await assert.rejects(
      outbox.hold(round, resultOf(round, { delta: new Float32Array(1) })),
      refusal('TRAINING_FAILED'),
    );
    for (const bad of [
      { delta: new Float32Array(round.layout.length).fill(Number.NaN) },
      { loss: Infinity },
    ]) {
      await assert.rejects(outbox.hold(round, resultOf(round, bad)), refusal('TRAINING_DIVERGED'));
    }
    assert.deepEqual(await files.list(), []);
  });

  it('writes the vector that the contract defines, clipped and weighted, into the envelope', async () => {
    const { round, scripted } = await opened(new ScriptedLog());
    const uploadId = await outbox.hold(round, resultOf(round));
    const parts = await writtenEnvelope(round, uploadId);
    const opener = new EnvelopeOpener(headerOf(parts), scripted.roundSecret);
    const chunks = parts.flatMap((part) =>
      part.type === 'Chunk' ? [opener.open(part.index, part.data)] : [],
    );
    const result = resultOf(round);
    const numbers = { trainExamples: 40, loss: 0.5, groups: [{ examples: 10, metrics: result.metrics }] };
    const expected = encodeUpdate(result.delta, numbers, METRICS.evaluation, round.job.spec.update);
    assert.deepEqual(bytesToFloat32(Buffer.concat(chunks)), expected);
    assert.deepEqual(
      parts.map(({ type }) => type),
      ['Header', 'Chunk', 'Seal'],
    );
  });

  it('sends only the seal where every chunk has arrived', async () => {
    const { round } = await opened(new ScriptedLog());
    const uploadId = await outbox.hold(round, resultOf(round));
    await writtenEnvelope(round, uploadId);
    const rest = await partsFrom(envelopeFile(uploadId), 1);
    assert.deepEqual(
      rest.map(({ type }) => type),
      ['Header', 'Seal'],
    );
  });

  it('refuses an envelope file that is cut or of a newer format', async () => {
    const { round } = await opened(new ScriptedLog());
    const uploadId = await outbox.hold(round, resultOf(round));
    await writtenEnvelope(round, uploadId);
    const name = envelopeFile(uploadId);
    const whole = await bytesOf(name);
    for (const length of [0, 5, 20, whole.length - 1]) {
      await writeOutboxFile(files, name, [whole.subarray(0, length)]);
      await assert.rejects(partsFrom(name, 0), refusal('STORE_CORRUPT'));
    }
    await writeOutboxFile(files, name, [
      Buffer.concat([whole.subarray(0, 8), Buffer.of(2), whole.subarray(9)]),
    ]);
    await assert.rejects(partsFrom(name, 0), refusal('FORMAT_UNSUPPORTED'));
  });

  it('renews under another id with the same delta, and forgets all of it at once', async () => {
    const { round } = await opened(new ScriptedLog());
    const key = roundKey(round.opened);
    const first = await outbox.hold(round, resultOf(round));
    await writtenEnvelope(round, first);
    await outbox.renew(key);
    const item = await outbox.item(key);
    assert.notEqual(item.uploadId, first);
    assert.deepEqual(await files.list(), [deltaFile(first)]);
    await outbox.discard(key);
    await outbox.discard(key);
    assert.deepEqual(await files.list(), []);
  });

  it('counts what left on a base model, but not what is still held for the round itself', async () => {
    const log = new ScriptedLog();
    const { round } = await opened(log);
    await outbox.hold(round, resultOf(round));
    const item = await outbox.item(roundKey(round.opened));
    assert.equal(await outbox.sentOnBase(round), 0);
    await outbox.markSent(item);
    await outbox.markSent(item);
    assert.equal(await outbox.sentOnBase(round), 0);
    const { round: again } = await opened(log, 1);
    assert.equal(await outbox.sentOnBase(again), 1);
    await outbox.discard(roundKey(round.opened));
    assert.equal(await outbox.sentOnBase(round), 1);
  });

  async function writtenEnvelope(
    { opened: { jobId, round, attempt, baseDigest, layoutDigest, vectorLength } }: OpenedRound,
    uploadId: string,
  ): Promise<UploadPart[]> {
    const item = await outbox.item(roundKey({ jobId, round, attempt }));
    const fields = {
      wire: '1.0',
      logId: 'ab'.repeat(32),
      jobId,
      round,
      attempt,
      stage: 'collect',
      agentId,
      site: 'west',
    };
    const secrets = drawEnvelopeSecrets((length) => random.bytes(length));
    const signer = signingKeyFromSeed(new Uint8Array(32));
    const writer = new EnvelopeWriter(
      { ...fields, uploadId, baseDigest, layoutDigest, vectorLength },
      item.roundKey,
      secrets,
      signer,
    );
    const name = envelopeFile(uploadId);
    const delta = new DeltaSource(files).pieces(deltaFile(item.delta));
    const envelope = writeEnvelope(writer, encodedVector(item, delta, undefined));
    const sent: UploadPart[] = [];
    for await (const part of firstUploadParts(files, name, writer, envelope)) sent.push(part);
    const stored = await partsFrom(name, 0);
    // What leaves while the envelope is written is what leaves when it is read.
    assert.deepEqual(sent.map(plainPart), stored.map(plainPart));
    return stored;
  }

  async function partsFrom(name: string, from: number): Promise<UploadPart[]> {
    const parts: UploadPart[] = [];
    for await (const part of uploadParts(files, name, await openEnvelope(files, name), from))
      parts.push(part);
    return parts;
  }

  async function bytesOf(name: string): Promise<Buffer> {
    const pieces: Uint8Array[] = [];
    for await (const piece of files.read(name, 0, 1_000)) pieces.push(piece);
    return Buffer.concat(pieces);
  }
});

function headerOf(parts: readonly UploadPart[]): Uint8Array {
  const [header] = parts;
  assert.ok(header?.type === 'Header');
  return header.header;
}
