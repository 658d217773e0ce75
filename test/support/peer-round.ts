import {
  decodeBase64,
  decodeEntry,
  drawEnvelopeSecrets,
  EnvelopeWriter,
  float32ToBytes,
  formatId,
  LIMITS,
  plaintextBytesOf,
  tailLength,
  WIRE_VERSIONS,
  type EntryBody,
  type EnvelopeFields,
  type EnvelopeHeader,
  type EnvelopeSeal,
  type SigningKey,
} from '@tributary/proto';
import type { Order__Output, UploadMessage } from '@tributary/proto/grpc';

import { SeededRandom } from './seeded-random.js';

/** What an order to train says. */
export interface PeerRound {
  readonly orderId: string;
  readonly opened: EntryBody<'round.opened'>;
}

/** The round that an order opens; undefined for orders that settle one. */
export function openedBy(order: Order__Output): PeerRound | undefined {
  const last = order.entries.at(-1);
  if (last === undefined) return undefined;
  const entry = decodeEntry(last.entry);
  return entry.type === 'round.opened' ? { orderId: order.orderId, opened: entry.body } : undefined;
}

/** Who uploads. */
export interface Uploader {
  readonly agentId: string;
  readonly site: string;
  readonly logId: string;
  readonly identity: SigningKey;
}

export interface UploadOptions {
  /** Replaces fields of the header before it is signed. */
  readonly fields?: Partial<EnvelopeFields>;
  /** Plaintext; a correct update of zeros where not given. */
  readonly vector?: Float32Array;
  /** Signs instead of the agent's own identity key. */
  readonly signer?: Pick<SigningKey, 'sign'>;
  readonly seed?: number;
}

/** An envelope in the messages that carry it, to be damaged on purpose. */
export interface RecordedUpload {
  readonly uploadId: string;
  readonly header: EnvelopeHeader;
  readonly messages: readonly UploadMessage[];
}

/** A correct update for the round: delta 0, weight 1 where it trains, counts 0. */
export function neutralVector({ opened }: PeerRound, metrics: readonly string[]): Float32Array {
  const vector = new Float32Array(opened.vectorLength);
  const tail = tailLength({ metrics });
  if (opened.kind !== 'Evaluation') vector[opened.vectorLength - tail] = 1;
  return vector;
}

/** Seals an update as an agent would: header, chunks, seal. */
export function recordUpload(
  round: PeerRound,
  uploader: Uploader,
  metrics: readonly string[],
  options: UploadOptions = {},
): RecordedUpload {
  const random = new SeededRandom(options.seed ?? Math.floor(performance.now() * 1_000));
  const { opened } = round;
  const fields: EnvelopeFields = {
    wire: WIRE_VERSIONS[0] ?? '',
    logId: uploader.logId,
    jobId: opened.jobId,
    round: opened.round,
    attempt: opened.attempt,
    stage: opened.stages[0]?.name ?? '',
    agentId: uploader.agentId,
    site: uploader.site,
    uploadId: formatId('upl', random.bytes(16)),
    baseDigest: opened.baseDigest,
    layoutDigest: opened.layoutDigest,
    vectorLength: opened.vectorLength,
    chunkBytes: LIMITS.minChunkBytes,
    ...options.fields,
  };
  const secrets = drawEnvelopeSecrets((length) => new Uint8Array(random.bytes(length)));
  const writer = new EnvelopeWriter(
    fields,
    decodeBase64(opened.roundKey, 'roundKey'),
    secrets,
    options.signer ?? uploader.identity,
  );
  const vector = options.vector ?? neutralVector(round, metrics);
  const plaintext = Buffer.concat([float32ToBytes(vector)], fields.vectorLength * 4);
  const chunks = Array.from({ length: writer.header.chunkCount }, (_, index) => {
    const start = index * writer.header.chunkBytes;
    return writer.write(plaintext.subarray(start, start + plaintextBytesOf(writer.header, index)));
  });
  const { uploadId } = fields;
  return {
    uploadId,
    header: writer.header,
    messages: [
      {
        header: {
          uploadId,
          header: Buffer.from(writer.headerBytes),
          signature: Buffer.from(writer.headerSignature),
        },
      },
      ...chunks.map((data, index) => ({ chunk: { index, data: Buffer.from(data) } })),
      { seal: sealMessage(writer.seal()) },
    ],
  };
}

function sealMessage({ chunkCount, tagsDigest, signature }: EnvelopeSeal): {
  chunkCount: number;
  tagsDigest: Buffer;
  signature: Buffer;
} {
  return { chunkCount, tagsDigest: Buffer.from(tagsDigest), signature: Buffer.from(signature) };
}
