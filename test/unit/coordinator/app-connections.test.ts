import assert from 'node:assert/strict';

import { formatId, LIMITS, TributaryError, type Digest } from '@tributary/proto';
import { ManualClock } from '@tributary/coordinator/internal/adapters/memory/manual-clock.js';
import type { AgentConnection, Goodbye } from '@tributary/coordinator/internal/app/agent-connection.js';
import type { BlobDownload } from '@tributary/coordinator/internal/app/blob-access.js';
import { ConnectedAgents, type Decline } from '@tributary/coordinator/internal/app/connections.js';
import type { Order } from '@tributary/coordinator/internal/app/order.js';

import { collect } from '../../support/bytes.js';
import { refusal } from '../../support/refusal.js';
import { THREE_CHUNKS, TrainingWorld } from '../../support/training-world.js';

const AGENT = formatId('agt', new Uint8Array(16));
const ROUND = { jobId: formatId('job', new Uint8Array(16)), round: 1, attempt: 2 };
const ORDER: Order = {
  orderId: `ord-${'0'.repeat(32)}`,
  treeHead: { logId: '', treeSize: 0, rootHash: new Uint8Array(32), time: '', signature: new Uint8Array(64) },
  entries: [],
  remainingMs: 1,
};

class Bench {
  readonly clock = new ManualClock(0);
  readonly declines: { readonly agentId: string; readonly decline: Decline }[] = [];
  readonly changes: string[] = [];
  readonly agents = new ConnectedAgents(this.clock, (agentId, decline) => {
    this.declines.push({ agentId, decline });
    return Promise.resolve();
  });

  constructor() {
    this.agents.subscribe((agentId) => this.changes.push(agentId));
  }

  attach(sessionEpoch: bigint): { connection: AgentConnection; goodbyes: Goodbye[]; orders: Order[] } {
    const goodbyes: Goodbye[] = [];
    const orders: Order[] = [];
    const hello = { sessionEpoch, knownSize: 0, wire: '1.2', software: '', backend: '', datasets: [] };
    const link = {
      order: (order: Order) => orders.push(order),
      goodbye: (goodbye: Goodbye) => goodbyes.push(goodbye),
    };
    return { connection: this.agents.attach(AGENT, hello, link), goodbyes, orders };
  }
}

describe('connected agents', () => {
  it('fences the older process of a twin, and refuses it when it comes again', () => {
    const bench = new Bench();
    const older = bench.attach(1n);
    const newer = bench.attach(2n);
    assert.deepEqual(
      older.goodbyes.map(({ code, retryAfterMs }) => [code, retryAfterMs]),
      [['AGENT_FENCED', 0]],
    );
    assert.throws(() => bench.attach(1n), refusal('AGENT_FENCED'));
    assert.deepEqual(newer.goodbyes, []);
    newer.connection.detach();
    assert.throws(() => bench.attach(1n), refusal('AGENT_FENCED'), 'also while the newer one is away');
  });

  it('replaces the stream of a process that connects again before the old stream is known to be dead', () => {
    const bench = new Bench();
    const first = bench.attach(1n);
    const second = bench.attach(1n);
    assert.equal(first.goodbyes[0]?.code, 'CONFLICT');
    assert.ok((first.goodbyes[0]?.retryAfterMs ?? 0) > 0, 'the process may come back');
    first.connection.detach();
    assert.ok(bench.agents.send(AGENT, ORDER, ROUND), 'the end of the old stream does not end the new one');
    assert.deepEqual([first.orders.length, second.orders.length], [0, 1]);
  });

  it('says when an agent comes and goes', () => {
    const bench = new Bench();
    const { connection } = bench.attach(1n);
    assert.equal(bench.agents.list().length, 1);
    connection.detach();
    connection.detach();
    assert.deepEqual(bench.changes, [AGENT, AGENT]);
    assert.equal(bench.agents.get(AGENT), undefined);
    assert.equal(bench.agents.send(AGENT, ORDER, ROUND), false);
  });

  it('ends a stream without signs of life, and keeps one that sends heartbeats', () => {
    const bench = new Bench();
    const { connection, goodbyes } = bench.attach(1n);
    for (let time = 0; time < 10; time += 1) {
      bench.clock.advance(LIMITS.heartbeatIntervalMs);
      connection.heartbeat();
    }
    assert.equal(goodbyes.length, 0);
    bench.clock.advance(LIMITS.heartbeatTimeoutMs - 1);
    assert.equal(goodbyes.length, 0);
    bench.clock.advance(1);
    assert.equal(goodbyes[0]?.code, 'DEADLINE_EXCEEDED');
    assert.ok(LIMITS.heartbeatTimeoutMs < 15_000);
    assert.equal(bench.clock.pending, 0, 'nobody is watched any more');
  });

  it('knows which round a refused order was about', async () => {
    const bench = new Bench();
    const { connection } = bench.attach(1n);
    bench.agents.send(AGENT, ORDER, ROUND);
    const refused = {
      orderId: ORDER.orderId,
      accepted: false,
      code: 'POLICY_REFUSED',
      detail: 'x'.repeat(LIMITS.detailLength + 1),
    };
    await connection.acknowledge(refused);
    const decline = { ...ROUND, code: 'POLICY_REFUSED', detail: 'x'.repeat(LIMITS.detailLength) };
    assert.deepEqual(bench.declines, [{ agentId: AGENT, decline }]);
    await connection.acknowledge({ ...refused, orderId: `ord-${'1'.repeat(32)}` });
    await connection.acknowledge({ ...refused, accepted: true });
    assert.equal(bench.declines.length, 1, 'neither an unknown order nor an acceptance is a refusal');
    await assert.rejects(
      connection.acknowledge({ ...refused, code: 'NO_SUCH_CODE' }),
      refusal('INVALID_ARGUMENT', /code/),
    );
  });

  it('keeps the newest progress within bounds', () => {
    const bench = new Bench();
    bench.attach(1n).connection.progress({ jobId: ROUND.jobId, round: 1, percent: 250 });
    assert.equal(bench.agents.get(AGENT)?.progressed?.percent, 100);
  });

  it('says goodbye to all when the daemon stops', () => {
    const bench = new Bench();
    const { goodbyes } = bench.attach(1n);
    const goodbye: Goodbye = { code: 'SHUTTING_DOWN', detail: '', retryAfterMs: 1 };
    bench.agents.close(goodbye);
    assert.deepEqual(goodbyes, [goodbye]);
    assert.equal(bench.clock.pending, 0);
  });
});

async function* chunksOf(blob: BlobDownload, offset: number): AsyncGenerator<Uint8Array> {
  for (let at = offset; at < blob.size;) {
    const chunk = await blob.chunkAt(at);
    const passed = Math.max(LIMITS.firstChunkBytes, at - offset);
    at += chunk.length;
    assert.ok(chunk.length <= passed, 'a break costs no more than has passed');
    assert.ok(at === blob.size || at % LIMITS.chunkBytes === 0 || chunk.length === passed);
    yield chunk;
  }
}

describe('access to blobs', () => {
  it('serves the base model of the open round to its cohort, from any offset, and nothing else', async () => {
    const world = await TrainingWorld.create(['east', 'west']);
    const outsider = await world.enrol('outsider');
    for (const site of ['east', 'west']) world.agent(site).connect();
    const jobId = await world.submit('loans', { model: THREE_CHUNKS });
    const { baseDigest } = await world.openRound(jobId);
    const { blobs } = world.training;
    const { agentId } = world.agent('east');
    const request = { jobId, round: 1, digest: baseDigest, offset: 0 };

    const whole = await blobs.open(agentId, request);
    const bytes = await collect(chunksOf(whole, 0));
    assert.equal(bytes.length, whole.size);
    assert.deepEqual(
      await collect(chunksOf(await blobs.open(agentId, { ...request, offset: 1_001 }), 1_001)),
      bytes.subarray(1_001),
    );
    await assert.rejects(blobs.open(outsider.agentId, request), refusal('NOT_IN_COHORT'));
    await assert.rejects(
      blobs.open(formatId('agt', new Uint8Array(16)), request),
      refusal('UNAUTHENTICATED'),
    );
    await assert.rejects(blobs.open(agentId, { ...request, round: 2 }), refusal('UPDATE_WRONG_ROUND'));
    await assert.rejects(
      blobs.open(agentId, { ...request, offset: whole.size + 1 }),
      refusal('INVALID_ARGUMENT'),
    );
    const { digest: other } = await world.blobs.put([Uint8Array.of(1)]);
    await assert.rejects(blobs.open(agentId, { ...request, digest: other }), refusal('PERMISSION_DENIED'));
    const unknown: Digest = `sha256:${'0'.repeat(64)}`;
    await assert.rejects(
      blobs.open(agentId, { ...request, digest: unknown }),
      refusal('PERMISSION_DENIED'),
      'whether it exists or not',
    );
    await world.close();
  });

  it('hands out nothing of a blob that is damaged, says so, and goes on when it was mended', async () => {
    const world = await TrainingWorld.create(['east', 'west']);
    for (const site of ['east', 'west']) world.agent(site).connect();
    const jobId = await world.submit('loans', { model: THREE_CHUNKS });
    const { baseDigest } = await world.openRound(jobId);
    const { agentId } = world.agent('east');
    const request = { jobId, round: 1, digest: baseDigest, offset: 0 };
    const read = world.blobs.read.bind(world.blobs);
    let reads = 0;
    world.blobs.read = () => {
      throw new TributaryError('STORE_CORRUPT', `blob ${baseDigest} is damaged`);
    };
    for (let time = 0; time < 2; time += 1)
      await assert.rejects(world.training.blobs.open(agentId, request), refusal('STORE_CORRUPT'));
    world.blobs.read = (digest) => {
      reads += 1;
      return read(digest);
    };
    await Promise.all([0, 1, 2].map(() => world.training.blobs.open(agentId, request)));
    assert.equal(reads, 1, 'read through once for all that ask');
    await world.close();
  });

  it('names a blob that is damaged after it was served, before a byte of the damage leaves', async () => {
    const world = await TrainingWorld.create(['east', 'west']);
    for (const site of ['east', 'west']) world.agent(site).connect();
    const jobId = await world.submit('loans', { model: THREE_CHUNKS });
    const { baseDigest } = await world.openRound(jobId);
    const { agentId } = world.agent('east');
    const { blobs } = world.training;
    const request = { jobId, round: 1, digest: baseDigest, offset: 0 };
    await collect(chunksOf(await blobs.open(agentId, request), 0));
    const running = await blobs.open(agentId, request);
    const intact = world.blobs.readStored.bind(world.blobs);
    const at = running.size - 3;
    world.blobs.readStored = async function* (digest, offset) {
      let begin = offset;
      for await (const chunk of intact(digest, offset)) {
        if (begin <= at && at < begin + chunk.length) chunk[at - begin] = (chunk[at - begin] ?? 0) ^ 1;
        begin += chunk.length;
        yield chunk;
      }
    };
    let served = 0;
    const rest = async (): Promise<void> => {
      for await (const chunk of chunksOf(running, 0)) served += chunk.length;
    };
    await assert.rejects(rest, { code: 'STORE_CORRUPT', fields: { digest: baseDigest } });
    assert.equal(served, running.size - (running.size % LIMITS.chunkBytes));
    let reads = 0;
    world.blobs.read = (digest) => {
      reads += 1;
      return intact(digest, 0);
    };
    world.blobs.readStored = intact;
    assert.equal((await collect(chunksOf(await blobs.open(agentId, request), 0))).length, running.size);
    assert.equal(reads, 1, 'read through again before it is served again');
    await world.close();
  });
});
