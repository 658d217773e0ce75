import assert from 'node:assert/strict';

import { MemoryOutbox } from '@tributary/edge-agent/internal/adapters/files/memory-outbox.js';
import { MemoryStateStore } from '@tributary/edge-agent/internal/adapters/store/memory-state-store.js';
import { Outbox } from '@tributary/edge-agent/internal/app/outbox.js';
import { Submission } from '@tributary/edge-agent/internal/app/submission.js';
import { verifyOrder, type OpenedRound } from '@tributary/edge-agent/internal/domain/order.js';
import { envelopeFile } from '@tributary/edge-agent/internal/domain/outbox.js';
import { roundKey, type RoundKey } from '@tributary/edge-agent/internal/domain/round-key.js';
import type { FleetClient, UploadPart, UploadStatus } from '@tributary/edge-agent/internal/ports.js';
import {
  decodeEnvelopeHeader,
  LIMITS,
  signingKeyFromSeed,
  TributaryError,
  type EnvelopeHeader,
  type ErrorCode,
} from '@tributary/proto';

import { wideJob } from '../../bench/wide-job.js';

import { plainPart, writeOutboxFile } from '../../support/outbox-file.js';
import { MeteredWire } from '../../support/egress.js';
import { refusal } from '../../support/refusal.js';
import { ScriptedLog, scriptedId } from '../../support/scripted-log.js';

const agentId = scriptedId('agt', 'west');
const signal = new AbortController().signal;

/** Takes `most` parts of each upload, then breaks off; a whole one is accepted. */
class ScriptedReception {
  readonly uploads: UploadPart[][] = [];
  status: UploadStatus = { state: 'Unknown' };
  failure: ErrorCode = 'UNAVAILABLE';

  client(most = Number.POSITIVE_INFINITY): FleetClient {
    const unused = (): never => assert.fail('not called');
    return {
      connect: unused,
      fetchBlob: unused,
      consistencyProof: unused,
      treeHead: unused,
      submitStage: unused,
      stageResult: unused,
      close: unused,
      uploadStatus: () => Promise.resolve(this.status),
      submitUpdate: async (parts) => {
        const taken: UploadPart[] = [];
        this.uploads.push(taken);
        for await (const part of parts) {
          taken.push(part);
          if (taken.length >= most) throw new TributaryError(this.failure, 'the connection broke');
        }
        return { seq: 7 };
      },
    };
  }

  uploadIds(): readonly string[] {
    return this.uploads.flatMap(([first]) => (first?.type === 'Header' ? first.uploadId : []));
  }
}

const dataVersion = `hmac-sha256:${'cd'.repeat(32)}`;

describe('submission', () => {
  let files: MemoryOutbox;
  let outbox: Outbox;
  let submission: Submission;
  let reception: ScriptedReception;
  let key: RoundKey;
  let wire: string;
  let count = 0;
  const random = { bytes: (length: number): Uint8Array => new Uint8Array(length).fill((count += 1)) };

  beforeEach(async () => {
    const store = new MemoryStateStore();
    wire = '1.2';
    files = new MemoryOutbox();
    outbox = new Outbox(store, files, random, agentId);
    reception = new ScriptedReception();
    submission = new Submission({
      wire: () => wire,
      masking: () => assert.fail('not called'),
      outbox,
      files,
      random,
      egress: await new MeteredWire(store).open(),
      identity: signingKeyFromSeed(new Uint8Array(32).fill(1)),
      site: 'west',
      logId: 'ab'.repeat(32),
    });
    key = await heldRound();
  });

  /** Of as many bytes at least. */
  async function heldRound(bytes = 0): Promise<RoundKey> {
    const round = await openedRound(bytes);
    const delta = Float32Array.from({ length: round.layout.length }, (_, index) => (index % 100) / 10);
    await outbox.hold(round, { delta, examples: 4, loss: 0.5, metrics: {}, testExamples: 0, dataVersion });
    return roundKey(round.opened);
  }

  it('names the version of the data', async () => {
    await submission.submit(reception.client(), key, signal);
    const [part] = reception.uploads.at(-1) ?? [];
    assert.ok(part?.type === 'Header');
    assert.equal(decodeEnvelopeHeader(part.header).dataVersion, dataVersion);
  });

  it('sends the same bytes again where the connection broke at any part', async () => {
    for (const most of [1, 2, 3]) {
      await assert.rejects(submission.submit(reception.client(most), key, signal), refusal('UNAVAILABLE'));
    }
    assert.equal(await submission.submit(reception.client(), key, signal), 7);
    const [last, ...broken] = reception.uploads.reverse();
    assert.deepEqual(
      last?.map(({ type }) => type),
      ['Header', 'Chunk', 'Seal'],
    );
    for (const parts of broken)
      assert.deepEqual(parts.map(plainPart), last.slice(0, parts.length).map(plainPart));
  });

  it('goes on where the coordinator wants it to', async () => {
    await assert.rejects(submission.submit(reception.client(2), key, signal), refusal('UNAVAILABLE'));
    reception.status = { state: 'Receiving', nextChunk: 1 };
    await submission.submit(reception.client(), key, signal);
    assert.deepEqual(
      reception.uploads[1]?.map(({ type }) => type),
      ['Header', 'Seal'],
    );
  });

  it('sends nothing where the update was accepted before its answer was lost', async () => {
    await assert.rejects(submission.submit(reception.client(3), key, signal), refusal('UNAVAILABLE'));
    reception.status = { state: 'Accepted', seq: 5 };
    assert.equal(await submission.submit(reception.client(), key, signal), 5);
    assert.equal(reception.uploads.length, 1);
  });

  it('writes the envelope in the smallest chunks of its wire where the line broke twice before it had passed one', async () => {
    for (const [spoken, least] of [
      ['1.3', LIMITS.firstChunkBytes],
      ['1.2', LIMITS.minChunkBytes],
    ] as const) {
      wire = spoken;
      const wide = await heldRound(LIMITS.chunkBytes);
      const before = reception.uploads.length;
      for (let tries = 0; tries < 4; tries += 1)
        await assert.rejects(submission.submit(reception.client(1), wide, signal), refusal('UNAVAILABLE'));
      const headers = reception.uploads.slice(before).map(headerOf);
      assert.deepEqual(
        headers.map(({ chunkBytes }) => chunkBytes),
        [LIMITS.chunkBytes, LIMITS.chunkBytes, least, least],
      );
      assert.equal(new Set(headers.map(({ sealedKey }) => sealedKey)).size, 2);
      assert.equal(new Set(headers.map(({ uploadId }) => uploadId)).size, 2);
    }
  });

  it('keeps what has arrived through breaks, and where the coordinator asked to wait', async () => {
    wire = '1.3';
    const wide = await heldRound(LIMITS.chunkBytes);
    const ids = (): number => new Set(reception.uploadIds()).size;
    await assert.rejects(submission.submit(reception.client(2), wide, signal), refusal('UNAVAILABLE'));
    reception.status = { state: 'Receiving', nextChunk: 1 };
    for (let tries = 0; tries < 5; tries += 1)
      await assert.rejects(submission.submit(reception.client(1), wide, signal), refusal('UNAVAILABLE'));
    assert.equal(ids(), 1);
    await assert.rejects(submission.submit(reception.client(1), wide, signal), refusal('UNAVAILABLE'));
    assert.equal(ids(), 2);
    reception.failure = 'OVERLOADED';
    reception.status = { state: 'Unknown' };
    const other = await heldRound(LIMITS.chunkBytes);
    for (let tries = 0; tries < 4; tries += 1)
      await assert.rejects(submission.submit(reception.client(1), other, signal), refusal('OVERLOADED'));
    assert.equal(ids(), 3);
  });

  it('writes a new envelope under another id where the process died while it wrote the first', async () => {
    await assert.rejects(submission.submit(reception.client(1), key, signal), refusal('UNAVAILABLE'));
    const { uploadId } = await outbox.item(key);
    const name = envelopeFile(uploadId);
    const whole: Uint8Array[] = [];
    for await (const piece of files.read(name, 0, 1_000_000)) whole.push(piece);
    for (const length of [0, 12, Buffer.concat(whole).length - 1]) {
      const torn = envelopeFile((await outbox.item(key)).uploadId);
      await writeOutboxFile(files, torn, [Buffer.concat(whole).subarray(0, length)]);
      reception.status = { state: 'Receiving', nextChunk: 0 };
      assert.equal(await submission.submit(reception.client(), key, signal), 7);
      assert.equal(await files.has(torn), false);
    }
    assert.equal(new Set(reception.uploadIds()).size, 4);
  });
});

function headerOf([first]: readonly UploadPart[]): EnvelopeHeader {
  assert.ok(first?.type === 'Header');
  return decodeEnvelopeHeader(first.header);
}

let rounds = 0;

async function openedRound(bytes: number): Promise<OpenedRound> {
  const log = new ScriptedLog();
  const { model } = wideJob('wide', bytes / 1_000_000, 1, 1).spec;
  const job = `job-${String((rounds += 1))}`;
  const cohort = [{ site: 'west', agentId }];
  const scripted = log.openRound({ job, cohort, attempt: 0, ...(bytes > 0 && { spec: { model } }) });
  const reader = { agentId, site: 'west', logId: log.logId, logKey: log.key.publicKey };
  const round = verifyOrder(reader, await log.order('train', scripted.seqs));
  assert.ok(round.kind === 'Opened');
  return round;
}
