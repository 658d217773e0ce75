import assert from 'node:assert/strict';

import { MemoryOutbox } from '@tributary/edge-agent/internal/adapters/files/memory-outbox.js';
import { MemoryStateStore } from '@tributary/edge-agent/internal/adapters/store/memory-state-store.js';
import { Outbox } from '@tributary/edge-agent/internal/app/outbox.js';
import { Submission } from '@tributary/edge-agent/internal/app/submission.js';
import { verifyOrder, type OpenedRound } from '@tributary/edge-agent/internal/domain/order.js';
import { envelopeFile } from '@tributary/edge-agent/internal/domain/outbox.js';
import { roundKey, type RoundKey } from '@tributary/edge-agent/internal/domain/round-key.js';
import type { FleetClient, UploadPart, UploadStatus } from '@tributary/edge-agent/internal/ports.js';
import { decodeEnvelopeHeader, signingKeyFromSeed, TributaryError } from '@tributary/proto';

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
          if (taken.length >= most) throw new TributaryError('UNAVAILABLE', 'the connection broke');
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
  let count = 0;
  const random = { bytes: (length: number): Uint8Array => new Uint8Array(length).fill((count += 1)) };

  beforeEach(async () => {
    const store = new MemoryStateStore();
    files = new MemoryOutbox();
    outbox = new Outbox(store, files, random, agentId);
    reception = new ScriptedReception();
    submission = new Submission({
      wire: () => '1.2',
      masking: () => assert.fail('not called'),
      outbox,
      files,
      random,
      egress: await new MeteredWire(store).open(),
      identity: signingKeyFromSeed(new Uint8Array(32).fill(1)),
      site: 'west',
      logId: 'ab'.repeat(32),
    });
    const round = await openedRound();
    key = roundKey(round.opened);
    const delta = Float32Array.from({ length: round.layout.length }, (_, index) => index / 10);
    await outbox.hold(round, { delta, examples: 4, loss: 0.5, metrics: {}, testExamples: 0, dataVersion });
  });

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

async function openedRound(): Promise<OpenedRound> {
  const log = new ScriptedLog();
  const scripted = log.openRound({ cohort: [{ site: 'west', agentId }], attempt: 0 });
  const reader = { agentId, site: 'west', logId: log.logId, logKey: log.key.publicKey };
  const round = verifyOrder(reader, await log.order('train', scripted.seqs));
  assert.ok(round.kind === 'Opened');
  return round;
}
