import assert from 'node:assert/strict';
import { connect as connectTcp, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';

import { startTunnels } from '@tributary/coordinator/internal/adapters/tunnel/tunnel-listener.js';
import { openTunnel } from '@tributary/edge-agent/internal/adapters/tunnel/outer-tls.js';
import { LIMITS, TUNNEL_PROTOCOL } from '@tributary/proto';

import { refusal } from '../support/refusal.js';
import { ScriptedCoordinator } from '../support/scripted-coordinator.js';
import { eventually } from '../support/waiting.js';

describe('the listener of tunnels', function () {
  this.timeout(60_000);
  const accepted: Socket[] = [];
  let echo: Server;
  let coordinator: ScriptedCoordinator;
  let listener: Awaited<ReturnType<typeof startTunnels>>;
  let bundle: string;
  let start: (
    enrol?: { host: string; port: number },
    tunnels?: number,
    isMember?: (port: number) => boolean,
  ) => ReturnType<typeof startTunnels>;

  before(async () => {
    echo = createServer((socket) => {
      accepted.push(socket);
      socket.on('error', () => socket.destroy());
      socket.pipe(socket);
    });
    await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
    const end = { host: '127.0.0.1', port: (echo.address() as AddressInfo).port };
    coordinator = await ScriptedCoordinator.start();
    bundle = coordinator.authority.certificatePem;
    const { chainPem: certificate, privateKeyPem: key } = await coordinator.authority.issueServer([
      '127.0.0.1',
    ]);
    const options = { host: '127.0.0.1', port: 0, certificate, key };
    // Unless a test says otherwise a tunnel to the fleet listener is a member's as soon as it is there.
    start = (enrol = end, tunnels = LIMITS.tunnels, isMember = () => true) =>
      startTunnels({ ...options, ends: { fleet: end, enrol }, tunnels, isMember });
    listener = await start({ host: '127.0.0.1', port: 1 });
  });
  after(async () => {
    await listener.close(0);
    coordinator.stop();
    echo.close();
  });

  const open = (end: 'fleet' | 'enrol', trusted = bundle, { port } = listener) =>
    openTunnel(end, {
      address: { host: '127.0.0.1', port },
      proxy: undefined,
      bundle: trusted,
    });

  /** The first line that is answered to a request. */
  const answerTo = (...lines: readonly string[]): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port: listener.port, rejectUnauthorized: false });
      socket.on('error', reject).once('data', (bytes: Buffer) => {
        resolve(bytes.toString('latin1').split('\r\n')[0] ?? '');
        socket.destroy();
      });
      socket.write([...lines, 'Host: hub', '', ''].join('\r\n'));
    });
  const UPGRADE = [
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
  ];

  it('carries bytes of any size both ways, and ends with either end', async () => {
    const tunnel = await open('fleet');
    const sent = Buffer.alloc(3_000_000, 'some bytes');
    for (let at = 0; at < sent.length; at += 50_000) tunnel.write(sent.subarray(at, at + 50_000));
    const got: Buffer[] = [];
    tunnel.on('data', (bytes: Buffer) => got.push(bytes));
    await eventually('the echo', () => Buffer.concat(got).equals(sent) || undefined);
    accepted.at(-1)?.destroy();
    await eventually('the end', () => tunnel.destroyed || undefined);
  });

  it('leads to its own listeners alone, for its own protocol alone', async () => {
    const protocol = `Sec-WebSocket-Protocol: ${TUNNEL_PROTOCOL}`;
    assert.match(await answerTo('GET / HTTP/1.1'), / 426 /);
    assert.match(await answerTo('GET /tunnel/admin HTTP/1.1', ...UPGRADE, protocol), / 404 /);
    assert.match(await answerTo('GET /tunnel/fleet/../admin HTTP/1.1', ...UPGRADE, protocol), / 404 /);
    assert.match(await answerTo('GET /tunnel/fleet HTTP/1.1', ...UPGRADE), / 404 /);
    assert.match(await answerTo('GET /tunnel/fleet HTTP/1.1', ...UPGRADE, protocol), / 101 /);
    await assert.rejects(open('enrol'), refusal('UNAVAILABLE', /502/));
  });

  it('is not spoken to where nobody trusted vouches for it', async () => {
    const other = await ScriptedCoordinator.start();
    other.stop();
    await assert.rejects(open('fleet', other.authority.certificatePem), refusal('CA_MISMATCH', /caBundle/));
  });

  it('refuses more than its share to one address, and takes it again when others are gone', async () => {
    await eventually(
      'earlier tunnels to end',
      () => accepted.every(({ destroyed }) => destroyed) || undefined,
    );
    const all = [];
    for (let opened = 0; opened < LIMITS.tunnelsPerAddress; opened += 1) all.push(await open('fleet'));
    await assert.rejects(open('fleet'), refusal('UNAVAILABLE', /503/));
    for (const tunnel of all) tunnel.destroy();
    await eventually('room for another', async () => {
      const tunnel = await open('fleet').catch(() => undefined);
      return tunnel?.destroy();
    });
  });

  /** A connection whose side here is never closed, whatever the other side does. */
  const stubborn = (port: number, ...lines: readonly string[]): Promise<TLSSocket> =>
    new Promise((resolve) => {
      const raw = connectTcp({ host: '127.0.0.1', port, allowHalfOpen: true });
      const socket = connect({ socket: raw, rejectUnauthorized: false });
      socket.on('error', () => undefined).write([...lines, 'Host: hub', '', ''].join('\r\n'));
      socket.once('data', () => resolve(socket));
    });

  it('is closed in time, whoever keeps a connection that was refused', async () => {
    const own = await start();
    const refused = await stubborn(own.port, 'GET /tunnel/admin HTTP/1.1', ...UPGRADE);
    const silent = connectTcp({ host: '127.0.0.1', port: own.port }).on('error', () => undefined);
    await new Promise((resolve) => silent.once('connect', resolve));
    await own.close(100);
    refused.destroy();
    silent.destroy();
  });

  it('is open to tunnels where others only connect', async () => {
    const own = await start();
    const crowd: Socket[] = [];
    while (crowd.length < LIMITS.tunnels + 50) {
      const socket = connectTcp({ host: '127.0.0.1', port: own.port }).on('error', () => undefined);
      crowd.push(socket.resume());
      await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve));
    }
    const tunnel = await open('fleet', bundle, own);
    tunnel.destroy();
    for (const socket of crowd) socket.destroy();
    await own.close(0);
  });

  it('ends the oldest in which nobody has shown a certificate yet for one that comes, and no other', async () => {
    const members = new Set<number>();
    const own = await start(undefined, 3, (port) => members.has(port));
    const member = await open('fleet', bundle, own);
    members.add(accepted.at(-1)?.remotePort ?? 0);
    const strangers = [await open('fleet', bundle, own), await open('fleet', bundle, own)];
    for (const socket of [member, ...strangers]) socket.resume();
    const late = await open('fleet', bundle, own);
    await eventually('the oldest to be ended', () => strangers[0]?.destroyed === true || undefined);
    assert.deepEqual([member.destroyed, strangers[1]?.destroyed, late.destroyed], [false, false, false]);
    for (const socket of [member, ...strangers, late]) socket.destroy();
    await own.close(0);
  });

  it('has tunnels for members whoever holds those to join by, and for the newest who joins', async () => {
    const own = await start();
    const joining: Awaited<ReturnType<typeof open>>[] = [];
    for (let opened = 0; opened < LIMITS.tunnelsPerAddress; opened += 1)
      joining.push(await open('enrol', bundle, own));
    const member = await open('fleet', bundle, own);
    assert.equal(joining.filter(({ destroyed }) => destroyed).length, 0);
    joining[0]?.resume();
    const late = await open('enrol', bundle, own);
    await eventually('the oldest to be ended', () => joining[0]?.destroyed === true || undefined);
    assert.deepEqual([member.destroyed, late.destroyed, joining[1]?.destroyed], [false, false, false]);
    for (const tunnel of [...joining, member, late]) tunnel.destroy();
    await own.close(0);
  });

  it('ends the oldest who joins for a member where all are taken, and refuses where only members hold them', async () => {
    const own = await start(undefined, 3);
    const first = await open('fleet', bundle, own);
    const joining = [await open('enrol', bundle, own), await open('enrol', bundle, own)];
    joining[0]?.resume();
    const second = await open('fleet', bundle, own);
    await eventually('the oldest to be ended', () => joining[0]?.destroyed === true || undefined);
    assert.deepEqual([first.destroyed, joining[1]?.destroyed], [false, false]);
    joining[1]?.resume();
    const third = await open('fleet', bundle, own);
    await eventually('the other to be ended', () => joining[1]?.destroyed === true || undefined);
    for (const end of ['fleet', 'enrol'] as const)
      await assert.rejects(open(end, bundle, own), refusal('UNAVAILABLE', /503/));
    assert.deepEqual([first.destroyed, second.destroyed, third.destroyed], [false, false, false]);
    for (const tunnel of [first, second, third]) tunnel.destroy();
    await own.close(0);
  });
});
