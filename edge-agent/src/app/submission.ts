import {
  drawEnvelopeSecrets,
  EnvelopeWriter,
  isErrorCode,
  leastChunkBytes,
  plaintextBytesOf,
  TributaryError,
  type ErrorCode,
  type SigningKey,
} from '@tributary/proto';

import { deltaFile, envelopeFile, isStalled, stalledAgain, type Stall } from '../domain/outbox.js';
import type { RoundKey } from '../domain/round-key.js';
import type { FleetClient, OutboxFiles, Random, UploadPart } from '../ports.js';
import { DeltaSource } from './delta-source.js';
import type { EgressCounter } from './egress-counter.js';
import { encodedVector } from './encoded-vector.js';
import {
  firstUploadParts,
  isWhole,
  openEnvelope,
  remainingBytes,
  uploadParts,
  writeEnvelope,
  type StoredEnvelope,
} from './envelope-file.js';
import type { Outbox, OutboxItem } from './outbox.js';
import type { SecureTask } from './secure/round-sets.js';
import type { Masking } from './secure/secure-rounds.js';

/** Failures of an upload whose line passed less than was to be sent. */
const OF_THE_LINE: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['UNAVAILABLE', 'DEADLINE_EXCEEDED']);

export interface SubmissionParts {
  readonly outbox: Outbox;
  readonly files: OutboxFiles;
  readonly random: Random;
  readonly egress: EgressCounter;
  readonly identity: SigningKey;
  readonly site: string;
  readonly logId: string;
  /** Wire version that was agreed on with the coordinator. */
  readonly wire: () => string;
  /** How the update of a secure round is masked. */
  readonly masking: (task: SecureTask | undefined, delta: string) => Promise<Masking>;
}

/** Turns what the outbox holds into envelopes and brings them to the coordinator. */
export class Submission {
  readonly #parts: SubmissionParts;
  readonly #deltas: DeltaSource;
  /** Of uploads that broke and were not taken up again with a further chunk. */
  readonly #stalls = new Map<RoundKey, Stall>();

  constructor(parts: SubmissionParts) {
    this.#parts = parts;
    this.#deltas = new DeltaSource(parts.files);
  }

  /** An update that the outbox holds since a moment ago will be submitted soon: spares reading it again. */
  expect(uploadId: string, delta: Float32Array): void {
    this.#deltas.keep(deltaFile(uploadId), delta);
  }

  /** Lets go of the memory of an expected update; it will be read from the outbox. */
  expectNothing(): void {
    this.#deltas.release();
  }

  /** The round is over. */
  forget(key: RoundKey): void {
    this.#stalls.delete(key);
  }

  /**
   * Uploads the update of a round, from where an earlier attempt ended. Resolves with the entry that accepts it;
   * rejects with UPDATE_*, NOT_IN_COHORT, UNAVAILABLE and so on. `task`: what this process has verified of a secure round.
   */
  async submit(client: FleetClient, key: RoundKey, signal: AbortSignal, task?: SecureTask): Promise<number> {
    const { outbox, files } = this.#parts;
    const item = await outbox.item(key);
    const name = envelopeFile(item.uploadId);
    if (!(await files.has(name))) return this.#begin(client, key, signal, task);
    const position = await resumeAt(client, item.uploadId, signal);
    if ('seq' in position) return position.seq;
    const envelope = await this.#stored(name);
    const least = leastChunkBytes(this.#parts.wire());
    const stalled = isStalled(this.#stalls.get(key), item.uploadId, position.chunk);
    const smaller = stalled && envelope !== undefined && plaintextBytesOf(envelope.header, 0) > least;
    if (envelope !== undefined && !smaller) {
      const from = Math.min(position.chunk, envelope.header.chunkCount);
      const parts = uploadParts(files, name, envelope, from);
      const rest = { from, bytes: remainingBytes(envelope, from) };
      return this.#send(client, key, item, parts, rest, signal);
    }
    await outbox.renew(key);
    return this.#begin(client, key, signal, task, smaller);
  }

  /** The first attempt: the envelope is written and sent at the same time. */
  async #begin(
    client: FleetClient,
    key: RoundKey,
    signal: AbortSignal,
    task: SecureTask | undefined,
    small = false,
  ): Promise<number> {
    const { files, outbox } = this.#parts;
    const item = await outbox.item(key);
    const writer = this.#writer(item, small);
    const masking = item.encoding === 'ring' ? await this.#parts.masking(task, item.delta) : undefined;
    const vector = encodedVector(item, this.#deltas.pieces(deltaFile(item.delta)), masking);
    const envelope = writeEnvelope(writer, vector);
    const parts = firstUploadParts(files, envelopeFile(item.uploadId), writer, envelope);
    return this.#send(client, key, item, parts, { from: 0, bytes: remainingBytes(writer, 0) }, signal);
  }

  async #send(
    client: FleetClient,
    key: RoundKey,
    item: OutboxItem,
    parts: AsyncGenerator<UploadPart, void, undefined>,
    { from, bytes }: { readonly from: number; readonly bytes: number },
    signal: AbortSignal,
  ): Promise<number> {
    const { outbox, egress } = this.#parts;
    await Promise.all([outbox.markSent(item), egress.reserve(bytes, item.jobId)]);
    try {
      return (await client.submitUpdate(parts, signal, item.jobId)).seq;
    } catch (error) {
      if (!signal.aborted && OF_THE_LINE.has(TributaryError.from(error).code))
        this.#stalls.set(key, stalledAgain(this.#stalls.get(key), item.uploadId, from));
      throw error;
    } finally {
      egress.release(bytes);
      // Where the upload broke, the rest of its envelope is still on its way to the file.
      await parts.return();
    }
  }

  /** The envelope in the file; undefined where the process that wrote it died before its end. */
  async #stored(name: string): Promise<StoredEnvelope | undefined> {
    const { files } = this.#parts;
    try {
      const envelope = await openEnvelope(files, name);
      return (await isWhole(files, name, envelope)) ? envelope : undefined;
    } catch (error) {
      if (TributaryError.from(error).code === 'STORE_CORRUPT') return undefined;
      throw error;
    }
  }

  #writer(item: OutboxItem, small: boolean): EnvelopeWriter {
    const { random, identity, site, logId } = this.#parts;
    const { jobId, round, attempt, stage, agentId, uploadId, baseDigest, layoutDigest, vectorLength } = item;
    const fields = {
      logId,
      jobId,
      round,
      attempt,
      stage,
      agentId,
      site,
      uploadId,
      baseDigest,
      layoutDigest,
      vectorLength,
    };
    const secrets = drawEnvelopeSecrets((length) => random.bytes(length));
    const version = item.dataVersion === undefined ? {} : { dataVersion: item.dataVersion };
    const encoding = item.encoding === undefined ? {} : { encoding: item.encoding };
    const wire = this.#parts.wire();
    const chunks = small ? { chunkBytes: leastChunkBytes(wire) } : {};
    return new EnvelopeWriter(
      { ...fields, ...version, ...encoding, ...chunks, wire },
      item.roundKey,
      secrets,
      identity,
    );
  }
}

/** Where the coordinator wants to go on, or the entry that settled the upload before. */
async function resumeAt(
  client: FleetClient,
  uploadId: string,
  signal: AbortSignal,
): Promise<{ readonly chunk: number } | { readonly seq: number }> {
  const status = await client.uploadStatus(uploadId, signal);
  switch (status.state) {
    case 'Unknown':
      return { chunk: 0 };
    case 'Receiving':
      return { chunk: status.nextChunk };
    case 'Accepted':
      return { seq: status.seq };
    case 'Refused':
      throw new TributaryError(isErrorCode(status.code) ? status.code : 'INTERNAL', status.detail);
  }
}
