import assert from 'node:assert/strict';
import { connect, type ClientHttp2Session } from 'node:http2';

import { credentials, Metadata, status, type ServiceError } from '@grpc/grpc-js';
import {
  GRPCInferenceService,
  serveGrpc,
  type GrpcInferenceServer,
} from '@tributary/edge-agent/internal/adapters/oip/grpc-server.js';
import type { ModelInferRequest } from '@tributary/edge-agent/internal/gen/inference/ModelInferRequest.js';
import type { ModelInferResponse__Output } from '@tributary/edge-agent/internal/gen/inference/ModelInferResponse.js';
import { bytesToFloat32, float32ToBytes, LIMITS } from '@tributary/proto';

import { servedEndpoint, TRIAL_ROWS, type ServedEndpoint } from '../support/served-endpoint.js';
import { eventually } from '../support/waiting.js';

const TOKEN = 'a-token-of-the-endpoint';

describe('gRPC endpoint of the Open Inference Protocol', function () {
  this.timeout(60_000);
  let endpoint: ServedEndpoint;
  let grpc: GrpcInferenceServer;
  let client: InstanceType<typeof GRPCInferenceService>;

  before(async () => {
    endpoint = await servedEndpoint();
    grpc = await serveGrpc({ ...endpoint.options, host: '127.0.0.1', port: 0, token: TOKEN });
    client = new GRPCInferenceService(`127.0.0.1:${String(grpc.port)}`, credentials.createInsecure());
  });

  after(async () => {
    client.close();
    await grpc.close();
    await endpoint.close();
    assert.deepEqual(endpoint.unexpected, []);
  });

  const token = (): Metadata => {
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${TOKEN}`);
    return metadata;
  };

  const infer = (message: ModelInferRequest, metadata = token()): Promise<ModelInferResponse__Output> =>
    new Promise((resolve, reject) => {
      client.modelInfer(message, metadata, (error, response) => {
        if (error !== null || response === undefined) reject(error ?? new Error('no answer'));
        else resolve(response);
      });
    });

  const call = <T>(start: (done: (error: ServiceError | null, value?: T) => void) => unknown): Promise<T> =>
    new Promise((resolve, reject) => {
      start((error, value) => {
        if (error !== null || value === undefined) reject(error ?? new Error('no answer'));
        else resolve(value);
      });
    });

  it('answers typed and raw contents with the same bits, each in its own form', async () => {
    const expected = await endpoint.predictor.predict({ model: 'trial', rows: TRIAL_ROWS });
    const typed = await infer({
      modelName: 'trial',
      id: 'request-2',
      inputs: [
        { name: 'x1', datatype: 'FP64', shape: [2], contents: { fp64Contents: [0.5, -1] } },
        { name: 'x2', datatype: 'INT64', shape: [2], contents: { int64Contents: ['1', '3'] } },
        {
          name: 'c',
          datatype: 'BYTES',
          shape: [2],
          contents: { bytesContents: [Buffer.from('red'), Buffer.alloc(0)] },
        },
      ],
    });
    assert.deepEqual([typed.modelName, typed.modelVersion, typed.id], ['trial', '1', 'request-2']);
    assert.deepEqual(typed.outputs[0]?.contents?.fp32Contents, [...expected.scores]);
    assert.deepEqual(typed.outputs[1]?.contents?.bytesContents.map(String), ['request-2/0', 'request-2/1']);
    const inputs = [{ name: 'input', datatype: 'FP32', shape: [2, 5] }];
    const encoded = Float32Array.of(0.5, 0, 1, 0, 0, -1, 1, 0, 0, 1);
    const raw = await infer({
      modelName: 'trial',
      modelVersion: '1',
      parameters: { decision_ids: { stringParam: '["first","second"]' } },
      inputs,
      rawInputContents: [float32ToBytes(encoded)],
    });
    assert.deepEqual(bytesToFloat32(raw.rawOutputContents[0] ?? Buffer.alloc(0)), expected.scores);
    assert.equal(raw.outputs[0]?.contents, null);
    const text = raw.rawOutputContents[1] ?? Buffer.alloc(0);
    assert.equal(text.toString('latin1'), '\x05\0\0\0first\x06\0\0\0second');
    const columnsRaw = await infer({
      modelName: 'trial',
      inputs: [
        { name: 'x1', datatype: 'FP32', shape: [1] },
        { name: 'x2', datatype: 'INT16', shape: [1] },
        { name: 'c', datatype: 'BYTES', shape: [1] },
      ],
      rawInputContents: [
        float32ToBytes(Float32Array.of(0.5)),
        Buffer.from(Int16Array.of(1).buffer),
        Buffer.concat([Buffer.from(Uint32Array.of(3).buffer), Buffer.from('red')]),
      ],
    });
    assert.deepEqual(
      bytesToFloat32(columnsRaw.rawOutputContents[0] ?? Buffer.alloc(0)),
      expected.scores.slice(0, 1),
    );
  });

  it('refuses a stranger before it reads the message', async () => {
    const sessions: ClientHttp2Session[] = [];
    const statusOf = (method: string): Promise<string | undefined> =>
      new Promise((resolve, reject) => {
        const session = connect(`http://127.0.0.1:${String(grpc.port)}`);
        sessions.push(session);
        const path = `/inference.GRPCInferenceService/${method}`;
        const type = { 'content-type': 'application/grpc', te: 'trailers' };
        const stream = session.request({ ':method': 'POST', ':path': path, ...type }, { endStream: false });
        stream.on('error', reject);
        stream.on('response', (answer) => resolve(answer['grpc-status'] as string | undefined));
        // Says that 8 MiB follow, and sends nothing of them.
        stream.write(Buffer.from([0, 0, 0x80, 0, 0]));
      });
    try {
      assert.equal(await statusOf('ModelInfer'), String(status.UNAUTHENTICATED));
      const probes = Array.from({ length: LIMITS.predictionProbes + 1 }, () => statusOf('ServerLive'));
      assert.equal(await Promise.race(probes), String(status.RESOURCE_EXHAUSTED), 'one too many');
      Promise.allSettled(probes).catch(() => undefined);
    } finally {
      for (const session of sessions) session.destroy();
    }
    await eventually('places for probes', () =>
      call<{ live: boolean }>((done) => client.serverLive({}, done)).then(
        ({ live }) => live,
        () => undefined,
      ),
    );
  });

  it('tells health and metadata, and asks for the token', async () => {
    assert.deepEqual(await call((done) => client.serverLive({}, done)), { live: true });
    assert.deepEqual(await call((done) => client.serverReady({}, done)), { ready: true });
    const ready = (version: string) =>
      call((done) => client.modelReady({ name: 'trial', version }, token(), done));
    assert.deepEqual(await ready('2'), { ready: true });
    assert.deepEqual(await ready('3'), { ready: false });
    const server = await call<{ name: string }>((done) => client.serverMetadata({}, token(), done));
    assert.equal(server.name, 'tributary-agent');
    const model = await call<{ inputs: { name: string; shape: string[] }[]; versions: string[] }>((done) =>
      client.modelMetadata({ name: 'trial' }, token(), done),
    );
    assert.deepEqual(
      model.inputs.map(({ name, shape }) => [name, ...shape]),
      [
        ['x1', '-1'],
        ['x2', '-1'],
        ['c', '-1'],
      ],
    );
    assert.deepEqual(model.versions, ['1', '2']);
    const refused = (code: status) => (error: unknown) => (error as ServiceError).code === code;
    await assert.rejects(infer({ modelName: 'trial' }, new Metadata()), refused(status.UNAUTHENTICATED));
    await assert.rejects(infer({ modelName: 'trial' }), refused(status.INVALID_ARGUMENT));
    const inputs = [{ name: 'input', datatype: 'FP32', shape: [1, 5] }];
    await assert.rejects(infer({ modelName: 'none', inputs }), refused(status.INVALID_ARGUMENT));
    const contents = { fp32Contents: [0, 0, 0, 0, 0] };
    const whole = [{ ...inputs[0], contents }];
    await assert.rejects(infer({ modelName: 'none', inputs: whole }), refused(status.NOT_FOUND));
    for (const bytes of [Buffer.alloc(19), Buffer.alloc(0)])
      await assert.rejects(
        infer({ modelName: 'trial', inputs, rawInputContents: [bytes] }),
        refused(status.INVALID_ARGUMENT),
      );
  });
});
