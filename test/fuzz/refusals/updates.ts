import { signingKeyFromSeed, type ErrorCode } from '@tributary/proto';
import type { UploadMessage } from '@tributary/proto/grpc';

import type { PeerStream } from '../../support/fleet-peer.js';
import { neutralVector, recordUpload, type RecordedUpload } from '../../support/peer-round.js';
import { trialJob } from '../../support/trial-job.js';
import { codeOf, UNMEASURED, type Provocations, type RefusalWorld } from './world.js';

const stranger = signingKeyFromSeed(new Uint8Array(32).fill(99));

/** The messages with the chunk's bytes changed. */
function withChunk({ messages }: RecordedUpload, change: (data: Buffer) => Buffer): readonly UploadMessage[] {
  return messages.map((message) =>
    message.chunk
      ? { chunk: { ...message.chunk, data: change(Buffer.from(message.chunk.data as Buffer)) } }
      : message,
  );
}

function flipped(data: Buffer): Buffer {
  data[0] = (data[0] ?? 0) ^ 1;
  return data;
}

function vectorOf(world: RefusalWorld, name: 'm1' | 'm2', value: number): Float32Array {
  const vector = neutralVector(world.member(name).round, []);
  vector[0] = value;
  return vector;
}

/** What a member's upload is refused with; the order matters only where one upload builds on another. */
export const UPDATE_PROVOCATIONS: Provocations = {
  UPDATE_NOT_FINITE: {
    how: 'the first value of the vector is NaN',
    provoke: (world) =>
      codeOf(
        world
          .member('m1')
          .peer.submit(world.record('m1', { vector: vectorOf(world, 'm1', Number.NaN) }).messages),
      ),
  },
  UPDATE_OUT_OF_RANGE: {
    how: 'a value is above the clipping norm',
    provoke: (world) =>
      codeOf(
        world.member('m2').peer.submit(world.record('m2', { vector: vectorOf(world, 'm2', 1e9) }).messages),
      ),
  },
  UPDATE_WRONG_SHAPE: {
    how: 'the header announces one value more than the model has',
    provoke: (world) => {
      const { peer, round } = world.member('m3');
      return codeOf(
        peer.submit(world.record('m3', { fields: { vectorLength: round.opened.vectorLength + 1 } }).messages),
      );
    },
  },
  UPDATE_TOO_LARGE: {
    how: 'a chunk is longer than the header allows',
    provoke: (world) => {
      const longer = withChunk(world.record('m4'), (data) => Buffer.concat([data, Buffer.alloc(4)]));
      return codeOf(world.member('m4').peer.submit(longer));
    },
  },
  UPDATE_WRONG_ROUND: {
    how: 'the header names a round that is not open',
    provoke: (world) =>
      codeOf(world.member('m5').peer.submit(world.record('m5', { fields: { round: 2 } }).messages)),
  },
  NOT_IN_COHORT: {
    how: 'an approved site that was not selected uploads',
    provoke: (world) => {
      const { round } = world.member('m5');
      return codeOf(world.outsider.submit(recordUpload(round, world.outsider, []).messages));
    },
  },
  FORMAT_UNSUPPORTED: {
    how: 'the envelope is of a newer format',
    provoke: (world) => {
      const [first, ...rest] = world.record('m5').messages;
      const text = Buffer.from(first?.header?.header as Buffer).toString();
      const header = {
        ...first?.header,
        header: Buffer.from(text.replace('"formatVersion":1', '"formatVersion":2')),
      };
      return codeOf(world.member('m5').peer.submit([{ header }, ...rest]));
    },
  },
  SIGNATURE_INVALID: {
    how: 'the first message of a stream is signed by another key',
    provoke: async ({ outsider }) =>
      codeOf(rejectionOf(outsider.connect(outsider.hello({ signer: stranger })))),
  },
  UPDATE_CORRUPT: {
    how: 'one bit of a chunk is flipped; the site may try again',
    provoke: async (world) => {
      const { peer } = world.member('m5');
      const upload = world.record('m5');
      const code = await codeOf(peer.submit(withChunk(upload, flipped)));
      await peer.submit(world.record('m5').messages);
      return code;
    },
  },
  UPDATE_DUPLICATE: {
    how: 'a second update after one was accepted',
    provoke: (world) => codeOf(world.member('m5').peer.submit(world.record('m5').messages)),
  },
  UPLOAD_ID_REUSED: {
    how: 'an upload that was begun goes on under another header; the first one is then completed and the job ends',
    provoke: async (world) => {
      const { peer } = world.member('m6');
      const upload = world.record('m6');
      await codeOf(peer.submit(upload.messages.slice(0, 1)));
      const code = await codeOf(
        peer.submit(world.record('m6', { fields: { uploadId: upload.uploadId } }).messages),
      );
      await peer.submit(upload.messages);
      await world.operator.event('updates', 'job.completed');
      return code;
    },
  },
  UPDATE_LATE: { how: 'an upload that began in time ends after the stage was closed', provoke: late },
};

async function rejectionOf(stream: PeerStream): Promise<void> {
  const ended = await stream.end();
  if (ended !== 'closed') throw ended;
}

/** Two of three members report; the third has sent its header when the deadline of the round passes. */
async function late(world: RefusalWorld): Promise<ErrorCode> {
  const peers = [
    await world.join('late-1', { pool: 'late' }),
    await world.join('late-2', { pool: 'late' }),
    await world.join('late-3', { pool: 'late' }),
  ];
  const streams = peers.map((peer) => peer.connect());
  for (const stream of streams) await stream.welcome();
  await world.operator.apply(
    trialJob('late', {
      siteSelector: { matchLabels: { pool: 'late' } },
      roundDeadlineSeconds: 4,
      ...UNMEASURED,
    }),
  );
  const uploads = [];
  for (const [index, peer] of peers.entries()) {
    const stream = streams[index];
    if (stream === undefined) throw new Error('one stream per peer');
    uploads.push({ peer, recorded: recordUpload(await stream.round(), peer, []) });
  }
  const last = uploads.pop();
  if (last === undefined) throw new Error('three uploads');
  const slow = last.peer.upload();
  const [header, ...rest] = last.recorded.messages;
  slow.send(header ?? {});
  for (const { peer, recorded } of uploads) await peer.submit(recorded.messages);
  await world.operator.event('late', 'stage.closed');
  for (const message of rest) slow.send(message);
  slow.end();
  const code = await codeOf(slow.receipt);
  await world.operator.event('late', 'job.completed');
  return code;
}
