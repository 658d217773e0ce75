import assert from 'node:assert/strict';
import type { ServerHttp2Session } from 'node:http2';

import { LIMITS, TributaryError } from '@tributary/proto';
import {
  Admin,
  Enrolment,
  Fleet,
  fromServiceError,
  Ledger,
  serverOptions,
  channelOptions,
  toServiceError,
  widenSessions,
  widenStreams,
  type EnrolmentHandlers,
  type FleetHandlers,
  type UploadReceipt__Output,
} from '@tributary/proto/grpc';
import { credentials, Server, ServerCredentials, type ServiceError } from '@grpc/grpc-js';

import { refusal } from '../../support/refusal.js';

const CHUNKS = 8;

const unimplemented = (): never => assert.fail('not called');

const fleet: FleetHandlers = {
  Connect: unimplemented,
  FetchBlob: unimplemented,
  SubmitStage: unimplemented,
  GetStage: unimplemented,
  GetUploadStatus: (call, callback) => {
    callback(
      toServiceError(
        new TributaryError('NOT_FOUND', `no upload ${call.request.uploadId}`, { hint: 'send the header' }),
      ),
    );
  },
  SubmitUpdate: (call, callback) => {
    let bytes = 0;
    call.on('data', ({ chunk }: { chunk?: { data: Buffer } | null }) => (bytes += chunk?.data.length ?? 0));
    call.on('end', () => callback(null, { uploadId: 'upl-1', seq: String(bytes) }));
  },
};

interface Running {
  readonly client: InstanceType<typeof Fleet>;
  readonly sessions: ServerHttp2Session[];
  stop(): void;
}

async function start(): Promise<Running> {
  const server = new Server(serverOptions());
  server.addService(Fleet.service, fleet);
  widenStreams(server);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  widenSessions(server);
  const sessions: ServerHttp2Session[] = [];
  // The test looks where options.ts reaches: a version of grpc-js that moves it must not pass unnoticed.
  const { http2Servers } = server as unknown as {
    http2Servers: Map<{ on(event: string, listener: (session: ServerHttp2Session) => void): void }, unknown>;
  };
  for (const listener of http2Servers.keys()) listener.on('session', (session) => sessions.push(session));
  const client = new Fleet(`127.0.0.1:${String(port)}`, credentials.createInsecure(), channelOptions());
  return {
    client,
    sessions,
    stop() {
      client.close();
      server.forceShutdown();
    },
  };
}

describe('gRPC services', () => {
  let running: Running;
  before(async () => {
    running = await start();
  });
  after(() => {
    running.stop();
  });

  const upload = (): Promise<UploadReceipt__Output> =>
    new Promise((resolve, reject) => {
      const call = running.client.SubmitUpdate((error, receipt) => {
        if (receipt === undefined) reject(error ?? new Error('no receipt'));
        else resolve(receipt);
      });
      const data = new Uint8Array(LIMITS.chunkBytes + 16).fill(1);
      for (let index = 0; index < CHUNKS; index += 1) call.write({ chunk: { index, data } });
      call.end();
    });

  it('are those of the proto files', () => {
    assert.deepEqual(Object.keys(Fleet.service), [
      'Connect',
      'FetchBlob',
      'GetUploadStatus',
      'SubmitUpdate',
      'SubmitStage',
      'GetStage',
    ] satisfies (keyof FleetHandlers)[]);
    assert.deepEqual(Object.keys(Enrolment.service), [
      'Enroll',
      'GetChallenge',
      'Renew',
    ] satisfies (keyof EnrolmentHandlers)[]);
    assert.ok(Object.keys(Ledger.service).includes('GetConsistencyProof'));
    assert.ok(Object.keys(Admin.service).includes('WatchObjects'));
    assert.equal(Fleet.service.Connect.path, '/tributary.v1.Fleet/Connect');
  });

  it('let whole chunks with tag and framing pass, and give 64-bit numbers as strings', async () => {
    const receipt = await upload();
    assert.equal(receipt.seq, String(CHUNKS * (LIMITS.chunkBytes + 16)));
  });

  it('receive with a window that fills a long line', async () => {
    await upload();
    const [session] = running.sessions;
    assert.ok(session);
    assert.equal(session.state.effectiveLocalWindowSize, LIMITS.receiveWindowBytes);
    assert.equal(session.localSettings.initialWindowSize, LIMITS.receiveWindowBytes);
  });

  it('carry errors to the other side with code and hint', async () => {
    const failure = await new Promise<ServiceError | null>((resolve) =>
      running.client.GetUploadStatus({ uploadId: 'upl-7' }, resolve),
    );
    const error = fromServiceError(failure);
    assert.deepEqual(
      [error.code, error.message, error.hint],
      ['NOT_FOUND', 'no upload upl-7', 'send the header'],
    );
  });

  it('refuse messages over the limit with a code', async () => {
    const failure = await new Promise<ServiceError | null>((resolve) => {
      const call = running.client.SubmitUpdate(resolve);
      call.write({ chunk: { index: 0, data: new Uint8Array(LIMITS.grpcMessageBytes) } });
      call.end();
    });
    assert.ok(refusal('LIMIT_EXCEEDED')(fromServiceError(failure)), String(failure));
  });

  it('report a port where nobody answers as unavailable', async () => {
    const client = new Fleet('127.0.0.1:1', credentials.createInsecure(), channelOptions());
    const failure = await new Promise<ServiceError | null>((resolve) =>
      client.GetUploadStatus({ uploadId: 'x' }, resolve),
    );
    client.close();
    assert.ok(refusal('UNAVAILABLE')(fromServiceError(failure)), String(failure));
  });

  it('say so where grpc-js keeps its HTTP/2 servers elsewhere', () => {
    assert.throws(() => widenStreams({} as Server), refusal('INTERNAL'));
    assert.throws(() => widenSessions({} as Server), refusal('INTERNAL'));
  });
});
