import {
  drawEnvelopeSecrets,
  EnvelopeWriter,
  isErrorCode,
  TributaryError,
  WIRE_VERSIONS,
  type SigningKey,
} from '@tributary/proto';

import { deltaFile, envelopeFile } from '../domain/outbox.js';
import type { RoundKey } from '../domain/round-key.js';
import type { FleetClient, OutboxFiles, Random } from '../ports.js';
import type { EgressCounter } from './egress-counter.js';
import { openEnvelope, remainingBytes, uploadParts, writeEnvelope } from './envelope-file.js';
import type { Outbox, OutboxItem } from './outbox.js';

export interface SubmissionParts {
  readonly outbox: Outbox;
  readonly files: OutboxFiles;
  readonly random: Random;
  readonly egress: EgressCounter;
  readonly identity: SigningKey;
  readonly site: string;
  readonly logId: string;
}

/** Turns what the outbox holds into envelopes and brings them to the coordinator. */
export class Submission {
  readonly #parts: SubmissionParts;

  constructor(parts: SubmissionParts) {
    this.#parts = parts;
  }

  /**
   * Uploads the update of a round, from where an earlier attempt ended. Resolves with the entry that accepts it;
   * rejects with UPDATE_*, NOT_IN_COHORT, UNAVAILABLE and so on.
   */
  async submit(client: FleetClient, key: RoundKey, signal: AbortSignal): Promise<number> {
    const { outbox, files, egress } = this.#parts;
    const item = await outbox.item(key);
    const name = envelopeFile(item.uploadId);
    const attempted = await files.has(name);
    if (!attempted) await files.write(name, this.#envelope(item));
    const envelope = await openEnvelope(files, name);
    const position = attempted ? await resumeAt(client, item.uploadId, signal) : { chunk: 0 };
    if ('seq' in position) return position.seq;
    const from = Math.min(position.chunk, envelope.header.chunkCount);
    const bytes = remainingBytes(envelope, from);
    await Promise.all([outbox.markSent(item), egress.reserve(bytes)]);
    try {
      return (await client.submitUpdate(uploadParts(files, name, envelope, from), signal)).seq;
    } finally {
      egress.release(bytes);
    }
  }

  #envelope(item: OutboxItem): AsyncIterable<Uint8Array> {
    const { files, random, identity, site, logId } = this.#parts;
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
    const writer = new EnvelopeWriter(
      { ...fields, wire: WIRE_VERSIONS[0] ?? '' },
      item.roundKey,
      secrets,
      identity,
    );
    return writeEnvelope(writer, item, files.readSealed(deltaFile(item.delta)));
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
