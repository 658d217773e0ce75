import {
  LIMITS,
  requireDigest,
  requireId,
  requireName,
  type Digest,
  type SignedTreeHead,
} from '@tributary/proto';
import type {
  AgentMessage__Output,
  CoordinatorMessage,
  Failure__Output,
  FetchBlobRequest__Output,
  Hello__Output,
  JobDecision__Output,
  OrderAck__Output,
  Progress__Output,
  ServedModel__Output,
  UploadMessage__Output,
  UploadStatus as UploadStatusMessage,
} from '@tributary/proto/grpc';

import type {
  Goodbye,
  OrderAcknowledgement,
  TrainingFailure,
  TrainingProgress,
} from '../../../app/agent-connection.js';
import type { BlobRequest } from '../../../app/blob-access.js';
import type { Order } from '../../../app/order.js';
import type { ServedVersion } from '../../../domain/presence.js';
import type { UploadOffer, UploadSeal, UploadStatus } from '../../../app/upload.js';
import { fromCosignature, type OfferedCosignature } from './cosignature.js';
import {
  invalid,
  requireBytes,
  requireErrorCode,
  requireList,
  requireSafeInteger,
  requireText,
  requireUint64,
} from './fields.js';
import { fromTreeHeadMessage, toTreeHeadMessage } from './tree-head.js';

/** First message of a `Connect` stream, checked in form; its signature is not yet verified. */
export interface HelloOffer {
  readonly versions: readonly string[];
  readonly software: string;
  readonly sessionEpoch: bigint;
  /** Empty before the first spending, otherwise 32 bytes. */
  readonly spendLogHead: Uint8Array;
  readonly treeHead: SignedTreeHead | undefined;
  readonly backend: string;
  readonly datasets: readonly string[];
  readonly serving: readonly ServedVersion[];
  /** Of `treeHead`. */
  readonly cosignature: OfferedCosignature | undefined;
  readonly signature: Uint8Array;
}

/** A later message of the stream. */
export type AgentReport =
  | { readonly type: 'Ack'; readonly ack: OrderAcknowledgement }
  | { readonly type: 'Progress'; readonly progress: TrainingProgress }
  | {
      readonly type: 'Heartbeat';
      readonly serving: readonly ServedVersion[];
      readonly cosignature: OfferedCosignature | undefined;
    }
  | { readonly type: 'Failure'; readonly failure: TrainingFailure }
  | { readonly type: 'Decision'; readonly decision: SiteDecision };

/** A site's decision about a job, checked in form; its signatures are not yet verified. */
export interface SiteDecision {
  readonly jobId: string;
  readonly jobDigest: Digest;
  readonly decision: 'Approved' | 'Rejected';
  readonly approverName: string;
  readonly approverKey: Uint8Array;
  readonly decidedAt: string;
  readonly signature: Uint8Array;
  readonly siteSignature: Uint8Array;
}

export function fromVersions(versions: readonly string[]): readonly string[] {
  return requireList(versions, 'versions', LIMITS.wireVersions).map((version) =>
    requireText(version, 'versions', LIMITS.versionCharacters),
  );
}

export function fromHello(message: Hello__Output): HelloOffer {
  const { spendLogHead } = message;
  return {
    versions: fromVersions(message.versions),
    software: requireText(message.software, 'hello.software', 128),
    sessionEpoch: requireUint64(message.sessionEpoch, 'hello.sessionEpoch'),
    spendLogHead:
      spendLogHead.length === 0
        ? spendLogHead
        : requireBytes(spendLogHead, 'hello.spendLogHead', { exactly: 32 }),
    treeHead: fromTreeHeadMessage(message.treeHead, 'hello.treeHead'),
    backend: requireText(message.backend, 'hello.backend'),
    datasets: requireList(message.datasets, 'hello.datasets', LIMITS.datasets).map((name) =>
      requireText(name, 'hello.datasets'),
    ),
    serving: fromServing(message.serving, 'hello.serving'),
    cosignature: fromCosignature(message.cosignature, 'hello.cosignature'),
    signature: requireBytes(message.signature, 'hello.signature', { exactly: 64 }),
  };
}

function fromServing(served: readonly ServedModel__Output[], field: string): readonly ServedVersion[] {
  return requireList(served, field, LIMITS.servedModels).map(({ model, version }) => ({
    model: requireName(model, `${field}.model`),
    version,
  }));
}

/** Throws INVALID_ARGUMENT for a second hello, an empty message, and fields of the wrong form. */
export function fromAgentMessage(message: AgentMessage__Output): AgentReport {
  if (message.ack) return { type: 'Ack', ack: fromAck(message.ack) };
  if (message.progress) return { type: 'Progress', progress: fromProgress(message.progress) };
  if (message.heartbeat) {
    const { serving, cosignature } = message.heartbeat;
    return {
      type: 'Heartbeat',
      serving: fromServing(serving, 'heartbeat.serving'),
      cosignature: fromCosignature(cosignature, 'heartbeat.cosignature'),
    };
  }
  if (message.failure) return { type: 'Failure', failure: fromFailure(message.failure) };
  if (message.decision) return { type: 'Decision', decision: fromDecision(message.decision) };
  throw invalid(
    'message',
    message.hello ? 'one hello only, as the first message' : 'ack, progress, heartbeat, failure or decision',
  );
}

function fromAck(ack: OrderAck__Output): OrderAcknowledgement {
  return {
    orderId: requireId(ack.orderId, 'ord', 'ack.orderId'),
    accepted: ack.accepted,
    code: ack.accepted ? '' : requireErrorCode(ack.code, 'ack.code'),
    detail: requireText(ack.detail, 'ack.detail', LIMITS.detailLength),
    ...fromWait(ack),
  };
}

function fromWait({ accepted, wait, waitMs }: OrderAck__Output): Pick<OrderAcknowledgement, 'wait'> {
  if (accepted || wait === 'NONE') return {};
  if (wait === 'APPROVAL') return { wait: { reason: 'Approval', waitMs: 0 } };
  return { wait: { reason: 'Schedule', waitMs: requireSafeInteger(waitMs, 'ack.waitMs') } };
}

function fromDecision(message: JobDecision__Output): SiteDecision {
  const field = (name: string): string => `decision.${name}`;
  return {
    jobId: requireId(message.jobId, 'job', field('jobId')),
    jobDigest: requireDigest(message.jobDigest, field('jobDigest')),
    decision: message.approved ? 'Approved' : 'Rejected',
    approverName: requireName(message.approverName, field('approverName')),
    approverKey: requireBytes(message.approverKey, field('approverKey'), { exactly: 32 }),
    decidedAt: requireTime(message.decidedAt, field('decidedAt')),
    signature: requireBytes(message.signature, field('signature'), { exactly: 64 }),
    siteSignature: requireBytes(message.siteSignature, field('siteSignature'), { exactly: 64 }),
  };
}

function requireTime(text: string, field: string): string {
  const ms = Date.parse(text);
  if (Number.isNaN(ms) || new Date(ms).toISOString() !== text)
    throw invalid(field, 'RFC 3339 in UTC with milliseconds');
  return text;
}

function fromProgress(progress: Progress__Output): TrainingProgress {
  if (progress.percent > 100) throw invalid('progress.percent', '0 to 100');
  return {
    jobId: requireId(progress.jobId, 'job', 'progress.jobId'),
    round: progress.round,
    percent: progress.percent,
  };
}

function fromFailure(failure: Failure__Output): TrainingFailure {
  return {
    jobId: requireId(failure.jobId, 'job', 'failure.jobId'),
    round: failure.round,
    attempt: failure.attempt,
    code: requireErrorCode(failure.code, 'failure.code'),
    detail: requireText(failure.detail, 'failure.detail', LIMITS.detailLength),
  };
}

export function fromFetchBlob(request: FetchBlobRequest__Output): BlobRequest {
  const place = {
    digest: requireDigest(request.digest, 'digest'),
    offset: requireSafeInteger(request.offset, 'offset'),
  };
  if (request.rolloutId !== '')
    return { ...place, rolloutId: requireId(request.rolloutId, 'rol', 'rolloutId') };
  return { ...place, jobId: requireId(request.jobId, 'job', 'jobId'), round: request.round };
}

export type UploadPart =
  | { readonly type: 'Header'; readonly offer: UploadOffer }
  | { readonly type: 'Chunk'; readonly index: number; readonly bytes: Uint8Array }
  | { readonly type: 'Seal'; readonly seal: UploadSeal };

export function fromUploadMessage(message: UploadMessage__Output): UploadPart {
  const { header, chunk, seal } = message;
  if (header) {
    return {
      type: 'Header',
      offer: {
        uploadId: requireId(header.uploadId, 'upl', 'header.uploadId'),
        header: requireBytes(header.header, 'header.header', { most: LIMITS.envelopeHeaderBytes }),
        signature: requireBytes(header.signature, 'header.signature', { exactly: 64 }),
      },
    };
  }
  if (chunk)
    return {
      type: 'Chunk',
      index: chunk.index,
      bytes: requireBytes(chunk.data, 'chunk.data', { most: LIMITS.grpcMessageBytes }),
    };
  if (seal) {
    return {
      type: 'Seal',
      seal: {
        chunkCount: seal.chunkCount,
        tagsDigest: requireBytes(seal.tagsDigest, 'seal.tagsDigest', { exactly: 32 }),
        signature: requireBytes(seal.signature, 'seal.signature', { exactly: 64 }),
      },
    };
  }
  throw invalid('message', 'header, chunk or seal');
}

export function toUploadStatus(status: UploadStatus): UploadStatusMessage {
  switch (status.state) {
    case 'Unknown':
      return { state: 'UNKNOWN' };
    case 'Receiving':
      return { state: 'RECEIVING', nextChunk: status.nextChunk };
    case 'Accepted':
      return { state: 'ACCEPTED', seq: String(status.seq) };
    case 'Refused':
      return { state: 'REFUSED', code: status.code, detail: status.detail, seq: String(status.seq) };
  }
}

export function toOrderMessage(order: Order): CoordinatorMessage {
  const entries = order.entries.map(({ seq, entry, path }) => ({ seq: String(seq), entry, path: [...path] }));
  return {
    order: {
      orderId: order.orderId,
      treeHead: toTreeHeadMessage(order.treeHead),
      entries,
      remainingMs: Math.max(0, Math.min(Math.trunc(order.remainingMs), 0xffff_ffff)),
    },
  };
}

export function toGoodbyeMessage(goodbye: Goodbye): CoordinatorMessage {
  return { goodbye: { code: goodbye.code, detail: goodbye.detail, retryAfterMs: goodbye.retryAfterMs } };
}
