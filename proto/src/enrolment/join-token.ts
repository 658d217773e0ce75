import { z } from 'zod';

import { decodeBase64, decodeBase64Url, encodeBase64, encodeBase64Url, requireLength } from '../byte-text.js';
import { canonicalize, parseCanonical } from '../canonical-json.js';
import { TributaryError } from '../errors/tributary-error.js';
import { isName, type Digest } from '../ids.js';
import { signingKeyFromSeed, type SigningKey } from '../signing/ed25519.js';
import { digestSchema } from '../text-schemas.js';

/** What an operator hands to a site: who to dial, whom to trust, and the secret that lets it in once. */
export interface JoinToken {
  readonly tokenId: string;
  readonly site: string;
  /** For a replica; absent for an agent that trains. */
  readonly kind?: 'Serving';
  /** 32 bytes: seed of the Ed25519 key that signs the enrolment. It never crosses the wire; the hub knows the public key. */
  readonly seed: Uint8Array;
  /** SHA-256 of the CA certificate (DER): authenticates the first connection. */
  readonly caDigest: Digest;
  /** host:port of the enrolment listener. */
  readonly enrolAddress: string;
}

const PREFIX = 'trib1.';
const VERSION = 1;
const MOST_CHARACTERS = 2_048;
const SEED_BYTES = 32;

/** host:port, the host a DNS name, an IPv4 address or an IPv6 address in brackets. */
const ADDRESS =
  /^(?:\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?):[1-9][0-9]{0,4}$/;

const schema = z.strictObject({
  v: z.literal(VERSION),
  tokenId: z.string().regex(/^tok-[0-9a-f]{32}$/),
  site: z.string().refine(isName),
  kind: z.literal('Serving').optional(),
  seed: z.string(),
  caDigest: digestSchema,
  enrolAddress: z.string().regex(ADDRESS),
});

/** The text of a token: "trib1." and base64url of canonical JSON. It is a secret. Throws INVALID_ARGUMENT. */
export function encodeJoinToken(token: JoinToken): string {
  const { tokenId, site, kind, caDigest, enrolAddress } = token;
  const seed = encodeBase64(requireLength(token.seed, SEED_BYTES, 'seed'));
  const parsed = schema.safeParse({
    v: VERSION,
    tokenId,
    site,
    ...(kind && { kind }),
    seed,
    caDigest,
    enrolAddress,
  });
  if (!parsed.success) {
    const field = parsed.error.issues[0]?.path.map(String).join('.') ?? '';
    throw new TributaryError('INVALID_ARGUMENT', `${field} of the join token is malformed`, {
      fields: { field },
    });
  }
  return PREFIX + encodeBase64Url(canonicalize(parsed.data));
}

/** Reads a token; spaces around it are forgiven. Throws TOKEN_INVALID, which never repeats any of the token. */
export function decodeJoinToken(text: string): JoinToken {
  const trimmed = text.trim();
  if (trimmed.length > MOST_CHARACTERS || !trimmed.startsWith(PREFIX))
    throw invalid('it begins with "trib1."');
  try {
    const bytes = decodeBase64Url(trimmed.slice(PREFIX.length), 'token');
    const { seed, tokenId, site, kind, caDigest, enrolAddress } = schema.parse(
      parseCanonical(bytes, MOST_CHARACTERS),
    );
    return {
      tokenId,
      site,
      ...(kind && { kind }),
      seed: decodeBase64(seed, 'seed', SEED_BYTES),
      caDigest,
      enrolAddress,
    };
  } catch {
    // The cause may quote the token: it is dropped.
    throw invalid('copy the whole of it');
  }
}

/** The key that signs "enroll" transcripts for a token. */
export function joinTokenKey(token: Pick<JoinToken, 'seed'>): SigningKey {
  return signingKeyFromSeed(token.seed);
}

function invalid(hint: string): TributaryError {
  return new TributaryError('TOKEN_INVALID', 'this is not a join token of this version', { hint });
}
