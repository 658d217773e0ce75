import assert from 'node:assert/strict';

import {
  canonicalText,
  digestOf,
  encodeHex,
  requireDigest,
  parseCanonical,
  requireSignature,
  sha256,
  sha256Hex,
  signingKeyFromSeed,
  startDigest,
  transcript,
  verifySignature,
} from '@tributary/proto';
import fc from 'fast-check';
import nacl from 'tweetnacl';

import { refusal } from '../../support/refusal.js';

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

/** RFC 8032, 7.1, tests 1 to 3. */
const RFC8032: readonly (readonly [seed: string, key: string, message: string, signature: string])[] = [
  [
    '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    '',
    'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  ],
  [
    '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    '72',
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  ],
  [
    'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    'af82',
    '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  ],
];

describe('Ed25519', () => {
  it('signs the vectors of RFC 8032, 7.1', () => {
    for (const [seed, publicKey, message, signature] of RFC8032) {
      const key = signingKeyFromSeed(hex(seed));
      assert.equal(encodeHex(key.publicKey), publicKey);
      assert.equal(encodeHex(key.sign(hex(message))), signature);
      assert.equal(verifySignature(key.publicKey, hex(message), hex(signature)), true);
    }
  });

  it('agrees with tweetnacl byte for byte', () => {
    fc.assert(
      fc.property(bytes(32), fc.uint8Array({ maxLength: 300 }), (seed, message) => {
        const ours = signingKeyFromSeed(seed);
        const theirs = nacl.sign.keyPair.fromSeed(seed);
        assert.deepEqual(ours.publicKey, theirs.publicKey);
        assert.deepEqual(ours.sign(message), nacl.sign.detached(message, theirs.secretKey));
      }),
      { numRuns: 25 },
    );
  });

  it('refuses another message, key or signature, and never throws', () => {
    const key = signingKeyFromSeed(new Uint8Array(32).fill(7));
    const message = hex('00ff');
    const signature = key.sign(message);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ maxLength: 70 }), (a, b) => {
        assert.equal(verifySignature(a, message, signature), false);
        assert.equal(verifySignature(key.publicKey, message, b), false);
      }),
    );
    for (let bit = 0; bit < 512; bit += 1) {
      const flipped = Uint8Array.from(signature);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.equal(verifySignature(key.publicKey, message, flipped), false, `bit ${String(bit)}`);
    }
    assert.equal(verifySignature(key.publicKey, hex('00fe'), signature), false);
  });

  it('refuses a signature whose scalar is not reduced, which tweetnacl takes', () => {
    const key = signingKeyFromSeed(new Uint8Array(32).fill(7));
    const message = hex('00ff');
    const signature = key.sign(message);
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    const scalar = BigInt(`0x${encodeHex(signature.slice(32).reverse())}`) + order;
    const malleable = Uint8Array.from([
      ...signature.slice(0, 32),
      ...hex(scalar.toString(16).padStart(64, '0')).reverse(),
    ]);
    assert.equal(nacl.sign.detached.verify(message, malleable, key.publicKey), true);
    assert.equal(verifySignature(key.publicKey, message, malleable), false);
  });

  it('names what was signed when it refuses', () => {
    const key = signingKeyFromSeed(new Uint8Array(32));
    requireSignature(key.publicKey, hex('01'), key.sign(hex('01')), 'the hello');
    assert.throws(
      () => requireSignature(key.publicKey, hex('02'), key.sign(hex('01')), 'the hello'),
      refusal('SIGNATURE_INVALID', /the hello/),
    );
    assert.throws(() => signingKeyFromSeed(new Uint8Array(31)), refusal('INVALID_ARGUMENT', /seed/));
  });

  it('keeps the keys that it has imported apart', () => {
    const key = signingKeyFromSeed(new Uint8Array(32).fill(9));
    const signature = key.sign(hex('01'));
    for (let index = 0; index < 50; index += 1) {
      assert.equal(
        verifySignature(signingKeyFromSeed(new Uint8Array(32).fill(index)).publicKey, hex('02'), signature),
        false,
      );
    }
    assert.equal(verifySignature(key.publicKey, hex('01'), signature), true);
  });
});

describe('digests', () => {
  it('are SHA-256 (FIPS 180-4: "abc"), in one piece or several', () => {
    const abc = new TextEncoder().encode('abc');
    const expected = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
    assert.equal(digestOf(abc), `sha256:${expected}`);
    assert.equal(encodeHex(sha256(abc.subarray(0, 1), abc.subarray(1))), expected);
    assert.equal(sha256Hex(abc), expected);
    assert.equal(sha256Hex('abc'), expected);
    assert.equal(digestOf(abc.subarray(0, 1), abc.subarray(1)), `sha256:${expected}`);
    const stream = startDigest();
    for (const byte of abc) stream.update(Uint8Array.of(byte));
    assert.equal(stream.digest(), `sha256:${expected}`);
  });

  it('are refused in any other form', () => {
    for (const text of ['sha256:', 'sha256:AA', 'md5:00']) {
      assert.throws(() => requireDigest(text, 'digest'), refusal('INVALID_ARGUMENT'));
    }
  });
});

describe('transcripts', () => {
  it('are canonical JSON that names its context', () => {
    const signed = transcript('renew', {
      agentId: 'agt-1',
      nonce: 'AA==',
      csrDigest: 'sha256:00',
      logId: '11',
    });
    assert.equal(
      Buffer.from(signed).toString('utf8'),
      '{"agentId":"agt-1","context":"tributary.v1/renew","csrDigest":"sha256:00","logId":"11","nonce":"AA=="}',
    );
    assert.equal(canonicalText(parseCanonical(signed, 1_000)), Buffer.from(signed).toString('utf8'));
  });

  it('cannot have their context overridden by a field', () => {
    const fields = { manifestDigest: 'sha256:00', context: 'tributary.v1/document' } as const;
    assert.match(
      Buffer.from(transcript('model-manifest', fields)).toString('utf8'),
      /"context":"tributary.v1\/model-manifest"/,
    );
  });
});
