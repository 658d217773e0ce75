import { z } from 'zod';

import { decodeBase64 } from '../byte-text.js';
import { canonicalize, isJsonObject, type JsonValue } from '../canonical-json.js';
import { nameSchema } from '../documents/metadata.js';
import { publicKeySchema } from '../documents/public-key.js';
import { TributaryError } from '../errors/tributary-error.js';
import type { Digest } from '../ids.js';
import { LIMITS } from '../limits.js';
import { digestOf } from '../signing/hash.js';
import { verifySignature } from '../signing/ed25519.js';
import { requireFormat } from '../versions.js';

/** Newest layout of roots, rosters and rotations that this build reads and writes. */
export const MEMBERSHIP_FORMAT = 1;

const holderSchema = z.strictObject({ name: nameSchema, key: publicKeySchema });

/** Who decides about membership, as root.json and site policies have it. Whether it is coherent, rootProblem says. */
export const rootMembersSchema = z.strictObject({
  name: nameSchema.describe('Name of the federation.'),
  threshold: z
    .int()
    .min(1)
    .max(LIMITS.rootKeys)
    .describe('Signatures of different keys that a roster needs.'),
  keys: z
    .array(holderSchema)
    .min(1)
    .max(LIMITS.rootKeys)
    .describe('Ed25519 public keys, 32 bytes in base64, and who holds each.'),
});

export const rootSchema = rootMembersSchema.extend({ formatVersion: z.literal(MEMBERSHIP_FORMAT) });

export type RootMembers = z.output<typeof rootMembersSchema>;

/** The authority over the members of a federation: `threshold` of these keys sign its rosters. No coordinator holds one. */
export type FederationRoot = z.output<typeof rootSchema>;

/** One signature over a roster or a rotation. */
export const rootSignatureSchema = z.strictObject({
  key: publicKeySchema,
  signature: z.string().max(88),
});
export type RootSignature = z.output<typeof rootSignatureSchema>;

/** Why these members make no root: path below it and what is wrong; undefined where they do. */
export function rootProblem({ threshold, keys }: RootMembers): RootProblem | undefined {
  if (threshold > keys.length) {
    return {
      field: 'threshold',
      what: `is ${String(threshold)} of ${String(keys.length)} keys`,
      fix: 'ask for no more signatures than there are keys',
    };
  }
  if (new Set(keys.map(({ key }) => key)).size < keys.length)
    return { field: 'keys', what: 'lists a key twice', fix: 'list each key once: it counts once' };
  return undefined;
}

export interface RootProblem {
  readonly field: 'threshold' | 'keys';
  readonly what: string;
  readonly fix: string;
}

/** The root with these members. Throws ROSTER_INVALID where they make none. */
export function federationRoot(members: RootMembers): FederationRoot {
  const { name, threshold, keys } = members;
  return parseRoot({
    formatVersion: MEMBERSHIP_FORMAT,
    name,
    threshold,
    keys: keys.map(({ name: holder, key }) => ({ name: holder, key })),
  });
}

/** Reads root.json. Throws ROSTER_INVALID, FORMAT_UNSUPPORTED for a newer one. */
export function parseRoot(value: JsonValue): FederationRoot {
  if (isJsonObject(value)) requireFormat(value['formatVersion'], 'the federation root', MEMBERSHIP_FORMAT);
  const parsed = rootSchema.safeParse(value);
  if (!parsed.success) throw notMembership('the federation root', parsed.error);
  const problem = rootProblem(parsed.data);
  if (problem === undefined) return parsed.data;
  throw new TributaryError(
    'ROSTER_INVALID',
    `${problem.field} of the federation root ${problem.what}; ${problem.fix}`,
  );
}

/** What names a root: the digest of its canonical form. */
export function rootDigest(root: FederationRoot): Digest {
  return digestOf(canonicalize(root));
}

/**
 * Throws ROSTER_INVALID unless `threshold` keys of the root signed `message`. Every signature must be good and by a key
 * of the root; a key that signed twice counts once.
 */
export function requireThreshold(
  root: FederationRoot,
  message: Uint8Array,
  signatures: readonly RootSignature[],
  what: string,
): void {
  const known = new Set(root.keys.map(({ key }) => key));
  const signers = new Set<string>();
  for (const { key, signature } of signatures) {
    if (!known.has(key))
      throw new TributaryError('ROSTER_INVALID', `${what} is signed by ${key}, which is no key of the root`);
    if (!isSigned(key, message, signature))
      throw new TributaryError('ROSTER_INVALID', `a signature of ${what} does not match its content and key`);
    signers.add(key);
  }
  if (signers.size >= root.threshold) return;
  throw new TributaryError(
    'ROSTER_INVALID',
    `${what} has ${String(signers.size)} of the ${String(root.threshold)} signatures that the root demands`,
    { hint: 'have another holder of a root key run `tributary federation roster sign`' },
  );
}

function isSigned(key: string, message: Uint8Array, signature: string): boolean {
  try {
    return verifySignature(decodeBase64(key, 'key', 32), message, decodeBase64(signature, 'signature', 64));
  } catch {
    return false;
  }
}

/** The error for something that does not match its schema: names the field. */
export function notMembership(what: string, error: z.ZodError): TributaryError {
  const [issue] = error.issues;
  const field = issue?.path.map(String).join('.') ?? '';
  const where = field === '' ? what : `${field} of ${what}`;
  return new TributaryError('ROSTER_INVALID', `${where}: ${issue?.message ?? 'of the wrong form'}`, {
    fields: { field },
  });
}
