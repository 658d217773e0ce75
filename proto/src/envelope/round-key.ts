import nacl from 'tweetnacl';

import { requireLength } from '../byte-text.js';

/** The key pair of a round, Curve25519: content keys of envelopes are sealed to its public half. */
export interface RoundKeyPair {
  /** 32 bytes; in the "round.opened" entry. */
  readonly publicKey: Uint8Array;
  /** 32 bytes; kept sealed until the round is settled. */
  readonly secretKey: Uint8Array;
}

/** The key pair of 32 random bytes. */
export function roundKeyPair(secretKey: Uint8Array): RoundKeyPair {
  const pair = nacl.box.keyPair.fromSecretKey(
    plain(requireLength(secretKey, nacl.box.secretKeyLength, 'round key')),
  );
  return { publicKey: pair.publicKey, secretKey: pair.secretKey };
}

/** Seals a content key with nacl.box (X25519, XSalsa20-Poly1305): 16 bytes longer. */
export function sealContentKey(
  contentKey: Uint8Array,
  nonce: Uint8Array,
  roundKey: Uint8Array,
  ephemeralSecret: Uint8Array,
): Uint8Array {
  return nacl.box(plain(contentKey), plain(nonce), plain(roundKey), plain(ephemeralSecret));
}

/** Opens a sealed content key, or undefined where it was sealed to another key or altered. */
export function openContentKey(
  sealedKey: Uint8Array,
  nonce: Uint8Array,
  ephemeralKey: Uint8Array,
  roundSecret: Uint8Array,
): Uint8Array | undefined {
  return nacl.box.open(plain(sealedKey), plain(nonce), plain(ephemeralKey), plain(roundSecret)) ?? undefined;
}

/** tweetnacl's own checks want a Uint8Array of their realm, not a pooled Buffer. */
const plain = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes);
