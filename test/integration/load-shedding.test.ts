import assert from 'node:assert/strict';

import { formatId, LIMITS, TributaryError } from '@tributary/proto';
import { waitAfter } from '@tributary/edge-agent/internal/domain/backoff.js';

import { CoordinatorWorld } from '../support/coordinator-world.js';
import type { FleetPeer } from '../support/fleet-peer.js';
import { openUpload } from '../support/open-upload.js';
import { eventually } from '../support/waiting.js';

describe('a coordinator with every place for uploads taken', () => {
  let world: CoordinatorWorld;

  beforeEach(async () => {
    world = await CoordinatorWorld.start();
  });
  afterEach(() => world.stop());

  it('refuses one more, says when to come back, and takes it when a place is free', async () => {
    const peers: FleetPeer[] = [];
    const most = LIMITS.concurrentUploads / LIMITS.uploadsPerAgent;
    for (let index = 0; index < most; index += 1) peers.push(await world.peer(`site-${String(index)}`));
    const held = peers.flatMap((peer) =>
      Array.from({ length: LIMITS.uploadsPerAgent }, () => openUpload(peer)),
    );
    const late = await world.peer('late');
    const refusal = await eventually('a refusal', async () => {
      const { stream, failure } = openUpload(late);
      const error = await Promise.race([failure, new Promise((resolve) => setTimeout(resolve, 200))]);
      stream.cancel();
      return error instanceof TributaryError && error.code === 'OVERLOADED' ? error : undefined;
    });
    assert.equal(refusal.fields['retryAfterMs'], LIMITS.retryAfterMs);
    assert.equal(refusal.retryable, true);
    const waits = [0, 0.5, 0.999].map((random) => waitAfter(refusal, 0, random));
    assert.deepEqual(waits, [1_000, 1_500, 1_999], 'never before it was asked to, and spread');
    held[0]?.stream.cancel();
    await eventually('a place', async () => {
      const { stream, failure } = openUpload(late);
      stream.end();
      const error = (await failure) as TributaryError;
      return error.code === 'OVERLOADED' ? undefined : error.code;
    });
    for (const { stream } of held) stream.cancel();
  });

  it('keeps nobody away for longer than the longest wait', () => {
    const asked = { fields: { retryAfterMs: 10 * LIMITS.retryAfterMaxMs } };
    assert.equal(waitAfter(asked, 0, 0), LIMITS.retryAfterMaxMs);
    for (const retryAfterMs of [0, -5, Number.NaN, 'soon'])
      assert.equal(waitAfter({ fields: { retryAfterMs } }, 0, 0), LIMITS.reconnectMinMs);
  });
});

describe('a coordinator whose agent floods its stream', () => {
  let world: CoordinatorWorld;

  beforeEach(async () => {
    world = await CoordinatorWorld.start();
  });
  afterEach(() => world.stop());

  it('ends the stream with when to come back, refuses what follows, and goes on for the others', async () => {
    const [loud, quiet] = [await world.peer('loud'), await world.peer('quiet')];
    const beside = quiet.connect();
    await beside.welcome();
    const stream = loud.connect();
    await stream.welcome();
    const progress = { jobId: formatId('job', new Uint8Array(16)), round: 1, percent: 1 };
    for (let sent = 0; sent <= LIMITS.agentMessagesPerMinute; sent += 1) stream.send({ progress });
    const ended = await stream.end();
    assert.ok(ended instanceof TributaryError && ended.code === 'OVERLOADED', String(ended));
    const { retryAfterMs } = ended.fields;
    assert.ok(typeof retryAfterMs === 'number' && retryAfterMs > 0 && retryAfterMs <= 60_000);
    const again = loud.connect();
    await again.welcome();
    again.send({ heartbeat: {} });
    const refused = await again.end();
    assert.ok(refused instanceof TributaryError && refused.code === 'OVERLOADED', String(refused));
    beside.send({ heartbeat: {} });
    await eventually('an answer', () => beside.received.find(({ heartbeatAck }) => heartbeatAck));
    beside.close();
  });
});
