import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

import { Crowd } from '@tributary/proto/grpc';

import { eventually } from '../support/waiting.js';

const MOST = 4;

describe('a crowd of connections', function () {
  this.timeout(20_000);
  const held: Socket[] = [];
  const accepted: Socket[] = [];
  let server: Server;
  let crowd: Crowd;

  beforeEach(async () => {
    server = createServer((socket) => accepted.push(socket.on('error', () => undefined)));
    crowd = new Crowd(server, MOST);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterEach(() => {
    for (const socket of [...held.splice(0), ...accepted.splice(0)]) socket.destroy();
    server.close();
  });

  /** The server's side of a new connection. */
  async function opened(): Promise<Socket> {
    const before = accepted.length;
    const socket = connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
    held.push(socket.on('error', () => undefined));
    return eventually('a connection', () => accepted[before]);
  }
  /** One that has asked; its call ends with the emitter's `close`. */
  async function asking(): Promise<{ readonly socket: Socket; readonly call: EventEmitter }> {
    const socket = await opened();
    const call = new EventEmitter();
    crowd.heard(socket, call);
    return { socket, call };
  }
  async function asked(): Promise<Socket> {
    const { socket, call } = await asking();
    call.emit('close');
    return socket;
  }
  const left = (sockets: readonly Socket[]): readonly number[] =>
    sockets.flatMap((socket, index) => (socket.destroyed ? [] : [index]));

  it('leaves a newcomer time to ask where others asked once and stayed', async () => {
    const stayers = [];
    for (let index = 0; index < MOST; index += 1) stayers.push(await asked());
    const newcomer = await opened();
    await opened();
    assert.equal(newcomer.destroyed, false, 'a newcomer had to leave for another');
    assert.deepEqual(left(stayers), [2, 3]);
    await opened();
    assert.equal(newcomer.destroyed, true, 'silence may hold half of the places');
    assert.deepEqual(left(stayers), [2, 3]);
  });

  it('ends those first that wait for nothing, by their last use', async () => {
    const waiting = await asking();
    const one = await asked();
    const other = await asked();
    const used = new EventEmitter();
    crowd.heard(one, used);
    used.emit('close');
    await opened();
    await opened();
    assert.deepEqual(left([waiting.socket, one, other]), [0, 1]);
    assert.equal(crowd.size, MOST);
  });

  it('ends whoever waits longest where everybody waits', async () => {
    const all = [];
    for (let index = 0; index < MOST; index += 1) all.push((await asking()).socket);
    const newest = await opened();
    assert.deepEqual(left(all), [1, 2, 3]);
    assert.equal(newest.destroyed, false);
  });
});
