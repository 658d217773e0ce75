import { LIMITS, requireId, TributaryError } from '@tributary/proto';
import type {
  FetchBlobRequest__Output,
  UploadMessage__Output,
  UploadReceipt as UploadReceiptMessage,
} from '@tributary/proto/grpc';

import type { BlobAccess } from '../../app/blob-access.js';
import type { ReceivingUpload, UploadReceipt } from '../../app/upload.js';
import type { StageReception } from '../../app/stage-reception.js';
import type { UploadReception } from '../../app/upload-reception.js';
import { BlobMessages, type FleetService } from './blob-messages.js';
import type { Callers } from './caller.js';
import { withIdleDeadline, type CallContext, type Calls, type Sink } from './calls.js';
import { Concurrency } from './concurrency.js';
import type { AgentStreams } from './fleet-connect.js';
import { invalid } from './wire/fields.js';
import { fromFetchBlob, fromUploadMessage, toUploadStatus } from './wire/fleet.js';
import { fromStageMessage, fromStageRequest, toStageResult } from './wire/stages.js';

export interface ByteObserver {
  received(bytes: number): void;
  sent(bytes: number): void;
}

export interface FleetParts {
  readonly streams: AgentStreams;
  readonly uploads: UploadReception;
  readonly stages: StageReception;
  readonly blobs: BlobAccess;
  readonly callers: Callers;
  readonly calls: Calls;
  readonly observer: ByteObserver;
}

/** What agents call. Their identity is asked for again with every message. */
export function fleetService(parts: FleetParts): FleetService {
  const { calls, callers } = parts;
  const messages = new BlobMessages();
  const downloads = new Concurrency('downloads', LIMITS.agents, LIMITS.downloadsPerAgent);
  const uploads = new Concurrency('uploads', LIMITS.concurrentUploads, LIMITS.uploadsPerAgent);
  return {
    Connect: calls.bidi('Connect', (stream, context) => parts.streams.serve(stream, context)),
    FetchBlob: calls.serverStream(
      'FetchBlob',
      (request, sink, context) => sendBlob(parts, messages, request, sink, context),
      { places: downloads, ahead: LIMITS.chunksAhead },
    ),
    GetUploadStatus: calls.unary('GetUploadStatus', async (request, context) => {
      const { agentId } = callers.agent(context);
      return toUploadStatus(
        await parts.uploads.status(agentId, requireId(request.uploadId, 'upl', 'uploadId')),
      );
    }),
    SubmitUpdate: calls.clientStream(
      'SubmitUpdate',
      (messages, context) => receiveUpdate(parts, messages, context),
      uploads,
    ),
    SubmitStage: calls.unary('SubmitStage', async (request, context) => {
      await parts.stages.submit(callers.agent(context).agentId, fromStageMessage(request));
      return {};
    }),
    GetStage: calls.unary('GetStage', async (request, context) => {
      const { agentId } = callers.agent(context);
      return toStageResult(await parts.stages.result(agentId, fromStageRequest(request)));
    }),
  };
}

async function sendBlob(
  parts: FleetParts,
  messages: BlobMessages,
  request: FetchBlobRequest__Output,
  sink: Sink<Buffer>,
  context: CallContext,
): Promise<void> {
  const { agentId } = parts.callers.agent(context);
  const wanted = fromFetchBlob(request);
  const blob = await parts.blobs.open(agentId, wanted);
  for await (const { bytes, length } of messages.read(blob, wanted.offset)) {
    parts.callers.agent(context);
    await sink.write(bytes);
    parts.observer.sent(length);
  }
}

async function receiveUpdate(
  parts: FleetParts,
  messages: AsyncIterableIterator<UploadMessage__Output, undefined>,
  context: CallContext,
): Promise<UploadReceiptMessage> {
  const { agentId } = parts.callers.agent(context);
  let upload: ReceivingUpload | undefined;
  try {
    for await (const message of withIdleDeadline(messages, LIMITS.streamIdleMs, 'upload')) {
      // An agent that was revoked in the middle of an upload delivers nothing more.
      parts.callers.agent(context);
      const part = fromUploadMessage(message);
      if (upload === undefined) {
        if (part.type !== 'Header') throw invalid('message', 'a header as the first message');
        upload = await parts.uploads.begin(agentId, part.offer);
        if (upload.receipt !== undefined) return toReceipt(upload.receipt);
        continue;
      }
      if (part.type === 'Header') throw invalid('message', 'one header only');
      if (part.type === 'Seal') return toReceipt(await upload.seal(part.seal));
      parts.observer.received(part.bytes.length);
      await upload.push(part.index, part.bytes);
    }
    throw new TributaryError('UPDATE_CORRUPT', 'the upload ended before its seal', {
      hint: 'resume it from the acknowledged chunk',
    });
  } finally {
    await upload?.abandon();
  }
}

function toReceipt(receipt: UploadReceipt): UploadReceiptMessage {
  return { uploadId: receipt.uploadId, seq: String(receipt.seq) };
}
