import assert from 'node:assert/strict';

import { canonicalize, signDocument, signingKeyFromSeed } from '@tributary/proto';

import { CoordinatorWorld } from '../support/coordinator-world.js';
import type { FleetPeer, PeerStream } from '../support/fleet-peer.js';
import { jobDocument } from '../support/job-document.js';
import { recordUpload, type PeerRound } from '../support/peer-round.js';
import { eventually } from '../support/waiting.js';

const AUTHOR = signingKeyFromSeed(new Uint8Array(32).fill(78));
const DEADLINE_SECONDS = 5;

interface Slow {
  readonly peer: FleetPeer;
  readonly stream: PeerStream;
  readonly round: PeerRound;
}

/** What an agent does that is alive, and how far it comes in a round. */
const SLOW: Readonly<Record<string, (slow: Slow) => void>> = {
  'answers-no-order': () => undefined,
  'trains-for-ever': ({ stream, round }) => {
    const { jobId, round: number } = round.opened;
    stream.send({ ack: { orderId: round.orderId, accepted: true } });
    stream.send({ progress: { jobId, round: number, percent: 1 } });
  },
  'reads-no-model': ({ peer, round }) => {
    const { jobId, round: number, baseDigest } = round.opened;
    const call = peer.fleet.FetchBlob({ jobId, round: number, digest: baseDigest });
    call.on('error', () => undefined).pause();
  },
  'sends-a-header': ({ peer, round }) => {
    const [header] = recordUpload(round, peer, [], { seed: 1 }).messages;
    if (header !== undefined) peer.upload().send(header);
  },
  'sends-no-seal': ({ peer, round }) => {
    const upload = peer.upload();
    for (const message of recordUpload(round, peer, [], { seed: 2 }).messages.slice(0, -1))
      upload.send(message);
  },
};

describe('agents that are slow', function () {
  this.timeout(120_000);
  let world: CoordinatorWorld;

  before(async () => {
    world = await CoordinatorWorld.start();
  });
  after(() => world.stop());

  async function apply(minSites: number): Promise<void> {
    const document = jobDocument();
    const job = {
      ...document,
      spec: {
        ...document.spec,
        ...{ rounds: 1, minSites, roundDeadlineSeconds: DEADLINE_SECONDS },
        evaluation: { metrics: [] },
      },
    };
    await world.admin('Apply', {
      document: Buffer.from(canonicalize(job)),
      authorKey: Buffer.from(AUTHOR.publicKey),
      signature: Buffer.from(signDocument(job, AUTHOR)),
    });
  }

  async function completed(): Promise<{ reporting: number; dropped: number } | undefined> {
    const { document } = await world.admin('GetObject', { kind: 'fj', name: 'loans' });
    const { status } = JSON.parse(document.toString()) as {
      status: { phase: string; sites: { reporting: number; dropped: number } };
    };
    return status.phase === 'Complete' ? status.sites : undefined;
  }

  it('wherever they are in a round, keep it no longer than its deadline, and take part in no other one by it', async () => {
    const joined: { peer: FleetPeer; stream: PeerStream }[] = [];
    for (const name of ['good', ...Object.keys(SLOW)]) {
      const peer = await world.peer(name);
      const stream = peer.connect();
      await stream.welcome();
      joined.push({ peer, stream });
    }
    await apply(1);
    const rounds = await Promise.all(joined.map(({ stream }) => stream.round()));
    const began = performance.now();
    const members = joined.map((each, index): Slow => ({ ...each, round: rounds[index] as PeerRound }));
    const [good, ...slow] = members as [Slow, ...Slow[]];
    for (const one of slow) SLOW[one.peer.site]?.(one);
    const { messages } = recordUpload(good.round, good.peer, [], { seed: 3 });
    await good.peer.submit(messages);
    const sites = await eventually('the job to complete', completed, 60_000);
    const elapsedMs = performance.now() - began;
    assert.deepEqual([sites.reporting, sites.dropped], [1, Object.keys(SLOW).length]);
    assert.ok(elapsedMs < 5 * DEADLINE_SECONDS * 1_000, String(elapsedMs));
    for (const { peer, round } of slow)
      await assert.rejects(
        peer.submit(recordUpload(round, peer, [], { seed: 9 }).messages),
        (error: unknown) => ['UPDATE_LATE', 'UPDATE_WRONG_ROUND'].includes((error as { code: string }).code),
      );
  });
});
