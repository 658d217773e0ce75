import assert from 'node:assert/strict';
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Duplex } from 'node:stream';

import { credentials } from '@grpc/grpc-js';
import { serveHealth } from '@tributary/edge-agent/internal/adapters/grpc/health.js';
import { listenOnPort, servePagesOnPort } from '@tributary/edge-agent/internal/adapters/http/local-server.js';
import { GRPCInferenceService, serveGrpc } from '@tributary/edge-agent/internal/adapters/oip/grpc-server.js';
import { restServer } from '@tributary/edge-agent/internal/adapters/oip/rest-server.js';
import { LIMITS } from '@tributary/proto';
import { limitCallers } from '@tributary/proto/node';

import { CoordinatorWorld } from '../support/coordinator-world.js';
import { servedEndpoint, type ServedEndpoint } from '../support/served-endpoint.js';
import { eventually } from '../support/waiting.js';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
/** A frame of headers that another one is to continue. */
const UNFINISHED_HEADERS = Buffer.from([0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82]);
const EMPTY_SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);

/** What somebody says first who means no good, and then keeps the connection. */
const BEGINNINGS: Readonly<Record<string, string | Buffer>> = {
  nothing: '',
  'half of an HTTP/2 preface': PREFACE.slice(0, 12),
  'headers that never end': Buffer.concat([Buffer.from(PREFACE), EMPTY_SETTINGS, UNFINISHED_HEADERS]),
  'half of a request line': 'GET /metr',
};

describe('connections that are opened and kept', function () {
  this.timeout(120_000);
  const held: (Duplex | ClientHttp2Session)[] = [];

  afterEach(() => {
    for (const each of held.splice(0)) each.destroy();
  });

  const opened = (socket: Duplex, beginning: string | Buffer): Duplex => {
    held.push(socket.on('error', () => undefined));
    socket.resume();
    if (beginning.length > 0) socket.write(beginning);
    return socket;
  };
  const portOf = (address: string): number => Number(address.split(':').at(-1));
  const tcp = (port: number): Socket => connectTcp({ host: '127.0.0.1', port });

  /** `count` connections, by turns with each of the beginnings; resolves when the server has them. */
  async function crowd(count: number, open: () => Duplex, event = 'connect'): Promise<readonly Duplex[]> {
    const sockets: Duplex[] = [];
    const beginnings = Object.values(BEGINNINGS);
    while (sockets.length < count) {
      const together = Array.from({ length: Math.min(64, count - sockets.length) }, (_, index) => {
        const socket = opened(open(), beginnings[index % beginnings.length] ?? '');
        sockets.push(socket);
        return new Promise((resolve) => {
          socket.once(event, resolve).once('close', resolve);
        });
      });
      await Promise.all(together);
    }
    return sockets;
  }
  const open = (sockets: readonly Duplex[]): number =>
    sockets.filter((socket) => !socket.destroyed && !socket.closed).length;

  describe('at a coordinator', () => {
    let world: CoordinatorWorld;
    before(async () => {
      world = await CoordinatorWorld.start();
    });
    after(() => world.stop());

    it('keep no agent out, of whom there are more than handshakes at the same time', async () => {
      const member = await world.peer('before');
      const stream = member.connect();
      await stream.welcome();
      const { fleet } = await world.addresses();
      const sockets = await crowd(LIMITS.handshakes + 100, () => tcp(portOf(fleet)));
      await eventually('the oldest to be ended', () => open(sockets) <= LIMITS.handshakes || undefined);
      const late = await world.peer('after');
      await late.connect().welcome();
      assert.equal(stream.ended, undefined, 'an agent that had come before was ended');
    });

    it('keep no site from joining', async () => {
      const { enrol } = await world.addresses();
      const tls = (): Duplex =>
        connectTls({
          host: '127.0.0.1',
          port: portOf(enrol),
          rejectUnauthorized: false,
          ALPNProtocols: ['h2'],
        });
      await crowd(LIMITS.enrollingConnections, tls, 'secureConnect');
      const { agentId } = await world.peer('joins');
      const { document } = await world.admin('GetObject', { kind: 'site', name: 'joins' });
      const { status } = JSON.parse(document.toString()) as { status: { agentId?: string } };
      assert.equal(status.agentId, agentId);
    });

    it('keep no probe and no scraper out, not even with calls that stay open', async () => {
      const { health, metrics } = await world.addresses();
      for (let index = 0; index < LIMITS.probeConnections; index += 1) {
        const session = connectHttp2(`http://${health}`);
        held.push(session.on('error', () => undefined));
        const watch = { ':method': 'POST', ':path': '/grpc.health.v1.Health/Watch', te: 'trailers' };
        const call = session.request({ ...watch, 'content-type': 'application/grpc' });
        call.on('error', () => undefined).end(Buffer.alloc(5));
        await new Promise((resolve) => call.once('response', resolve));
      }
      await probed(health);
      await crowd(2 * LIMITS.probeConnections, () => tcp(portOf(health)));
      await probed(health);
      await crowd(2 * LIMITS.pageConnections, () => tcp(portOf(metrics)));
      assert.equal((await fetch(`http://${metrics}/metrics`)).status, 200);
    });
  });

  describe('at an agent', () => {
    let endpoint: ServedEndpoint;
    before(async () => {
      endpoint = await servedEndpoint();
    });
    after(() => endpoint.close());

    it('keep no probe and no scraper out', async () => {
      const health = await serveHealth('127.0.0.1', 0, new AbortController().signal);
      const page = { contentType: 'text/plain', body: () => 'figures' };
      const pages = await servePagesOnPort(0, { '/metrics': page });
      await crowd(2 * LIMITS.probeConnections, () => tcp(health.port));
      await probed(`127.0.0.1:${String(health.port)}`);
      await crowd(2 * LIMITS.pageConnections, () => tcp(pages.port ?? 0));
      const answer = await fetch(`http://127.0.0.1:${String(pages.port)}/metrics`);
      assert.equal(await answer.text(), 'figures');
      await health.close();
      await pages.close();
    });

    it('keep nobody from predictions, over HTTP and gRPC', async () => {
      const rest = await listenOnPort(
        limitCallers(restServer(endpoint.options), LIMITS.predictionConnections),
        0,
        '127.0.0.1',
      );
      const grpc = await serveGrpc({ ...endpoint.options, host: '127.0.0.1', port: 0 });
      await crowd(2 * LIMITS.predictionConnections, () => tcp(rest.port ?? 0));
      assert.equal((await fetch(`http://127.0.0.1:${String(rest.port)}/v2`)).status, 200);
      await crowd(2 * LIMITS.predictionConnections, () => tcp(grpc.port));
      const client = new GRPCInferenceService(`127.0.0.1:${String(grpc.port)}`, credentials.createInsecure());
      const live = await new Promise((resolve, reject) => {
        client.serverLive({}, { deadline: Date.now() + 20_000 }, (error, answer) => {
          if (error === null) resolve(answer?.live);
          else reject(error);
        });
      });
      assert.equal(live, true);
      client.close();
      await rest.close();
      await grpc.close();
    });
  });

  /** Asks as a kubelet does. */
  async function probed(address: string): Promise<void> {
    const session = connectHttp2(`http://${address}`);
    held.push(session.on('error', () => undefined));
    const check = { ':method': 'POST', ':path': '/grpc.health.v1.Health/Check', te: 'trailers' };
    const call = session.request({ ...check, 'content-type': 'application/grpc' });
    call.on('error', () => undefined).end(Buffer.alloc(5));
    const parts: Buffer[] = [];
    for await (const part of call as AsyncIterable<Buffer>) parts.push(part);
    // Field 1 is 1: SERVING.
    assert.deepEqual([...Buffer.concat(parts).subarray(5)], [8, 1]);
  }
});
