import { hkdfSync } from 'node:crypto';

import { encodeBase64, requireLength } from '../byte-text.js';
import { canonicalize, type JsonObject } from '../canonical-json.js';
import { x25519PublicKey, x25519Shared } from '../sealing/x25519.js';
import { STREAM_KEY_BYTES, type Mask } from './mask-stream.js';
import { roundFields, type MaskBinding } from './secure-round.js';

/** Bytes of the seed of a self mask. */
export const SEED_BYTES = 32;

/** An agent as far as pair masks go. */
export interface MaskParty {
  readonly agentId: string;
  /** X25519, as advertised. */
  readonly maskKey: Uint8Array;
}

/** HKDF-SHA256 (RFC 5869), its info the canonical JSON of everything that the key is for. */
export function deriveKey(secret: Uint8Array, context: string, fields: JsonObject): Uint8Array {
  const info = canonicalize({ ...fields, context: `tributary.v1/${context}` });
  return new Uint8Array(hkdfSync('sha256', secret, new Uint8Array(0), info, STREAM_KEY_BYTES));
}

/**
 * The mask that `own` applies for its pair with `peer`; both compute the same words, and the agent with the lower id adds
 * them. Throws where the peer's key is a point of small order.
 */
export function pairMask(binding: MaskBinding, own: MaskParty, secretKey: Uint8Array, peer: MaskParty): Mask {
  const lowerFirst = own.agentId < peer.agentId ? [own, peer] : [peer, own];
  const shared = x25519Shared(peer.maskKey, secretKey);
  const key = deriveKey(shared, 'secagg-pair-mask', {
    ...bound(binding),
    keys: lowerFirst.map(({ maskKey }) => encodeBase64(maskKey)),
  });
  shared.fill(0);
  return { key, sign: own.agentId < peer.agentId ? 1 : -1 };
}

/** The mask of an agent's own seed, 32 random bytes: what hides its vector once its pair masks are known. */
export function selfMask(binding: MaskBinding, agentId: string, seed: Uint8Array): Mask {
  requireLength(seed, SEED_BYTES, 'seed');
  return { key: deriveKey(seed, 'secagg-self-mask', { ...bound(binding), agentId }), sign: 1 };
}

/** The same mask with the other sign: what takes it away. */
export function opposite({ key, sign }: Mask): Mask {
  return { key, sign: sign === 1 ? -1 : 1 };
}

/** Secrets that an agent draws for one attempt at a round, in an adapter, and stores sealed before their first use. */
export interface RoundSecrets {
  /** X25519 secret of the pair masks: shared among the holders, revealed where the agent drops out. 32 bytes. */
  readonly maskSecret: Uint8Array;
  /** X25519 secret that opens sealed shares: never leaves. 32 bytes. */
  readonly sealSecret: Uint8Array;
  /** Of the self mask: shared among the holders, revealed where the agent survives. 32 bytes. */
  readonly seed: Uint8Array;
  /** Of the rounding. 32 bytes. */
  readonly roundingSeed: Uint8Array;
}

/** Draws the secrets of one attempt from a cryptographic source. */
export function drawRoundSecrets(random: (length: number) => Uint8Array): RoundSecrets {
  return {
    maskSecret: random(SEED_BYTES),
    sealSecret: random(SEED_BYTES),
    seed: random(SEED_BYTES),
    roundingSeed: random(SEED_BYTES),
  };
}

/** Every mask that one agent applies: its own, and one with each of `peers`, its neighbours in the cohort. */
export function ownMasks(
  binding: MaskBinding,
  agentId: string,
  { maskSecret, seed }: Pick<RoundSecrets, 'maskSecret' | 'seed'>,
  peers: readonly MaskParty[],
): readonly Mask[] {
  const own = { agentId, maskKey: x25519PublicKey(maskSecret) };
  return [selfMask(binding, agentId, seed), ...peers.map((peer) => pairMask(binding, own, maskSecret, peer))];
}

function bound({ round, baseDigest, cohortDigest }: MaskBinding): JsonObject {
  return { ...roundFields(round), baseDigest, cohortDigest };
}
