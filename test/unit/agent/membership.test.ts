import assert from 'node:assert/strict';

import {
  encodeRotation,
  parseFederatedJob,
  parseSitePolicy,
  rootDigest,
  rotationOf,
  signRotation,
  TributaryError,
  verifyRoster,
  type EntryBody,
  type FederationRoot,
  type RosterDocument,
} from '@tributary/proto';
import { MemoryStateStore } from '@tributary/edge-agent/internal/adapters/store/memory-state-store.js';
import { Membership } from '@tributary/edge-agent/internal/app/membership.js';
import {
  proveRoster,
  type RosterEvidence,
  type RosterFloor,
} from '@tributary/edge-agent/internal/domain/membership.js';
import { evaluatePolicy, type PolicyFacts } from '@tributary/edge-agent/internal/domain/policy.js';
import fc from 'fast-check';

import { jobDocument, policyDocument } from '../../support/job-document.js';
import {
  keyOf,
  memberOf,
  publicKeyOf,
  publishedBody,
  rootOf,
  rosterOf,
  signedBy,
} from '../../support/roster.js';

const NOW = Date.parse('2026-06-01T00:00:00.000Z');
const SITES = ['east', 'north', 'west'];
const root = rootOf(1, 'ada');
const next = rootOf(1, 'bo');
const third = rootOf(1, 'cy');

const evidenceOf = (
  roster: RosterDocument,
  signer: string,
  rotations: RosterEvidence['rotations'] = [],
): RosterEvidence => ({ rotations, published: publishedBody(roster, signedBy(roster, signer)) });
const version = (number: number, sites = SITES): RosterEvidence =>
  evidenceOf(rosterOf(root, sites, { version: number }), 'ada');

function handover(from: FederationRoot, to: FederationRoot, signer: string): EntryBody<'root.rotated'> {
  const document = new TextDecoder().decode(
    encodeRotation(signRotation(rotationOf(from, to), keyOf(signer))),
  );
  return { previous: rootDigest(from), root: rootDigest(to), document };
}

const prove = (evidence: RosterEvidence, floor?: RosterFloor, pinned = root) =>
  proveRoster(pinned, evidence, floor, NOW);
const code = (expected: string) => (error: unknown) =>
  error instanceof TributaryError && error.code === expected;

describe('what an order proves of the membership', () => {
  it('is nothing without a roster, and a roster with one', () => {
    assert.throws(() => prove({ rotations: [] }), code('ROSTER_MISSING'));
    assert.equal(prove(version(1)).roster.version, 1);
  });

  it('is never older than what was seen, in whatever order versions are shown', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 8 }), (shown) => {
        let floor: RosterFloor | undefined;
        for (const number of shown) {
          const before = floor;
          if (before === undefined || number >= before.version) floor = prove(version(number), floor).floor;
          else assert.throws(() => prove(version(number), before), code('ROSTER_ROLLBACK'));
          assert.equal(floor?.version, Math.max(number, before?.version ?? 0));
        }
      }),
      { numRuns: 40 },
    );
  });

  it('is refused where another roster of the same version was seen: the root, or its holder, says two things', () => {
    const { floor } = prove(version(2));
    assert.throws(() => prove(version(2, ['west']), floor), code('ROSTER_ROLLBACK'));
  });

  it('follows the root from the pinned one, through every hand-over', () => {
    const chain = [handover(root, next, 'ada'), handover(next, third, 'bo')];
    const { roster, floor } = prove(evidenceOf(rosterOf(third, SITES, { version: 3 }), 'cy', chain));
    assert.equal(roster.version, 3);
    assert.deepEqual(floor.root, rootDigest(third));
    const late = evidenceOf(rosterOf(third, SITES, { version: 3 }), 'cy', chain);
    assert.equal(prove(late, undefined, next).roster.version, 3, 'a policy that pins the second one');
    assert.throws(
      () => prove(evidenceOf(rosterOf(next, SITES), 'bo')),
      code('ROSTER_INVALID'),
      'without one',
    );
    const forged = [handover(root, next, 'bo')];
    assert.throws(() => prove(evidenceOf(rosterOf(next, SITES), 'bo', forged)), code('ROSTER_INVALID'));
  });

  it('is refused of a root that has handed over, however high it counts', () => {
    const chain = [handover(root, next, 'ada')];
    const { floor } = prove(evidenceOf(rosterOf(next, SITES, { version: 2 }), 'bo', chain));
    assert.throws(() => prove(version(9), floor), code('ROSTER_ROLLBACK'));
  });

  it('begins anew where the site pins a root of which it has seen nothing', () => {
    const { floor } = prove(version(5));
    assert.equal(prove(evidenceOf(rosterOf(next, SITES), 'bo'), floor, next).roster.version, 1);
  });
});

describe('the newest roster of a site', () => {
  const rule = parseSitePolicy({
    ...policyDocument(),
    spec: { ...policyDocument().spec, federation: { root: pinned(root) } },
  }).spec.federation;
  assert.ok(rule !== undefined);
  const alarms: string[] = [];
  const open = (store: MemoryStateStore, site = 'west') => {
    const quiet = (): void => undefined;
    const self = memberOf(site);
    const log = {
      debug: quiet,
      info: quiet,
      warn: quiet,
      error: (_: unknown, text: string) => alarms.push(text),
    };
    return new Membership({ store, self, clock: { now: () => NOW }, log });
  };

  it('is durable before it is used, and raises an alarm where an older one is shown after a restart', async () => {
    const store = new MemoryStateStore();
    assert.equal((await open(store).proveOwn(rule, version(4))).version, 4);
    await assert.rejects(open(store).proveOwn(rule, version(3)), code('ROSTER_ROLLBACK'));
    assert.deepEqual(alarms, ['alarm: the coordinator shows an older membership']);
    assert.equal((await open(store).proveOwn(rule, version(4))).version, 4);
  });

  it('is remembered also where it leaves this agent out: showing an older one brings nobody back', async () => {
    const store = new MemoryStateStore();
    await open(store).proveOwn(rule, version(1));
    await assert.rejects(open(store).proveOwn(rule, version(2, ['east', 'north'])), code('NOT_IN_ROSTER'));
    await assert.rejects(open(store).proveOwn(rule, version(1)), code('ROSTER_ROLLBACK'));
  });

  it('counts for rollouts although it does not name who asks: replicas are in none', async () => {
    assert.equal((await open(new MemoryStateStore(), 'replica').prove(rule, version(1))).version, 1);
  });
});

function pinned({ name, threshold, keys }: FederationRoot): unknown {
  return { name, threshold, keys };
}

describe('a policy that pins a root', () => {
  const author = publicKeyOf('analyst');
  const roster = verifyRoster(
    root,
    signedBy(rosterOf(root, SITES, { authors: [{ name: 'analyst', key: author }] }), 'ada'),
    NOW,
  );
  const facts: PolicyFacts = {
    logId: 'ab'.repeat(32),
    authorKey: author,
    parameters: 16,
    cohort: 3,
    members: SITES.map(memberOf),
    datasets: ['loans'],
    site: 'west',
    sentOnBase: 0,
    trainer: 'Tfjs',
    decision: 'None',
    startsAt: NOW,
    roster,
  };
  const policyOf = (federation: Record<string, unknown>, spec: Record<string, unknown> = {}) => {
    const document = policyDocument();
    return parseSitePolicy({
      ...document,
      spec: {
        ...document.spec,
        authors: [{ name: 'analyst', key: author }],
        minimumCohort: 3,
        federation: { root: pinned(root), ...federation },
        ...spec,
      },
    }).spec;
  };
  const judge = (federation: Record<string, unknown>, change: Partial<PolicyFacts> = {}, minSites = 3) => {
    const document = jobDocument();
    const { spec } = parseFederatedJob({ ...document, spec: { ...document.spec, minSites } });
    const verdict = evaluatePolicy(policyOf(federation), spec, { ...facts, ...change });
    return verdict.allowed ? 'allowed' : `${verdict.code} ${verdict.rule}`;
  };

  it('allows a round of members', () => {
    assert.equal(judge({}), 'allowed');
  });

  it('refuses a round with one stranger, however many members are in it', () => {
    const members = [...SITES.map(memberOf), memberOf('sybil')];
    assert.equal(judge({}, { members, cohort: 4 }), 'NOT_IN_ROSTER spec.federation.root');
  });

  it('refuses an agent that goes by the name of another site', () => {
    const members = [memberOf('west'), memberOf('east'), { ...memberOf('sybil'), site: 'north' }];
    assert.equal(judge({}, { members }), 'NOT_IN_ROSTER spec.federation.root');
    const swapped = [memberOf('west'), memberOf('east'), { ...memberOf('north'), site: 'south' }];
    assert.equal(judge({}, { members: swapped }), 'NOT_IN_ROSTER spec.federation.root');
  });

  it('refuses everything without a roster', () => {
    const { roster: _, ...without } = facts;
    const { spec } = parseFederatedJob(jobDocument());
    const verdict = evaluatePolicy(policyOf({}), spec, without);
    assert.ok(!verdict.allowed);
    assert.equal(verdict.code, 'ROSTER_MISSING');
  });

  it('accepts authors of both lists, or of the roster alone where it says so', () => {
    const other = publicKeyOf('other');
    assert.equal(judge({}, { authorKey: other }), 'AUTHOR_UNKNOWN spec.authors');
    assert.equal(judge({ authors: 'Roster' }), 'allowed');
    assert.equal(judge({ authors: 'Roster' }, { authorKey: other }), 'AUTHOR_UNKNOWN spec.federation.root');
    const { spec } = parseFederatedJob(jobDocument());
    const listed = policyOf({}, { authors: [{ name: 'other', key: other }], minimumCohort: 1 });
    const verdict = evaluatePolicy(listed, spec, { ...facts, authorKey: other });
    assert.ok(!verdict.allowed);
    assert.equal(verdict.code, 'AUTHOR_UNKNOWN');
  });

  it('counts pinned peers alone towards the minimum: others may come along, but hide nobody', () => {
    assert.equal(judge({ pinnedPeers: ['east', 'north'] }), 'allowed');
    assert.equal(judge({ pinnedPeers: ['east', 'south'] }), 'POLICY_REFUSED spec.minimumCohort');
  });

  it('counts of the reports those that are sure to be of peers that count', () => {
    const { roster: verified } = prove(
      evidenceOf(rosterOf(root, [...SITES, 'south'], { authors: [{ name: 'analyst', key: author }] }), 'ada'),
    );
    const members = [...SITES, 'south'].map(memberOf);
    const change = { roster: verified, members, cohort: 4 };
    const pins = { pinnedPeers: ['east', 'north'] };
    assert.equal(judge(pins, change, 3), 'POLICY_REFUSED spec.minimumCohort', 'south could be one of three');
    assert.equal(judge(pins, change, 4), 'allowed');
  });
});
