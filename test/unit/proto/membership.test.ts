import assert from 'node:assert/strict';

import {
  canonicalize,
  encodeRotation,
  federationRoot,
  identityStatement,
  LIMITS,
  parseIdentityStatement,
  parseRoot,
  parseSitePolicy,
  readRoster,
  rootDigest,
  rotationOf,
  signRotation,
  TributaryError,
  verifyRoster,
  verifyRotation,
  type JsonValue,
  type RosterDocument,
} from '@tributary/proto';
import fc from 'fast-check';

import { policyDocument } from '../../support/job-document.js';
import { keyOf, memberOf, publicKeyOf, rootOf, rosterOf, signedBy } from '../../support/roster.js';

const NOW = Date.parse('2026-06-01T00:00:00.000Z');
const SITES = ['north', 'south', 'west'];
const two = rootOf(2, 'ada', 'bo', 'cy');
const plain = (value: unknown): JsonValue => JSON.parse(JSON.stringify(value)) as JsonValue;
const refused = (code: string, message: RegExp) => (error: unknown) =>
  error instanceof TributaryError && error.code === code && message.test(error.message);

describe('a roster', () => {
  const roster = rosterOf(two, SITES, { authors: [{ name: 'analyst', key: publicKeyOf('analyst') }] });
  const bytes = signedBy(roster, 'ada', 'cy');

  it('names members and authors once enough keys of its root have signed', () => {
    const verified = verifyRoster(two, bytes, NOW);
    assert.equal(verified.version, 1);
    for (const site of SITES) {
      const { agentId, identityKey } = memberOf(site);
      assert.deepEqual({ ...verified.member(agentId) }, memberOf(site));
      assert.equal(verified.member(agentId)?.identityKey, identityKey);
    }
    assert.equal(verified.member(memberOf('east').agentId), undefined);
    assert.ok(verified.isAuthor(publicKeyOf('analyst')));
    assert.ok(!verified.isAuthor(publicKeyOf('ada')), 'a key of the root is no author');
  });

  it('is refused with any byte changed, left out or added', () => {
    fc.assert(
      fc.property(
        fc.nat(bytes.length - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.constantFrom('change', 'cut', 'insert'),
        (at, by, how) => {
          const altered =
            how === 'change'
              ? Uint8Array.from(bytes, (byte, index) => (index === at ? byte ^ by : byte))
              : how === 'cut'
                ? Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)])
                : Buffer.concat([bytes.subarray(0, at), Uint8Array.of(by), bytes.subarray(at)]);
          assert.throws(() => verifyRoster(two, altered, NOW), TributaryError);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('is refused with fewer signatures than the root demands, whoever is missing', () => {
    fc.assert(
      fc.property(
        fc.subarray(['a', 'b', 'c', 'd', 'e']),
        fc.integer({ min: 1, max: 5 }),
        (signers, threshold) => {
          const root = rootOf(threshold, 'a', 'b', 'c', 'd', 'e');
          const signed = signedBy(rosterOf(root, SITES), ...signers);
          if (signers.length >= threshold) assert.equal(verifyRoster(root, signed, NOW).version, 1);
          else
            assert.throws(
              () => verifyRoster(root, signed, NOW),
              refused('ROSTER_INVALID', /signatures that the root/),
            );
        },
      ),
      { numRuns: 60 },
    );
  });

  it('counts a key that signed twice once', () => {
    const once = readRoster(signedBy(roster, 'ada'));
    const twice = canonicalize({
      ...(plain(once) as object),
      signatures: [...once.signatures, ...once.signatures],
    });
    assert.throws(() => verifyRoster(two, twice, NOW), refused('ROSTER_INVALID', /1 of the 2 signatures/));
  });

  it('is refused with a signature of a key outside of the root, even beside enough good ones', () => {
    const signed = signedBy(roster, 'ada', 'cy', 'mallory');
    assert.throws(() => verifyRoster(two, signed, NOW), refused('ROSTER_INVALID', /no key of the root/));
  });

  it('is refused by another root, and by one of the same keys with a lower threshold', () => {
    for (const root of [rootOf(1, 'ada'), rootOf(1, 'ada', 'bo', 'cy')])
      assert.throws(() => verifyRoster(root, bytes, NOW), refused('ROSTER_INVALID', /of root/));
  });

  it('counts until it expires, to the millisecond', () => {
    const end = Date.parse(roster.expires);
    assert.equal(verifyRoster(two, bytes, end - 1).version, 1);
    assert.throws(() => verifyRoster(two, bytes, end), refused('ROSTER_EXPIRED', /2027-01-01/));
  });

  it('names no site, agent or key twice: a key that stood twice would be two members', () => {
    const [north, south] = [memberOf('north'), memberOf('south')];
    const doubles: readonly Partial<RosterDocument>[] = [
      { members: [north, { ...south, site: north.site }] },
      { members: [north, { ...south, agentId: north.agentId }] },
      { members: [north, { ...south, identityKey: north.identityKey }] },
      {
        authors: [
          { name: 'a', key: north.identityKey },
          { name: 'b', key: north.identityKey },
        ],
      },
    ];
    for (const change of doubles)
      assert.throws(() => signedBy({ ...roster, ...change }, 'ada'), refused('ROSTER_INVALID', /twice/));
  });

  it('counts for no longer than the limit, and not backwards', () => {
    const issued = Date.parse(roster.issued);
    for (const validMs of [0, -1, LIMITS.rosterMaxTtlMs + 1]) {
      const expires = new Date(issued + validMs).toISOString();
      assert.throws(() => signedBy({ ...roster, expires }, 'ada'), refused('ROSTER_INVALID', /expires/));
    }
  });

  it('of a newer format is refused as one', () => {
    const newer = canonicalize({ roster: { ...roster, formatVersion: 2, tiers: [] }, signatures: [] });
    assert.throws(() => verifyRoster(two, newer, NOW), refused('FORMAT_UNSUPPORTED', /roster/));
  });

  it('of a few thousand bytes beyond the limit is refused before it is read', () => {
    assert.throws(
      () => readRoster(new Uint8Array(LIMITS.rosterBytes + 1)),
      refused('ROSTER_INVALID', /bytes/),
    );
  });
});

describe('a federation root', () => {
  it('is refused where its threshold is beyond its keys, or a key stands twice', () => {
    const [a, b] = [
      { name: 'a', key: publicKeyOf('a') },
      { name: 'b', key: publicKeyOf('a') },
    ];
    assert.throws(
      () => federationRoot({ name: 'x', threshold: 2, keys: [a] }),
      refused('ROSTER_INVALID', /threshold/),
    );
    assert.throws(
      () => federationRoot({ name: 'x', threshold: 1, keys: [a, b] }),
      refused('ROSTER_INVALID', /twice/),
    );
  });

  it('in a site policy is refused with the path and the fix', () => {
    const { name, keys } = rootOf(1, 'ada');
    const document = policyDocument();
    const withRoot = {
      ...document,
      spec: { ...document.spec, federation: { root: { name, threshold: 2, keys } } },
    };
    assert.throws(
      () => parseSitePolicy(withRoot),
      refused('DOCUMENT_INVALID', /^spec\.federation\.root\.threshold: is 2 of 1 keys; /),
    );
  });

  it('has the digest of everything in it', () => {
    assert.equal(rootDigest(parseRoot(plain(two))), rootDigest(two));
    assert.notEqual(rootDigest(rootOf(1, 'ada', 'bo', 'cy')), rootDigest(two));
  });

  it('hands over to another root with its own threshold, and to that one only', () => {
    const next = rootOf(1, 'dee');
    const one = signRotation(rotationOf(two, next), keyOf('ada'));
    assert.throws(() => verifyRotation(two, encodeRotation(one)), refused('ROSTER_INVALID', /1 of the 2/));
    const both = encodeRotation(signRotation(one, keyOf('bo')));
    assert.equal(rootDigest(verifyRotation(two, both)), rootDigest(next));
    assert.throws(() => verifyRotation(next, both), refused('ROSTER_INVALID', /another root/));
    const swapped = encodeRotation({
      ...signRotation(one, keyOf('bo')),
      rotation: rotationOf(two, rootOf(1, 'eve')).rotation,
    });
    assert.throws(() => verifyRotation(two, swapped), refused('ROSTER_INVALID', /does not match/));
  });
});

describe('the identity of an agent', () => {
  const agent = { site: 'west', agentId: memberOf('west').agentId, logId: 'ab'.repeat(32) };
  const statement = identityStatement(agent, keyOf('agent of west'));

  it('is read where its own key signed it', () => {
    assert.deepEqual({ ...parseIdentityStatement(plain(statement)) }, { ...statement });
  });

  it('is refused with any field of another agent', () => {
    const other = identityStatement(
      { ...agent, site: 'east', agentId: memberOf('east').agentId, logId: 'cd'.repeat(32) },
      keyOf('east'),
    );
    for (const field of ['site', 'agentId', 'logId', 'identityKey', 'fingerprint', 'signature'] as const) {
      const mixed = plain({ ...statement, [field]: other[field] });
      assert.throws(() => parseIdentityStatement(mixed), refused('SIGNATURE_INVALID', /own key/), field);
    }
  });
});
