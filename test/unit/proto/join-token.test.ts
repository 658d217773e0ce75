import assert from 'node:assert/strict';

import {
  canonicalize,
  decodeJoinToken,
  digestOf,
  encodeBase64Url,
  encodeJoinToken,
  joinTokenKey,
  signingKeyFromSeed,
  TributaryError,
  type JoinToken,
  type JsonObject,
} from '@tributary/proto';
import fc from 'fast-check';

import { refusal } from '../../support/refusal.js';

const token = {
  tokenId: `tok-${'ab'.repeat(16)}`,
  site: 'north',
  seed: new Uint8Array(32).fill(5),
  caDigest: digestOf(Uint8Array.of(1)),
  enrolAddress: 'hub.example:7444',
};

const fields = {
  v: 1,
  tokenId: token.tokenId,
  site: 'north',
  seed: Buffer.from(token.seed).toString('base64'),
  caDigest: token.caDigest,
  enrolAddress: token.enrolAddress,
};
const textOf = (changes: JsonObject): string =>
  `trib1.${encodeBase64Url(canonicalize({ ...fields, ...changes }))}`;

describe('join token', () => {
  it('reads back what it writes, spaces around it forgiven', () => {
    const text = encodeJoinToken(token);
    assert.match(text, /^trib1\.[A-Za-z0-9_-]+$/);
    assert.deepEqual(decodeJoinToken(`  ${text}\n`), token);
    assert.equal(text, textOf({}));
  });

  it('makes the key that signs the enrolment', () => {
    assert.deepEqual(joinTokenKey(token).publicKey, signingKeyFromSeed(token.seed).publicKey);
  });

  it('takes names, IPv4 and IPv6 addresses with a port', () => {
    for (const enrolAddress of [
      'localhost:1',
      '10.0.0.1:7444',
      '[::1]:7444',
      '[2001:db8::1]:65535',
      'a.b-c.example:80',
    ]) {
      assert.equal(decodeJoinToken(encodeJoinToken({ ...token, enrolAddress })).enrolAddress, enrolAddress);
    }
  });

  const refused: readonly (readonly [what: string, changes: JsonObject])[] = [
    ['another version', { v: 2 }],
    ['a missing field', { site: undefined }],
    ['an unknown field', { extra: true }],
    ['a short seed', { seed: 'AAAA' }],
    ['a seed that is not base64', { seed: '*' }],
    ['a site that is no name', { site: 'No Site' }],
    ['an address without port', { enrolAddress: 'hub.example' }],
    ['an address with a path', { enrolAddress: 'hub.example:1/x' }],
    ['an address that is an option', { enrolAddress: '-hub:1' }],
    ['another digest', { caDigest: 'md5:00' }],
  ];
  for (const [what, changes] of refused) {
    it(`refuses ${what}`, () =>
      assert.throws(() => decodeJoinToken(textOf(changes)), refusal('TOKEN_INVALID')));
  }

  it('throws nothing else, and never repeats a part of the token', () => {
    const text = encodeJoinToken(token);
    const damaged = fc
      .tuple(fc.nat({ max: text.length - 1 }), fc.string({ maxLength: 3 }))
      .map(([at, by]) => text.slice(0, at) + by + text.slice(at + 1));
    fc.assert(
      fc.property(
        fc.oneof(
          damaged,
          fc.string(),
          fc.string().map((tail) => `trib1.${tail}`),
        ),
        (attempt) => {
          let read: JoinToken;
          try {
            read = decodeJoinToken(attempt);
          } catch (error) {
            assert.ok(error instanceof TributaryError && error.code === 'TOKEN_INVALID');
            assert.equal(error.cause, undefined);
            assert.ok(!`${error.message} ${error.hint ?? ''}`.includes(text.slice(20, 40)));
            return;
          }
          assert.equal(encodeJoinToken(read), attempt.trim());
        },
      ),
      { numRuns: 500 },
    );
    assert.throws(() => decodeJoinToken(`trib1.${'A'.repeat(1_000_000)}`), refusal('TOKEN_INVALID'));
  });

  it('is not written where it could not be read', () => {
    assert.throws(
      () => encodeJoinToken({ ...token, enrolAddress: 'hub' }),
      refusal('INVALID_ARGUMENT', /enrolAddress/),
    );
    assert.throws(
      () => encodeJoinToken({ ...token, seed: new Uint8Array(31) }),
      refusal('INVALID_ARGUMENT', /seed/),
    );
  });
});
