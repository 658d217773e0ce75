import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { waitAfter } from '@tributary/edge-agent/internal/domain/backoff.js';
import { LIMITS, TributaryError } from '@tributary/proto';

import { wideJob } from '../bench/wide-job.js';
import { LocalFederation } from '../support/federation.js';
import { FleetPeer, type PeerStream } from '../support/fleet-peer.js';
import { Operator } from '../support/operator.js';
import { recordUpload, type PeerRound } from '../support/peer-round.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

const MEGABYTES = 2;
/** More than may upload together, with those that hold their places. */
const SITES = 64;
/** Each holds two places with uploads of which nothing arrives. */
const STALLING = 4;
const MIB = 1024 * 1024;

interface Member {
  readonly peer: FleetPeer;
  readonly stream: PeerStream;
  readonly round: PeerRound;
}

describe('a fleet that uploads at once', function () {
  this.timeout(240_000);
  let directory: TemporaryDirectory;
  let federation: LocalFederation;
  let operator: Operator;
  const peers: FleetPeer[] = [];

  before(async () => {
    directory = await temporaryDirectory();
    federation = await LocalFederation.start(join(directory.path, 'federation'), 'many');
    operator = await Operator.of(federation);
  });
  after(async () => {
    for (const peer of peers) peer.close();
    operator.close();
    await federation.stop();
    await directory.remove();
  });

  async function member(index: number): Promise<Omit<Member, 'round'>> {
    const peer = await FleetPeer.join(federation, operator, `site-${String(index)}`);
    peers.push(peer);
    const stream = peer.connect({ ...peer.hello(), datasets: ['rows'] });
    await stream.welcome();
    return { peer, stream };
  }

  /** As an agent does: again after the time that it was told. Resolves with the number of refusals. */
  async function deliver({ peer, round }: Member, seed: number): Promise<number> {
    const { messages } = recordUpload(round, peer, [], { seed });
    for (let refusals = 0; ; refusals += 1) {
      try {
        await peer.submit(messages);
        return refusals;
      } catch (error) {
        const { code, fields } = TributaryError.from(error);
        assert.equal(code, 'OVERLOADED', String(error));
        assert.equal(fields['retryAfterMs'], LIMITS.retryAfterMs);
        await sleep(waitAfter({ fields }, refusals, Math.random()));
      }
    }
  }

  it('is served to the last one, in bounded memory, while others hold places and send nothing', async () => {
    const joined: Omit<Member, 'round'>[] = [];
    for (let index = 0; index < SITES; index += 1) joined.push(await member(index));
    await federation.apply(wideJob('wide', MEGABYTES, 1, SITES));
    const members = await Promise.all(
      joined.map(async (each): Promise<Member> => ({ ...each, round: await each.stream.round() })),
    );
    const heartbeats = setInterval(() => {
      for (const { stream } of members) stream.send({ heartbeat: {} });
    }, LIMITS.heartbeatIntervalMs);
    const stalling = members.slice(0, STALLING);
    const working = members.slice(STALLING);
    const held = stalling.flatMap(({ peer, round }, index) =>
      Array.from({ length: LIMITS.uploadsPerAgent }, (_, place) => {
        const upload = peer.upload();
        const [header] = recordUpload(round, peer, [], { seed: 1_000 + 2 * index + place }).messages;
        if (header !== undefined) upload.send(header);
        return upload;
      }),
    );
    const before = await federation.coordinator.peakMebibytes();
    try {
      const refusals = await Promise.all(working.map((each, index) => deliver(each, index + 1)));
      const total = refusals.reduce((sum, one) => sum + one, 0);
      assert.ok(total > 0, 'nobody was refused for load');
      for (const upload of held) upload.cancel();
      await Promise.all(stalling.map((each, index) => deliver(each, SITES + index)));
      const committed = await operator.event('wide', 'round.committed', () => true, 120_000);
      assert.equal((committed['folded'] as unknown[]).length, SITES);
      const grown = (await federation.coordinator.peakMebibytes()) - before;
      const most = (LIMITS.concurrentUploads * LIMITS.receiveWindowBytes) / MIB;
      assert.ok(grown < most, `${String(grown)} MiB of at most ${String(most)}`);
    } finally {
      clearInterval(heartbeats);
    }
  });
});
