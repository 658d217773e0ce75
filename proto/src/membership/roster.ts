import { z } from 'zod';

import { encodeBase64 } from '../byte-text.js';
import { canonicalize, isJsonObject, parseCanonical, type JsonValue } from '../canonical-json.js';
import { nameSchema } from '../documents/metadata.js';
import { publicKeySchema } from '../documents/public-key.js';
import { TributaryError } from '../errors/tributary-error.js';
import { isId, type Digest } from '../ids.js';
import { LIMITS } from '../limits.js';
import type { SigningKey } from '../signing/ed25519.js';
import { digestOf } from '../signing/hash.js';
import { transcript } from '../signing/transcript.js';
import { requireFormat } from '../versions.js';
import { digestSchema } from '../text-schemas.js';
import {
  MEMBERSHIP_FORMAT,
  notMembership,
  requireThreshold,
  rootDigest,
  rootSignatureSchema,
  type FederationRoot,
  type RootSignature,
} from './federation-root.js';

const time = z.iso.datetime({ precision: 3 });
const distinct = <T>(items: readonly T[], of: (item: T) => string): boolean =>
  new Set(items.map(of)).size === items.length;

const memberSchema = z.strictObject({
  site: nameSchema,
  agentId: z.string().refine((value) => isId(value, 'agt'), 'not an agent id'),
  identityKey: publicKeySchema,
});
const authorSchema = z.strictObject({ name: nameSchema, key: publicKeySchema });

/*
 * A key that stood twice would count as two members, so site, agent and key are each unique. Expiry is what bounds for
 * how long an old roster can be shown to a site that has seen no newer one.
 */
const rosterSchema = z
  .strictObject({
    formatVersion: z.literal(MEMBERSHIP_FORMAT),
    root: digestSchema,
    federation: nameSchema,
    version: z.int().min(1),
    issued: time,
    expires: time,
    members: z
      .array(memberSchema)
      .refine((members) => distinct(members, ({ site }) => site), 'a site is listed twice')
      .refine((members) => distinct(members, ({ agentId }) => agentId), 'an agent is listed twice')
      .refine((members) => distinct(members, ({ identityKey }) => identityKey), 'a key is listed twice'),
    authors: z
      .array(authorSchema)
      .refine((authors) => distinct(authors, ({ name }) => name), 'a name is listed twice')
      .refine((authors) => distinct(authors, ({ key }) => key), 'a key is listed twice'),
  })
  .refine(
    ({ issued, expires }) => {
      const validity = Date.parse(expires) - Date.parse(issued);
      return validity > 0 && validity <= LIMITS.rosterMaxTtlMs;
    },
    { path: ['expires'], message: 'is not after issued, or too long after it' },
  );

const signedSchema = z.strictObject({
  roster: rosterSchema,
  signatures: z.array(rootSignatureSchema).max(2 * LIMITS.rootKeys),
});

/** Members and authors of a federation at a version: always the whole of them, so that nothing can be left out unseen. */
export type RosterDocument = z.output<typeof rosterSchema>;
export type RosterMember = RosterDocument['members'][number];

/** A roster with its signatures: what files, entries and orders hold. */
export interface SignedRoster {
  readonly roster: RosterDocument;
  readonly signatures: readonly RootSignature[];
}

/** A roster that its root signed and that has not expired: the identities that no coordinator can add to. */
export class Roster {
  /** Of the signed part: two rosters of one digest say the same. */
  readonly digest: Digest;
  readonly document: RosterDocument;
  readonly #members: ReadonlyMap<string, RosterMember>;
  readonly #authors: ReadonlySet<string>;

  /** Of a document that {@link verifyRoster} has verified; nobody else makes one. */
  constructor(document: RosterDocument) {
    this.document = document;
    this.digest = rosterDigest(document);
    this.#members = new Map(document.members.map((member) => [member.agentId, member]));
    this.#authors = new Set(document.authors.map(({ key }) => key));
  }

  get version(): number {
    return this.document.version;
  }

  /** Site and identity key (base64 of 32 bytes) of a member; undefined for anybody else. */
  member(agentId: string): Pick<RosterMember, 'site' | 'identityKey'> | undefined {
    return this.#members.get(agentId);
  }

  /** Whether this Ed25519 key (base64) signs jobs and rollouts of the federation. */
  isAuthor(key: string): boolean {
    return this.#authors.has(key);
  }
}

/**
 * The roster in `bytes`, canonical JSON of a {@link SignedRoster}, at `nowMs` (since the epoch). Throws ROSTER_INVALID
 * unless enough keys of `root` signed exactly this, ROSTER_EXPIRED after its time, FORMAT_UNSUPPORTED for a newer form.
 */
export function verifyRoster(root: FederationRoot, bytes: Uint8Array, nowMs: number): Roster {
  const { roster, signatures } = readRoster(bytes);
  const name = `roster version ${String(roster.version)}`;
  if (roster.root !== rootDigest(root) || roster.federation !== root.name) {
    throw new TributaryError(
      'ROSTER_INVALID',
      `${name} is of root ${roster.root} of ${roster.federation}, not of ${rootDigest(root)} of ${root.name}`,
    );
  }
  requireThreshold(root, rosterTranscript(roster), signatures, name);
  if (nowMs >= Date.parse(roster.expires))
    throw new TributaryError('ROSTER_EXPIRED', `${name} expired at ${roster.expires}`);
  return new Roster(roster);
}

/** What a roster says, with no signature verified. Throws ROSTER_INVALID, FORMAT_UNSUPPORTED. */
export function readRoster(bytes: Uint8Array): SignedRoster {
  let value: JsonValue;
  try {
    value = parseCanonical(bytes, LIMITS.rosterBytes);
  } catch (cause) {
    throw new TributaryError(
      'ROSTER_INVALID',
      `a roster is canonical JSON of at most ${String(LIMITS.rosterBytes)} bytes`,
      { cause },
    );
  }
  return parseRoster(value);
}

/** {@link readRoster} of JSON that was written by hand: a file. */
export function parseRoster(value: JsonValue): SignedRoster {
  const inner = isJsonObject(value) ? value['roster'] : undefined;
  if (isJsonObject(inner)) requireFormat(inner['formatVersion'], 'the roster', MEMBERSHIP_FORMAT);
  const parsed = signedSchema.safeParse(value);
  if (!parsed.success) throw notMembership('the roster', parsed.error);
  return parsed.data;
}

/** The bytes that travel. Throws LIMIT_EXCEEDED for a roster of too many members. */
export function encodeRoster({ roster, signatures }: SignedRoster): Uint8Array {
  const bytes = canonicalize({
    roster,
    signatures: signatures.map(({ key, signature }) => ({ key, signature })),
  });
  if (bytes.length <= LIMITS.rosterBytes) return bytes;
  throw new TributaryError('LIMIT_EXCEEDED', `a roster has at most ${String(LIMITS.rosterBytes)} bytes`);
}

/** The roster with the signature of `key` added; the same key again changes nothing. */
export function signRoster(
  { roster, signatures }: SignedRoster,
  key: Pick<SigningKey, 'publicKey' | 'sign'>,
): SignedRoster {
  return { roster, signatures: withSignature(signatures, key, rosterTranscript(roster)) };
}

export function withSignature(
  signatures: readonly RootSignature[],
  key: Pick<SigningKey, 'publicKey' | 'sign'>,
  message: Uint8Array,
): readonly RootSignature[] {
  const publicKey = encodeBase64(key.publicKey);
  const others = signatures.filter((one) => one.key !== publicKey);
  return [...others, { key: publicKey, signature: encodeBase64(key.sign(message)) }];
}

/** What names a roster: the digest of its signed part. */
export function rosterDigest(roster: RosterDocument): Digest {
  return digestOf(canonicalize(roster));
}

function rosterTranscript(roster: RosterDocument): Uint8Array {
  return transcript('roster', { roster });
}
