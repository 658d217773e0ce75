import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';

import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import {
  CertificateAuthority,
  createAuthority,
} from '@tributary/coordinator/internal/adapters/pki/certificate-authority.js';
import { systemClock } from '@tributary/coordinator/internal/adapters/system/system-clock.js';
import { systemRandom } from '@tributary/coordinator/internal/adapters/system/system-random.js';
import { formatId, LIMITS } from '@tributary/proto';
import { limitHandshakes, serverOptions, widenStreams } from '@tributary/proto/grpc';

import { CoordinatorWorld } from '../support/coordinator-world.js';

const ENROLL = '/tributary.v1.Enrolment/Enroll';
const CHECK = '/grpc.health.v1.Health/Check';

/** Strangers can open connections and send bytes; what they make the coordinator hold must not grow with them. */
describe('the ports that anybody can reach', () => {
  let world: CoordinatorWorld;
  const sessions: ClientHttp2Session[] = [];

  before(async () => {
    world = await CoordinatorWorld.start();
  });
  after(async () => {
    for (const session of sessions) session.destroy();
    await world.stop();
  });

  const open = async (url: string): Promise<ClientHttp2Session> => {
    const session = connectHttp2(url, { rejectUnauthorized: false });
    sessions.push(session);
    await once(session, 'remoteSettings');
    return session;
  };

  /** Announces a message of `bytes`, sends the first of them, and resolves with the status of the call. */
  const announce = async (session: ClientHttp2Session, path: string, bytes: number): Promise<number> => {
    const call = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const prefix = Buffer.alloc(6);
    prefix.writeUInt32BE(bytes, 1);
    call.on('error', () => undefined);
    call.write(prefix);
    const answered = Promise.race([once(call, 'response'), once(call, 'trailers')]) as Promise<
      [Record<string, string>]
    >;
    const [headers] = await answered;
    call.destroy();
    return Number(headers['grpc-status']);
  };

  it('refuse a large message when it is announced, before it is there', async () => {
    const { enrol, health } = await world.addresses();
    for (const [url, path] of [
      [`https://${enrol}`, ENROLL],
      [`http://${health}`, CHECK],
    ] as const) {
      const session = await open(url);
      assert.equal(
        await announce(session, path, LIMITS.anonymousMessageBytes + 1),
        status.RESOURCE_EXHAUSTED,
        path,
      );
      assert.equal(await announce(session, path, LIMITS.grpcMessageBytes), status.RESOURCE_EXHAUSTED, path);
    }
  });

  it('grant few calls at the same time to one connection', async () => {
    const { enrol, health } = await world.addresses();
    for (const url of [`https://${enrol}`, `http://${health}`]) {
      const { maxConcurrentStreams } = (await open(url)).remoteSettings;
      assert.equal(maxConcurrentStreams, LIMITS.streamsPerAnonymousConnection, url);
    }
  });

  it('speak HTTP/2 over TLS 1.2 or newer, and nothing else', async () => {
    const { enrol } = await world.addresses();
    const [host = '', port = ''] = enrol.split(':');
    const at = { host, port: Number(port), rejectUnauthorized: false };
    const old = connectTls({
      ...at,
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    await assert.rejects(once(old, 'secureConnect'));
    const other = connectTls({ ...at, ALPNProtocols: ['http/1.1'] });
    await assert.rejects(once(other, 'secureConnect'), /no application protocol|ALPN/i);
    const garbage = connectTcp(at);
    await once(garbage, 'connect');
    garbage.on('error', () => undefined).write('GET / HTTP/1.1\r\n\r\n');
    await once(garbage.resume(), 'close');
    await world.admin('GetVersion', {});
  });
});

describe('connections that never finish their TLS handshake', () => {
  it('are ended in time, so that they keep nobody out', async () => {
    const around = { clock: systemClock(), random: systemRandom() };
    const federationId = formatId('fed', around.random.bytes(16));
    const authority = await CertificateAuthority.open(
      await createAuthority(federationId, around),
      federationId,
      around,
    );
    const { chainPem, privateKeyPem } = await authority.issueServer(['localhost']);
    const pair = { cert_chain: Buffer.from(chainPem), private_key: Buffer.from(privateKeyPem) };
    const server = new Server(serverOptions());
    widenStreams(server);
    limitHandshakes(server, 200);
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createSsl(null, [pair]), (error, bound) => {
        if (error === null) resolve(bound);
        else reject(error);
      });
    });
    try {
      const idle = connectTcp({ host: '127.0.0.1', port });
      await once(idle, 'connect');
      const began = performance.now();
      await once(idle.on('error', () => undefined).resume(), 'close');
      assert.ok(performance.now() - began < 5_000);
    } finally {
      server.forceShutdown();
    }
  });
});
