import { z } from 'zod';

import { canonicalize, isJsonObject, parseCanonical, type JsonValue } from '../canonical-json.js';
import { TributaryError } from '../errors/tributary-error.js';
import { LIMITS } from '../limits.js';
import type { SigningKey } from '../signing/ed25519.js';
import { transcript } from '../signing/transcript.js';
import { requireFormat } from '../versions.js';
import {
  MEMBERSHIP_FORMAT,
  notMembership,
  parseRoot,
  requireThreshold,
  rootDigest,
  rootSchema,
  rootSignatureSchema,
  type FederationRoot,
  type RootSignature,
} from './federation-root.js';
import { withSignature } from './roster.js';

const rotationSchema = z.strictObject({
  formatVersion: z.literal(MEMBERSHIP_FORMAT),
  /** The root that hands over. */
  previous: rootSchema,
  root: rootSchema,
});
const signedSchema = z.strictObject({
  rotation: rotationSchema,
  signatures: z.array(rootSignatureSchema).max(2 * LIMITS.rootKeys),
});

/** A new root in the place of an old one, signed by the old one. */
export interface SignedRotation {
  readonly rotation: z.output<typeof rotationSchema>;
  readonly signatures: readonly RootSignature[];
}

/** The hand-over from one root to another, not signed yet. */
export function rotationOf(previous: FederationRoot, next: FederationRoot): SignedRotation {
  return { rotation: { formatVersion: MEMBERSHIP_FORMAT, previous, root: next }, signatures: [] };
}

/** With the signature of a key of the old root added. */
export function signRotation(
  { rotation, signatures }: SignedRotation,
  key: Pick<SigningKey, 'publicKey' | 'sign'>,
): SignedRotation {
  return { rotation, signatures: withSignature(signatures, key, transcript('root', { rotation })) };
}

export function encodeRotation({ rotation, signatures }: SignedRotation): Uint8Array {
  return canonicalize({
    rotation,
    signatures: signatures.map(({ key, signature }) => ({ key, signature })),
  });
}

/** What canonical bytes say, with no signature verified. Throws ROSTER_INVALID, FORMAT_UNSUPPORTED. */
export function readRotation(bytes: Uint8Array): SignedRotation {
  let value: JsonValue;
  try {
    value = parseCanonical(bytes, LIMITS.rootBytes);
  } catch (cause) {
    throw new TributaryError(
      'ROSTER_INVALID',
      `a rotation is canonical JSON of at most ${String(LIMITS.rootBytes)} bytes`,
      { cause },
    );
  }
  return parseRotation(value);
}

/** {@link readRotation} of JSON that was written by hand: a file. */
export function parseRotation(value: JsonValue): SignedRotation {
  const inner = isJsonObject(value) ? value['rotation'] : undefined;
  if (isJsonObject(inner)) requireFormat(inner['formatVersion'], 'the rotation', MEMBERSHIP_FORMAT);
  const parsed = signedSchema.safeParse(value);
  if (!parsed.success) throw notMembership('the rotation', parsed.error);
  return parsed.data;
}

/**
 * The root that follows `previous`. Throws ROSTER_INVALID unless enough keys of `previous` signed exactly this hand-over
 * to a root of the same federation.
 */
export function verifyRotation(previous: FederationRoot, bytes: Uint8Array): FederationRoot {
  const { rotation, signatures } = readRotation(bytes);
  if (rootDigest(rotation.previous) !== rootDigest(previous) || rotation.root.name !== previous.name)
    throw new TributaryError('ROSTER_INVALID', 'the rotation is one of another root');
  requireThreshold(previous, transcript('root', { rotation }), signatures, 'the rotation');
  return parseRoot(rotation.root);
}
