import assert from 'node:assert/strict';
import { request } from 'node:http';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import {
  listenOnPort,
  listenOnSocket,
  type LocalServer,
} from '@tributary/edge-agent/internal/adapters/http/local-server.js';
import { restServer } from '@tributary/edge-agent/internal/adapters/oip/rest-server.js';
import { LIMITS } from '@tributary/proto';
import fc from 'fast-check';

import { servedEndpoint, TRIAL_ROWS, type ServedEndpoint } from '../support/served-endpoint.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

const TOKEN = 'a-token-of-the-endpoint';

interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly datatype: string;
  readonly data: readonly (number | string)[];
  readonly parameters?: { readonly names: string };
}

interface InferAnswer {
  readonly model_name: string;
  readonly model_version: string;
  readonly id?: string;
  readonly outputs: readonly Tensor[];
  readonly parameters: { readonly unreadable_cells: number };
}

describe('endpoint of the Open Inference Protocol', function () {
  this.timeout(60_000);
  let folder: TemporaryDirectory;
  let rest: LocalServer;
  let guarded: LocalServer;
  let socket: LocalServer;
  let endpoint: ServedEndpoint;

  before(async () => {
    folder = await temporaryDirectory();
    endpoint = await servedEndpoint();
    const { options } = endpoint;
    rest = await listenOnPort(restServer(options), 0, '127.0.0.1');
    guarded = await listenOnPort(restServer({ ...options, token: TOKEN }), 0, '127.0.0.1');
    socket = await listenOnSocket(restServer(options), join(folder.path, 'serving.sock'));
  });

  after(async () => {
    for (const each of [rest, guarded, socket]) await each.close();
    await endpoint.close();
    await folder.remove();
    assert.deepEqual(endpoint.unexpected, []);
  });

  const url = (path: string, { port }: LocalServer = rest): string =>
    `http://127.0.0.1:${String(port)}${path}`;

  async function get(path: string): Promise<{ status: number; body: unknown }> {
    const response = await fetch(url(path));
    return { status: response.status, body: await response.json() };
  }

  async function post(path: string, body: unknown): Promise<{ status: number; body: unknown }> {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const response = await fetch(url(path), { method: 'POST', body: text });
    return { status: response.status, body: await response.json() };
  }

  const columns = [
    { name: 'x1', shape: [2], datatype: 'FP64', data: [0.5, -1] },
    { name: 'x2', shape: [2, 1], datatype: 'INT64', data: [1, 3] },
    { name: 'c', shape: [2], datatype: 'BYTES', data: ['red', null] },
  ];
  it('tells health and what it serves', async () => {
    assert.deepEqual(await get('/v2/health/live'), { status: 200, body: { live: true } });
    assert.deepEqual(await get('/v2/health/ready'), { status: 200, body: { ready: true } });
    assert.deepEqual(await get('/v2/models/trial/ready'), {
      status: 200,
      body: { name: 'trial', ready: true },
    });
    assert.equal((await get('/v2/models/trial/versions/2/ready')).status, 200);
    assert.equal((await get('/v2/models/trial/versions/3/ready')).status, 503);
    const { body } = await get('/v2');
    assert.deepEqual((body as { models: unknown }).models, [
      { name: 'trial', version: 1 },
      { name: 'waves', version: 1 },
    ]);
    assert.deepEqual((await get('/v2/models/trial')).body, {
      name: 'trial',
      versions: ['1', '2'],
      platform: 'tributary_tfjs',
      inputs: [
        { name: 'x1', datatype: 'FP64', shape: [-1] },
        { name: 'x2', datatype: 'FP64', shape: [-1] },
        { name: 'c', datatype: 'BYTES', shape: [-1] },
      ],
      outputs: [
        { name: 'scores', datatype: 'FP32', shape: [-1, 1] },
        { name: 'decision_id', datatype: 'BYTES', shape: [-1] },
      ],
    });
    assert.equal((await get('/v2/models/none')).status, 404);
  });

  it('answers for columns by name and for encoded rows with the bits of the predictor, and logs', async () => {
    const expected = await endpoint.predictor.predict({ model: 'trial', rows: TRIAL_ROWS });
    endpoint.logged.length = 0;
    const { status: code, body } = await post('/v2/models/trial/infer', { id: 'request-1', inputs: columns });
    assert.equal(code, 200, JSON.stringify(body));
    const answer = body as InferAnswer;
    assert.deepEqual([answer.model_name, answer.model_version, answer.id], ['trial', '1', 'request-1']);
    const [scores, ids] = answer.outputs;
    assert.deepEqual(scores, {
      name: 'scores',
      shape: [2, 1],
      datatype: 'FP32',
      parameters: { names: '["yes"]' },
      data: [...expected.scores],
    });
    assert.deepEqual(
      endpoint.logged.map(({ decisionId, version, source }) => ({ decisionId, version, source })),
      ids?.data.map((decisionId) => ({ decisionId, version: 1, source: 'oip' })),
    );
    const encoded = [0.5, 0, 1, 0, 0, -1, 1, 0, 0, 1];
    for (const data of [encoded, [encoded.slice(0, 5), encoded.slice(5)]]) {
      const raw = await post('/v2/models/trial/infer', {
        inputs: [{ name: 'input', shape: [2, 5], datatype: 'FP32', data }],
        outputs: [{ name: 'scores' }],
      });
      assert.deepEqual((raw.body as InferAnswer).outputs, [scores]);
    }
  });

  it('takes decision ids from the request, so that one sent again is logged under the same', async () => {
    const idsOf = async (request: object): Promise<unknown> => {
      const { status: code, body } = await post('/v2/models/trial/infer', request);
      return code === 200 ? (body as InferAnswer).outputs.at(-1)?.data : body;
    };
    const one = [tensor({}), tensor({ name: 'x2' }), tensor({ name: 'c', datatype: 'BYTES', data: ['red'] })];
    endpoint.logged.length = 0;
    for (let again = 0; again < 2; again += 1) {
      assert.deepEqual(await idsOf({ id: 'order 7', inputs: one }), ['order 7']);
      assert.deepEqual(await idsOf({ id: 'order 8', inputs: columns }), ['order 8/0', 'order 8/1']);
      const parameters = { decision_ids: '["a","b"]' };
      assert.deepEqual(await idsOf({ id: 'order 9', parameters, inputs: columns }), ['a', 'b']);
    }
    const logged = endpoint.logged.map(({ decisionId }) => decisionId);
    assert.deepEqual(logged.slice(0, 5), ['order 7', 'order 8/0', 'order 8/1', 'a', 'b']);
    assert.deepEqual(logged.slice(5), logged.slice(0, 5));
    for (const decision_ids of ['["a"]', '["a","a"]', '["a",""]', '["a","b\\n"]', '[1,2]', 'a,b'])
      assert.match(
        JSON.stringify(await idsOf({ parameters: { decision_ids }, inputs: columns })),
        /INVALID_ARGUMENT.*decision_ids/,
      );
    assert.match(JSON.stringify(await idsOf({ id: 'a\u0007', inputs: columns })), /INVALID_ARGUMENT: id/);
    assert.match(String(await idsOf({ id: '', inputs: one })), /^[0-9a-f]{32}$/);
  });

  it('answers for lists and names classes', async () => {
    const pulse = { name: 'pulse', shape: [1, 4], datatype: 'FP32', data: [[60, 70, null, 90]] };
    const { body } = await post('/v2/models/waves/infer', { inputs: [pulse] });
    const answer = body as InferAnswer;
    const expected = await endpoint.predictor.predict({
      model: 'waves',
      rows: [{ pulse: [60, 70, null, 90] }],
    });
    assert.deepEqual(answer.outputs[0]?.data, [...expected.scores]);
    assert.deepEqual(answer.outputs[1]?.data, expected.labels);
    const text = { name: 'pulse', shape: [1], datatype: 'BYTES', data: ['[60, 70, null, 90]'] };
    const again = await post('/v2/models/waves/infer', { inputs: [text] });
    assert.deepEqual((again.body as InferAnswer).outputs[0], answer.outputs[0]);
  });

  it('answers by the version of the path', async () => {
    const { body } = await post('/v2/models/trial/versions/2/infer', { inputs: columns });
    assert.equal((body as InferAnswer).model_version, '2');
  });

  it('answers although the log fails, and tells of it', async () => {
    endpoint.failLog(true);
    assert.equal((await post('/v2/models/trial/infer', { inputs: columns })).status, 200);
    endpoint.failLog(false);
    assert.equal(endpoint.logFailures.length, 1);
  });

  const tensor = (parts: object): object => ({
    name: 'x1',
    shape: [1],
    datatype: 'FP64',
    data: [1],
    ...parts,
  });
  const WRONG: readonly [string, unknown, number, RegExp][] = [
    ['no JSON', '{', 400, /not JSON/],
    ['no inputs', {}, 400, /inputs/],
    ['an empty list', { inputs: [] }, 400, /inputs/],
    ['an unknown column', { inputs: [tensor({ name: 'x9' })] }, 400, /x9/],
    ['a missing column', { inputs: columns.slice(1) }, 400, /x1/],
    ['a column twice', { inputs: [...columns, columns[0]] }, 400, /once/],
    ['too few elements', { inputs: [tensor({ shape: [2] })] }, 400, /as many elements/],
    ['too many elements', { inputs: [tensor({ data: [1, 2] })] }, 400, /more elements/],
    ['a text for a number', { inputs: [tensor({ data: ['1'] })] }, 400, /numbers/],
    ['a fraction for an integer', { inputs: [tensor({ datatype: 'INT8', data: [0.5] })] }, 400, /whole/],
    ['an unknown type', { inputs: [tensor({ datatype: 'FP16' })] }, 400, /datatype/],
    ['a negative size', { inputs: [tensor({ shape: [-1] })] }, 400, /whole numbers/],
    ['a huge shape', { inputs: [tensor({ shape: [1e9, 1e9] })] }, 413, /too many/],
    ['too many rows', { inputs: [tensor({ shape: [5_000], data: Array(5_000).fill(1) })] }, 413, /4096 rows/],
    [
      'a ragged batch',
      { inputs: [columns[0], columns[1], tensor({ name: 'c' })] },
      400,
      /same number of rows/,
    ],
    ['another width', { inputs: [tensor({ name: 'input', datatype: 'FP32' })] }, 400, /rows, 5/],
    ['an unknown output', { inputs: columns, outputs: [{ name: 'logits' }] }, 400, /logits/],
    ['no rows', { inputs: columns.map((each) => ({ ...each, shape: [0], data: [] })) }, 400, /at least one/],
  ];
  for (const [name, body, code, words] of WRONG)
    it(`refuses ${name}`, async () => {
      const answer = await post('/v2/models/trial/infer', body);
      assert.equal(answer.status, code);
      assert.match((answer.body as { error: string }).error, words);
    });

  it('refuses wrong paths, methods, encodings, and bodies beyond its limit', async () => {
    assert.equal((await get('/v3')).status, 404);
    assert.equal((await get('/v2/models/%ff')).status, 400);
    assert.equal((await get('/v2/models/trial/infer')).status, 405);
    assert.equal((await post('/v2/models/trial', {})).status, 405);
    const headers = { 'content-encoding': 'gzip' };
    const packed = await fetch(url('/v2/models/trial/infer'), { method: 'POST', body: 'x', headers });
    assert.equal(packed.status, 400);
    const long = await declared(LIMITS.predictionBodyBytes + 1);
    assert.equal(long, 413);
  });

  /** The status of a request that says how long it will be and sends only its head. */
  function declared(length: number): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const call = request(url('/v2/models/trial/infer'), {
        method: 'POST',
        headers: { 'content-length': length },
      });
      call.on('response', (response) => {
        resolve(response.statusCode);
        call.destroy();
      });
      call.on('error', reject);
      call.flushHeaders();
    });
  }

  it('asks for its token where it has one, and refuses web pages where it has none', async () => {
    const ask = (server: LocalServer, headers: Record<string, string>, path = '/v2'): Promise<number> =>
      fetch(url(path, server), { headers }).then((response) => response.status);
    assert.equal(await ask(guarded, {}), 401);
    assert.equal(await ask(guarded, { authorization: 'Bearer wrong' }), 401);
    assert.equal(await ask(guarded, { authorization: `Bearer ${TOKEN}` }), 200);
    assert.equal(await ask(guarded, {}, '/v2/health/ready'), 200);
    assert.equal(await ask(rest, { origin: 'https://example.org' }), 403);
  });

  it('answers on a Unix socket of its own user', async () => {
    const path = join(folder.path, 'serving.sock');
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    const code = await new Promise((resolve, reject) => {
      request({ socketPath: path, path: '/v2/health/live' }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end();
    });
    assert.equal(code, 200);
  });

  it('answers every body with a status and a JSON error, whatever is in it', async () => {
    const value = fc.letrec<{ json: unknown }>((tie) => ({
      json: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom(
          null,
          'x1',
          'input',
          'FP32',
          'BYTES',
          'INT64',
          -1,
          0,
          1,
          2,
          5,
          1e300,
          true,
          '__proto__',
        ),
        fc.array(tie('json'), { maxLength: 4 }),
        fc.dictionary(
          fc.constantFrom('name', 'shape', 'datatype', 'data', 'inputs', 'id', 'outputs'),
          tie('json'),
        ),
      ),
    })).json;
    const tensors = fc.array(
      fc.record(
        {
          name: fc.constantFrom('x1', 'x2', 'c', 'input', 'other'),
          shape: value,
          datatype: value,
          data: value,
        },
        { requiredKeys: ['name'] },
      ),
      { maxLength: 4 },
    );
    const bodies = fc.oneof(
      fc.string(),
      fc.uint8Array().map((bytes) => Buffer.from(bytes).toString('latin1')),
      value.map((each) => JSON.stringify(each)),
      tensors.map((inputs) => JSON.stringify({ inputs })),
      fc
        .nat(JSON.stringify({ inputs: columns }).length)
        .map((cut) => JSON.stringify({ inputs: columns }).slice(0, cut)),
    );
    await fc.assert(
      fc.asyncProperty(bodies, async (body) => {
        const { status: code, body: answer } = await post('/v2/models/trial/infer', body);
        if (code === 200) return;
        assert.ok(code >= 400 && code < 500, `${String(code)} for ${body}`);
        assert.match((answer as { error: string }).error, /^[A-Z_]+: ./);
      }),
      { numRuns: 400 },
    );
    const deep = '['.repeat(100_000) + ']'.repeat(100_000);
    const nested = `{"inputs":[{"name":"x1","shape":[1],"datatype":"FP64","data":${deep}}]}`;
    assert.equal((await post('/v2/models/trial/infer', nested)).status, 400);
    assert.equal((await get('/v2/health/live')).status, 200);
  });
});
