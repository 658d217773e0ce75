import assert from 'node:assert/strict';

import {
  canonicalText,
  encodeBase64,
  parseModelRollout,
  signDocument,
  signingKeyFromSeed,
  type Digest,
  type ModelRolloutInput,
} from '@tributary/proto';
import { MemoryBlobStore } from '@tributary/coordinator/internal/adapters/memory/blob-store.js';
import { BlobAccess } from '@tributary/coordinator/internal/app/blob-access.js';
import type { Federation } from '@tributary/coordinator/internal/app/federation.js';
import { mayAgentRead } from '@tributary/coordinator/internal/domain/authorisation.js';
import type { ApplyRollout } from '@tributary/coordinator/internal/domain/command.js';
import { findObject } from '@tributary/coordinator/internal/domain/objects.js';
import { currentRollout, rolloutFor } from '@tributary/coordinator/internal/domain/rollouts.js';
import { decodeSnapshot, encodeSnapshot } from '@tributary/coordinator/internal/domain/snapshot.js';
import fc from 'fast-check';

import { digestNamed, FederationWorld, idOf } from '../../support/federation-world.js';
import { refusal } from '../../support/refusal.js';

const author = signingKeyFromSeed(new Uint8Array(32).fill(9));
const RINGS = ['first', 'second'] as const;

function setting(
  name: string,
  version: number,
  ring?: string,
  key = author,
): Omit<ApplyRollout, 'now' | 'actor'> {
  const written: ModelRolloutInput = {
    apiVersion: 'tributary.dev/v1alpha1',
    kind: 'ModelRollout',
    metadata: { name: 'loans' },
    spec: {
      model: 'loans',
      siteSelector: { matchLabels: ring === undefined ? {} : { ring } },
      steps: [{ version }],
    },
  };
  const document = parseModelRollout(written);
  return {
    kind: 'apply-rollout',
    rolloutId: idOf('rol', name),
    document: canonicalText(document),
    authorKey: encodeBase64(key.publicKey),
    signature: encodeBase64(signDocument(document, key)),
  };
}

function worldWith(versions: number): FederationWorld {
  const world = FederationWorld.create();
  for (const ring of RINGS) world.join(ring, { ring });
  for (let version = 1; version <= versions; version += 1) {
    const [manifestDigest, weightsDigest] = [digestNamed(`m${String(version)}`), digestNamed('w')];
    const signature = encodeBase64(new Uint8Array(64));
    const body = { model: 'loans', version, jobId: 'job-1', manifestDigest, weightsDigest, signature };
    world.record([{ type: 'model.registered', actor: 'coordinator', subject: 'model/loans', body }]);
  }
  return world;
}

const rolloutState = (world: FederationWorld) => {
  const found = world.state.rollouts.get('loans');
  if (found === undefined) throw new Error('no rollout');
  return found;
};

describe('rollouts', () => {
  it('record the version that is served, the one before and its manifest', () => {
    const world = worldWith(2);
    world.run(setting('a', 1));
    const [entry] = world.run(setting('b', 2));
    assert.ok(entry?.type === 'rollout.applied');
    assert.deepEqual(
      [entry.body.version, entry.body.previous, entry.body.manifestDigest],
      [2, 1, digestNamed('m2')],
    );
    assert.equal(entry.subject, 'model/loans');
  });

  it('refuse versions that are not registered, signatures of others, and shares', () => {
    const world = worldWith(1);
    assert.throws(() => world.run(setting('a', 2)), refusal('NOT_FOUND'));
    const { signature } = setting('a', 1, undefined, signingKeyFromSeed(new Uint8Array(32).fill(8)));
    assert.throws(() => world.run({ ...setting('a', 1), signature }), refusal('SIGNATURE_INVALID'));
    const { document } = setting('a', 1);
    assert.throws(
      () => world.run({ ...setting('a', 1), document: document.replace('"weight":100', '"weight":10') }),
      refusal('DOCUMENT_UNSUPPORTED', /spec.steps\[0\].weight/),
    );
    assert.throws(
      () => world.run({ ...setting('a', 1), document: document.replace('"model":"loans"', '"model":"x"') }),
      refusal('DOCUMENT_INVALID', /spec.model/),
    );
  });

  it('are undone by id: the same undo again changes nothing, one of an older rollout is refused', () => {
    const world = worldWith(2);
    world.run(setting('a', 1));
    world.run(setting('b', 2));
    const undo = (name: string) =>
      world.run({ kind: 'undo-rollout', model: 'loans', rolloutId: idOf('rol', name) });
    assert.throws(() => undo('a'), refusal('CONFLICT'));
    assert.throws(() => undo('c'), refusal('NOT_FOUND'));
    const [entry] = undo('b');
    assert.deepEqual(entry?.body, {
      rolloutId: idOf('rol', 'b'),
      model: 'loans',
      version: 1,
      previous: 2,
    });
    assert.deepEqual(undo('b'), []);
    assert.equal(currentRollout(rolloutState(world))?.version, 1);
  });

  it('are counted by what connected agents report', () => {
    const world = worldWith(1);
    world.run(setting('a', 1));
    const presence = (version: number) => ({
      connectedAtMs: 0,
      lastSeenMs: 0,
      software: '',
      serving: [{ model: 'loans', version }],
    });
    const shown = (first: number, second: number) => {
      const object = findObject(
        world.state,
        { kind: 'ModelRollout', name: 'loans' },
        {
          now: world.now,
          presence: new Map([
            [idOf('agt', 'first'), presence(first)],
            [idOf('agt', 'second'), presence(second)],
          ]),
        },
      )?.object;
      assert.ok(object?.kind === 'ModelRollout');
      return object.status;
    };
    assert.deepEqual(
      [shown(1, 2).phase, shown(1, 2).sites, shown(1, 2).conditions[0]?.reason],
      ['Progressing', { selected: 2, serving: 1, refused: 0 }, 'WaitingForSites'],
    );
    assert.deepEqual([shown(1, 1).phase, shown(1, 1).conditions[0]?.status], ['Complete', 'True']);
  });

  it('open manifest and weights to the sites that follow them, and to no other', async () => {
    const world = worldWith(2);
    world.run(setting('a', 1, 'first'));
    const blobs = new MemoryBlobStore();
    const access = new BlobAccess({ state: world.state } as unknown as Federation, blobs);
    const open = (site: string, name: string, digest: Digest) =>
      access.open(idOf('agt', site), { rolloutId: idOf('rol', name), digest, offset: 0 });
    // The digests of this world name no bytes: whoever gets that far was let in.
    const letIn = refusal('STORE_CORRUPT');
    await assert.rejects(open('first', 'a', digestNamed('m1')), letIn);
    await assert.rejects(open('first', 'a', digestNamed('w')), letIn);
    await assert.rejects(open('first', 'a', digestNamed('m2')), refusal('PERMISSION_DENIED'));
    await assert.rejects(open('second', 'a', digestNamed('m1')), refusal('PERMISSION_DENIED'));
    await assert.rejects(open('first', 'b', digestNamed('m1')), refusal('PERMISSION_DENIED'));
    world.run({ kind: 'undo-rollout', model: 'loans', rolloutId: idOf('rol', 'a') });
    const after = new BlobAccess({ state: world.state } as unknown as Federation, blobs);
    const request = { rolloutId: idOf('rol', 'a'), digest: digestNamed('m1'), offset: 0 };
    await assert.rejects(after.open(idOf('agt', 'first'), request), refusal('PERMISSION_DENIED'));
  });

  /** What a site is to serve, as somebody with paper and pencil would keep it. */
  interface Model {
    readonly id: string;
    readonly version: number;
    readonly ring: string | undefined;
    undone: boolean;
  }

  it('leave every site with the newest one that selects it, whatever is set and undone', () => {
    const step = fc.oneof(
      fc.record({
        set: fc.integer({ min: 1, max: 3 }),
        ring: fc.option(fc.constantFrom(...RINGS), { nil: undefined }),
      }),
      fc.constant('undo' as const),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 14 }), (steps) => {
        const world = worldWith(3);
        const kept: Model[] = [];
        steps.forEach((wish, index) => {
          const live = kept.filter(({ undone }) => !undone);
          const newest = live.at(-1);
          if (wish === 'undo') {
            if (newest === undefined) return;
            world.run({ kind: 'undo-rollout', model: 'loans', rolloutId: newest.id });
            newest.undone = true;
            return;
          }
          const { set: version, ring } = wish;
          const recorded = world.run(setting(String(index), version, ring));
          const isSame = newest?.version === version && newest.ring === ring;
          assert.equal(recorded.length, isSame ? 0 : 1);
          if (!isSame) kept.push({ id: idOf('rol', String(index)), version, ring, undone: false });
        });
        for (const site of RINGS) {
          const selecting = kept.filter(({ ring }) => ring === undefined || ring === site);
          const model = world.state.rollouts.get('loans');
          const known = world.state.sites.get(site);
          const told = model === undefined || known === undefined ? undefined : rolloutFor(model, known);
          assert.equal(
            told?.serves,
            selecting.length === 0 ? undefined : selecting.some((one) => !one.undone),
          );
          if (told?.serves === true)
            assert.equal(told.rollout.rolloutId, selecting.findLast(({ undone }) => !undone)?.id);
          // The last entry about a rollout that selects the site is the one that it is told.
          const about = world.entries.filter(
            (entry) =>
              (entry.type === 'rollout.applied' || entry.type === 'rollout.undone') &&
              mayAgentRead(world.state, { agentId: idOf('agt', site), site, kind: 'Training' }, entry),
          );
          const wanted = about.at(-1)?.seq;
          assert.equal(told?.seq, wanted);
        }
        assert.deepEqual(world.replayed(), world.state);
        assert.deepEqual(decodeSnapshot(encodeSnapshot(world.state)), world.state);
      }),
      { numRuns: 150 },
    );
  });
});
