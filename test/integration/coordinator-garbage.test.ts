import assert from 'node:assert/strict';

import { WIRE_VERSIONS } from '@tributary/proto';
import type { AgentMessage } from '@tributary/proto/grpc';

import { CoordinatorWorld } from '../support/coordinator-world.js';
import type { FleetPeer, PeerStream } from '../support/fleet-peer.js';
import { openUpload } from '../support/open-upload.js';
import { eventually } from '../support/waiting.js';

describe('the fleet port against garbage', () => {
  let world: CoordinatorWorld;
  let peer: FleetPeer;
  let good: PeerStream;
  let count = 0;

  before(async () => {
    world = await CoordinatorWorld.start();
  });
  after(() => world.stop());

  beforeEach(async () => {
    count += 1;
    peer = await world.peer(`odd-${String(count)}`);
    good = (await world.peer(`steady-${String(count)}`)).connect();
    await good.welcome();
  });
  afterEach(() => {
    assert.equal(good.ended, undefined, 'the stream of another agent was touched');
    good.close();
  });

  const hello = (change: object): Promise<unknown> => peer.connect({ ...peer.hello(), ...change }).welcome();

  it('refuses a hello of the wrong form', async () => {
    await assert.rejects(hello({ signature: Buffer.alloc(64) }), { code: 'SIGNATURE_INVALID' });
    await assert.rejects(hello({ sessionEpoch: '77' }), { code: 'SIGNATURE_INVALID' });
    for (const version of ['0.1', '1.0', '1.99', '2.0'])
      await assert.rejects(hello({ versions: [version] }), {
        code: 'VERSION_UNSUPPORTED',
        message: new RegExp(`they speak ${version}; this build speaks ${WIRE_VERSIONS.join(', ')}`),
      });
    await assert.rejects(hello({ spendLogHead: Buffer.alloc(5) }), { code: 'INVALID_ARGUMENT' });
    await assert.rejects(hello({ software: 'x'.repeat(10_000) }), { code: 'INVALID_ARGUMENT' });
    await assert.rejects(hello({ datasets: Array.from({ length: 10_000 }, () => 'd') }), {
      code: 'INVALID_ARGUMENT',
    });
  });

  it('ends only the stream that brings it', async () => {
    const messages: readonly AgentMessage[] = [
      {},
      { hello: peer.hello() },
      { progress: { jobId: 'x', round: 1, percent: 5 } },
      { progress: { jobId: `job-${'0'.repeat(32)}`, round: 1, percent: 101 } },
      { ack: { orderId: '', accepted: true } },
      { ack: { orderId: `ord-${'0'.repeat(32)}`, accepted: false, code: 'NO_SUCH_CODE' } },
      {
        failure: {
          jobId: `job-${'0'.repeat(32)}`,
          round: 1,
          code: 'TRAINING_FAILED',
          detail: 'x'.repeat(100_000),
        },
      },
    ];
    for (const message of messages) {
      const stream = peer.connect();
      await stream.welcome();
      stream.send(message);
      const end = await stream.end();
      assert.ok(end instanceof Error && 'code' in end);
      assert.equal(end.code, 'INVALID_ARGUMENT', JSON.stringify(message));
    }
  });

  it('goes on after acknowledgements and failures of rounds that do not exist', async () => {
    const stream = peer.connect();
    await stream.welcome();
    stream.send({ ack: { orderId: `ord-${'0'.repeat(32)}`, accepted: false, code: 'POLICY_REFUSED' } });
    stream.send({ failure: { jobId: `job-${'0'.repeat(32)}`, round: 1, code: 'TRAINING_FAILED' } });
    stream.send({ heartbeat: {} });
    await eventually('the answer to a heartbeat', () =>
      stream.received.find((message) => message.heartbeatAck),
    );
    stream.close();
  });

  it('refuses uploads that begin or end wrongly', async () => {
    const header = {
      header: { uploadId: `upl-${'0'.repeat(32)}`, header: Buffer.from('{}'), signature: Buffer.alloc(64) },
    };
    await assert.rejects(peer.submit([]), { code: 'UPDATE_CORRUPT' });
    await assert.rejects(peer.submit([{}]), { code: 'INVALID_ARGUMENT' });
    await assert.rejects(peer.submit([{ chunk: { index: 0, data: Buffer.alloc(10) } }]), {
      code: 'INVALID_ARGUMENT',
    });
    await assert.rejects(peer.submit([{ header: { ...header.header, uploadId: 'x' } }]), {
      code: 'INVALID_ARGUMENT',
    });
    await assert.rejects(peer.submit([{ header: { ...header.header, header: Buffer.alloc(100_000) } }]), {
      code: 'INVALID_ARGUMENT',
    });
    await assert.rejects(peer.submit([header]));
  });

  it('bounds the uploads of one agent', async () => {
    const open = Array.from({ length: 8 }, () => openUpload(peer));
    const first = await Promise.race(open.map(({ failure }) => failure));
    assert.ok('code' in first && first.code === 'OVERLOADED');
    for (const { stream } of open) stream.cancel();
  });
});
