import { once } from 'node:events';

import { LIMITS, TributaryError, type SignedTreeHead } from '@tributary/proto';
import {
  callServerStream,
  callUnary,
  fromServiceError,
  type FleetClient as FleetStub,
  type LedgerClient as LedgerStub,
  Fleet,
  Ledger,
  type UploadMessage,
  type UploadReceipt__Output,
} from '@tributary/proto/grpc';
import type { ClientWritableStream, ServiceError } from '@grpc/grpc-js';

import type { EgressMeter } from '../../egress-ports.js';
import type { BlobRequest, FleetClient, FleetStream, UploadPart, UploadStatus } from '../../ports.js';
import type { StageMessage, StageRef, StageResult } from '../../stage-ports.js';
import {
  copy,
  stageResultOf,
  toAgentWire,
  toUploadWire,
  treeHeadOf,
  uint64,
  uploadStatusOf,
} from './messages.js';
import { openStream } from './fleet-stream.js';

/** The fleet and ledger services of one coordinator over one channel. */
export class FleetChannel implements FleetClient {
  readonly #fleet: FleetStub;
  readonly #ledger: LedgerStub;
  readonly #egress: EgressMeter;
  #closed = false;

  constructor(fleet: FleetStub, ledger: LedgerStub, egress: EgressMeter) {
    this.#fleet = fleet;
    this.#ledger = ledger;
    this.#egress = egress;
  }

  connect(): FleetStream {
    this.#requireOpen();
    const call = this.#fleet.connect();
    return openStream(call, (message) => {
      const wire = toAgentWire(message);
      const bytes = Fleet.service.Connect.requestSerialize(wire).length;
      this.#egress.count('control', bytes, 'jobId' in message ? message.jobId : undefined);
      return wire;
    });
  }

  async *fetchBlob(request: BlobRequest, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const { digest, offset } = request;
    const owner =
      'rolloutId' in request
        ? { rolloutId: request.rolloutId }
        : { jobId: request.jobId, round: request.round };
    const wire = { ...owner, digest, offset: String(offset) };
    this.#requireOpen();
    this.#egress.count(
      'control',
      Fleet.service.FetchBlob.requestSerialize(wire).length,
      'jobId' in request ? request.jobId : undefined,
    );
    let expected = offset;
    const idle = new IdleGuard(signal);
    try {
      for await (const chunk of callServerStream(this.#fleet, Fleet.service.FetchBlob, wire, {
        signal: idle.signal,
      })) {
        idle.touch();
        if (uint64(chunk.offset, 'blobChunk.offset') !== expected) {
          throw new TributaryError(
            'INVALID_ARGUMENT',
            'blobChunk.offset: the pieces of a blob follow each other',
          );
        }
        // It would keep the stream alive for ever and bring it no further.
        if (chunk.data.length === 0)
          throw new TributaryError('INVALID_ARGUMENT', 'blobChunk.data: a piece of a blob holds bytes');
        expected += chunk.data.length;
        yield chunk.data;
      }
    } catch (error) {
      throw idle.reason(error);
    } finally {
      idle.end();
    }
  }

  async uploadStatus(uploadId: string, signal: AbortSignal): Promise<UploadStatus> {
    this.#requireOpen();
    this.#countControl(Fleet.service.GetUploadStatus.requestSerialize({ uploadId }));
    return uploadStatusOf(
      await callUnary(this.#fleet, Fleet.service.GetUploadStatus, { uploadId }, { signal }),
    );
  }

  async submitUpdate(
    parts: AsyncIterable<UploadPart>,
    signal: AbortSignal,
    jobId: string,
  ): Promise<{ readonly seq: number }> {
    this.#requireOpen();
    const idle = new IdleGuard(signal);
    try {
      const answer = await this.#send(parts, idle, jobId);
      return { seq: uint64(answer.seq, 'uploadReceipt.seq') };
    } catch (error) {
      throw idle.reason(error);
    } finally {
      idle.end();
    }
  }

  async submitStage({ attachments, ...message }: StageMessage): Promise<void> {
    this.#requireOpen();
    const attached = [...attachments].map(([agentId, data]) => ({ agentId, data }));
    const request = { ...message, attachments: attached };
    this.#countControl(Fleet.service.SubmitStage.requestSerialize(request));
    await callUnary(this.#fleet, Fleet.service.SubmitStage, request);
  }

  async stageResult(stage: StageRef): Promise<StageResult> {
    this.#requireOpen();
    this.#countControl(Fleet.service.GetStage.requestSerialize(stage));
    return stageResultOf(await callUnary(this.#fleet, Fleet.service.GetStage, stage));
  }

  async consistencyProof(first: number, second: number): Promise<readonly Uint8Array[]> {
    this.#requireOpen();
    const request = { first: String(first), second: String(second) };
    this.#countControl(Ledger.service.GetConsistencyProof.requestSerialize(request));
    const { path } = await callUnary(this.#ledger, Ledger.service.GetConsistencyProof, request);
    return path.map(copy);
  }

  async treeHead(): Promise<SignedTreeHead> {
    this.#requireOpen();
    this.#countControl(Ledger.service.GetTreeHead.requestSerialize({}));
    return treeHeadOf(await callUnary(this.#ledger, Ledger.service.GetTreeHead, {}), 'treeHead');
  }

  /** Calls that run go on to their end; no other begins. */
  close(): void {
    this.#closed = true;
    this.#fleet.close();
    this.#ledger.close();
  }

  /**
   * An upload asks for its status first; when the link has been made anew in between, its next call comes too late for
   * this channel. grpc-js would throw a plain error, which reads as a fault that no other try mends.
   */
  #requireOpen(): void {
    if (this.#closed) throw new TributaryError('UNAVAILABLE', 'the connection was replaced by a newer one');
  }

  #countControl(message: Uint8Array): void {
    this.#egress.count('control', message.length);
  }

  /** Sends with back-pressure. An answer before the end (a refusal, or an upload accepted before) ends the sending. */
  #send(parts: AsyncIterable<UploadPart>, idle: IdleGuard, jobId: string): Promise<UploadReceipt__Output> {
    return new Promise((resolve, reject) => {
      const answered = new AbortController();
      const call = this.#fleet.submitUpdate((error: ServiceError | null, receipt?: UploadReceipt__Output) => {
        answered.abort();
        if (error === null && receipt !== undefined) resolve(receipt);
        else reject(fromServiceError(error ?? new Error('no answer')));
      });
      idle.signal.addEventListener('abort', () => call.cancel(), { once: true });
      this.#pump(call, this.#counted(parts, jobId), answered.signal, idle).catch((error: unknown) => {
        if (answered.signal.aborted) return;
        reject(TributaryError.from(error));
        call.cancel();
      });
    });
  }

  async *#counted(parts: AsyncIterable<UploadPart>, jobId: string): AsyncGenerator<UploadPart> {
    for await (const part of parts) {
      this.#egress.count('update', payloadBytes(part), jobId);
      yield part;
    }
  }

  async #pump(
    call: UploadCall,
    parts: AsyncIterable<UploadPart>,
    answered: AbortSignal,
    idle: IdleGuard,
  ): Promise<void> {
    for await (const part of parts) {
      if (answered.aborted || idle.signal.aborted) return;
      idle.touch();
      if (!call.write(toUploadWire(part))) await once(call, 'drain', { signal: answered });
    }
    call.end();
  }
}

type UploadCall = ClientWritableStream<UploadMessage>;

function payloadBytes(part: UploadPart): number {
  switch (part.type) {
    case 'Header':
      return part.uploadId.length + part.header.length + part.signature.length;
    case 'Chunk':
      return part.data.length;
    case 'Seal':
      return part.tagsDigest.length + part.signature.length;
  }
}

/** Ends a stream on which nothing has moved for LIMITS.streamIdleMs: the deadline of calls of unknown length. */
class IdleGuard {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #timer: NodeJS.Timeout;
  #idle = false;
  readonly #forward = (): void => {
    this.#controller.abort();
  };

  constructor(outer: AbortSignal) {
    this.#outer = outer;
    this.#timer = setTimeout(() => {
      this.#idle = true;
      this.#controller.abort();
    }, LIMITS.streamIdleMs);
    if (outer.aborted) this.#controller.abort();
    else outer.addEventListener('abort', this.#forward, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  touch(): void {
    this.#timer.refresh();
  }

  reason(error: unknown): TributaryError {
    if (this.#idle)
      return new TributaryError('DEADLINE_EXCEEDED', 'nothing has moved on the stream for too long', {
        cause: error,
      });
    if (this.#outer.aborted)
      return new TributaryError('JOB_CANCELLED', 'the transfer was stopped', { cause: error });
    return TributaryError.from(error);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#outer.removeEventListener('abort', this.#forward);
  }
}
