import { LIMITS, printable, TributaryError, type Cosignature, type SignedTreeHead } from '@tributary/proto';
import type {
  AgentMessage as AgentWire,
  CoordinatorMessage__Output,
  Cosignature as CosignatureWire,
  HeartbeatAck__Output,
  Order__Output,
  OrderAck,
  ServedModel,
  SignedTreeHead as TreeHeadWire,
  SignedTreeHead__Output,
  StageResult__Output,
  UploadMessage,
  UploadStatus__Output,
  Welcome__Output,
} from '@tributary/proto/grpc';

import type { CoordinatorMessage, HeartbeatAck, RawOrder, Welcome } from '../../coordinator-messages.js';
import type { AgentMessage, ServedVersion, UploadPart, UploadStatus } from '../../ports.js';
import type { StageResult } from '../../stage-ports.js';

/** Proven entries of one order: submission, start, opening and what closes the round, with room to grow. */
const MAX_ENTRIES = 16;
const MAX_PATH = 64;

/** The wire form of a message. */
export function toAgentWire(message: AgentMessage): AgentWire {
  switch (message.type) {
    case 'Hello': {
      const {
        versions,
        software,
        sessionEpoch,
        spendLogHead,
        treeHead,
        backend,
        datasets,
        serving,
        cosignature,
        signature,
      } = message;
      const head = treeHead === undefined ? null : treeHeadToWire(treeHead);
      return {
        hello: {
          versions: [...versions],
          software,
          sessionEpoch: String(sessionEpoch),
          spendLogHead,
          treeHead: head,
          backend,
          datasets: [...datasets],
          serving: servedToWire(serving),
          cosignature: cosignature === undefined ? null : cosignatureToWire(cosignature),
          signature,
        },
      };
    }
    case 'Acknowledge': {
      const { orderId, accepted, code, detail, wait } = message;
      return { ack: { orderId, accepted, code, detail, ...waitToWire(wait) } };
    }
    case 'JobDecision': {
      const { type, decision, ...rest } = message;
      return { decision: { ...rest, approved: decision === 'Approved' } };
    }
    case 'Progress': {
      const { jobId, round, percent } = message;
      return { progress: { jobId, round, percent } };
    }
    case 'Failure': {
      const { jobId, round, attempt, code, detail } = message;
      return { failure: { jobId, round, attempt, code, detail } };
    }
    case 'Heartbeat': {
      const { serving, cosignature } = message;
      return {
        heartbeat: {
          serving: servedToWire(serving),
          cosignature: cosignature === undefined ? null : cosignatureToWire(cosignature),
        },
      };
    }
  }
}

function waitToWire(wait: Extract<AgentMessage, { type: 'Acknowledge' }>['wait']): OrderAck {
  if (wait === undefined) return {};
  if (wait.reason === 'Approval') return { wait: 'APPROVAL' };
  return { wait: 'SCHEDULE', waitMs: String(Math.ceil(wait.waitMs)) };
}

function servedToWire(serving: readonly ServedVersion[]): ServedModel[] {
  return serving.slice(0, LIMITS.servedModels).map(({ name, version }) => ({ model: name, version }));
}

/** The domain form of a message; throws INVALID_ARGUMENT naming the field that is missing or out of bounds. */
export function fromCoordinatorWire(wire: CoordinatorMessage__Output): CoordinatorMessage {
  switch (wire.message) {
    case 'welcome':
      return welcomeOf(required(wire.welcome, 'welcome'));
    case 'order':
      return { type: 'Order', order: orderOf(required(wire.order, 'order')) };
    case 'goodbye': {
      const { code, detail, retryAfterMs } = required(wire.goodbye, 'goodbye');
      return {
        type: 'Goodbye',
        code: printable(code.slice(0, LIMITS.nameLength)),
        detail: printable(detail.slice(0, LIMITS.detailLength)),
        retryAfterMs,
      };
    }
    case 'heartbeatAck':
      return heartbeatAckOf(required(wire.heartbeatAck, 'heartbeatAck'));
    default:
      throw invalid('message', 'is of no kind that this build knows');
  }
}

function welcomeOf({
  version,
  treeHead,
  consistency,
  approved,
  heartbeatIntervalMs,
}: Welcome__Output): Welcome {
  bounded(consistency.length, 2 * MAX_PATH, 'welcome.consistency');
  return {
    type: 'Welcome',
    version,
    treeHead: treeHeadOf(treeHead, 'welcome.treeHead'),
    consistency: consistency.map(copy),
    approved,
    heartbeatIntervalMs,
  };
}

function heartbeatAckOf({ treeHead, consistency }: HeartbeatAck__Output): HeartbeatAck {
  bounded(consistency.length, 2 * MAX_PATH, 'heartbeatAck.consistency');
  const head = treeHead === null ? {} : { treeHead: treeHeadOf(treeHead, 'heartbeatAck.treeHead') };
  return { type: 'HeartbeatAck', ...head, consistency: consistency.map(copy) };
}

function orderOf({ orderId, treeHead, entries, remainingMs }: Order__Output): RawOrder {
  bounded(entries.length, MAX_ENTRIES, 'order.entries');
  bounded(orderId.length, LIMITS.nameLength, 'order.orderId');
  return {
    orderId,
    treeHead: treeHeadOf(treeHead, 'order.treeHead'),
    entries: entries.map(({ seq, entry, path }) => {
      bounded(path.length, MAX_PATH, 'order.entries.path');
      return { seq: uint64(seq, 'order.entries.seq'), entry: copy(entry), path: path.map(copy) };
    }),
    remainingMs,
  };
}

export function treeHeadOf(wire: SignedTreeHead__Output | null, field: string): SignedTreeHead {
  const { logId, treeSize, rootHash, time, signature } = required(wire, field);
  return {
    logId,
    treeSize: uint64(treeSize, `${field}.treeSize`),
    rootHash: copy(rootHash),
    time,
    signature: copy(signature),
  };
}

function cosignatureToWire({ treeSize, rootHash, time, signature }: Cosignature): CosignatureWire {
  return { treeSize: String(treeSize), rootHash, time, signature };
}

function treeHeadToWire({ logId, treeSize, rootHash, time, signature }: SignedTreeHead): TreeHeadWire {
  return { logId, treeSize: String(treeSize), rootHash, time, signature };
}

/** The wire form of a part of an upload. */
export function toUploadWire(part: UploadPart): UploadMessage {
  switch (part.type) {
    case 'Header':
      return { header: { uploadId: part.uploadId, header: part.header, signature: part.signature } };
    case 'Chunk':
      return { chunk: { index: part.index, data: part.data } };
    case 'Seal':
      return {
        seal: { chunkCount: part.chunkCount, tagsDigest: part.tagsDigest, signature: part.signature },
      };
  }
}

export function uploadStatusOf({ state, nextChunk, code, detail, seq }: UploadStatus__Output): UploadStatus {
  switch (state) {
    case 'RECEIVING':
      return { state: 'Receiving', nextChunk };
    case 'ACCEPTED':
      return { state: 'Accepted', seq: uint64(seq, 'uploadStatus.seq') };
    case 'REFUSED':
      return {
        state: 'Refused',
        code,
        detail: printable(detail.slice(0, LIMITS.detailLength)),
        seq: uint64(seq, 'uploadStatus.seq'),
      };
    case 'UNKNOWN':
      return { state: 'Unknown' };
  }
}

/** Throws INVALID_ARGUMENT for more records than a cohort has members. What they say is judged where they are read. */
export function stageResultOf({ set, records }: StageResult__Output): StageResult {
  bounded(records.length, LIMITS.updatesPerRound, 'stageResult.records');
  return {
    set: copy(set),
    records: records.map(({ agentId, payload, signature, attachment }) => ({
      agentId,
      payload: copy(payload),
      signature: copy(signature),
      attachment: copy(attachment),
    })),
  };
}

/** A 64-bit number that this side can hold exactly. */
export function uint64(text: string, field: string): number {
  const value = Number(text);
  if (!/^[0-9]{1,16}$/.test(text) || !Number.isSafeInteger(value))
    throw invalid(field, 'is not a number below 2^53');
  return value;
}

/** Decoded bytes are views into a larger buffer: what is kept must not keep that alive. */
export const copy = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes);

function required<T>(value: T | null | undefined, field: string): T {
  if (value === null || value === undefined) throw invalid(field, 'is missing');
  return value;
}

function bounded(count: number, limit: number, field: string): void {
  if (count > limit) throw invalid(field, `has more than ${String(limit)} elements`);
}

const invalid = (field: string, problem: string): TributaryError =>
  new TributaryError('INVALID_ARGUMENT', `${field} ${problem}`, { fields: { field } });
