import assert from 'node:assert/strict';
import { request, type ClientRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';

import type { InferenceService } from '@tributary/edge-agent/internal/adapters/oip/inference-service.js';
import { restServer } from '@tributary/edge-agent/internal/adapters/oip/rest-server.js';

const ROOM = 64 * 1024;

describe('bodies of requests for predictions over REST', () => {
  let server: Server;
  let open: ClientRequest[];

  beforeEach(async () => {
    open = [];
    // No body here is a request, so that nothing is asked of a model.
    const service = {} as InferenceService;
    server = restServer({ service, onUnexpected: (error) => assert.fail(String(error)), bodiesBytes: ROOM });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });

  afterEach(async () => {
    for (const one of open) one.destroy();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  /** Sends `bytes` and leaves the rest open, unless it is all. */
  function send(bytes: number, whole: boolean): { readonly status: Promise<number | undefined> } {
    const { port } = server.address() as AddressInfo;
    const sent = request({
      port,
      host: '127.0.0.1',
      method: 'POST',
      path: '/v2/models/trial/infer',
      agent: false,
    });
    open.push(sent);
    const status = new Promise<number | undefined>((resolve) => {
      sent.on('response', (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      sent.on('error', () => resolve(undefined));
    });
    sent.write(Buffer.alloc(bytes, ' '));
    if (whole) sent.end();
    return { status };
  }

  it('share a room: one too many is refused, and taken again when another has left', async () => {
    const held = send(ROOM - 1024, false);
    // The first has no answer that says when it has arrived: until then, others have room and are no requests.
    let other: number | undefined;
    do other = await send(2048, true).status;
    while (other === 400);
    assert.equal(other, 429);
    assert.equal(await send(512, true).status, 400, 'a small one has room, and is no request');
    open[0]?.destroy();
    assert.equal(await held.status, undefined);
    for (let again: number | undefined; again !== 400; await turn())
      again = await send(ROOM - 1024, true).status;
  });
});
