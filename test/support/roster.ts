import {
  encodeBase64,
  encodeRoster,
  federationRoot,
  MEMBERSHIP_FORMAT,
  parseRoster,
  rootDigest,
  rosterDigest,
  sha256,
  signingKeyFromSeed,
  signRoster,
  type EntryBody,
  type FederationRoot,
  type RosterDocument,
  type RosterMember,
  type SigningKey,
} from '@tributary/proto';

import { scriptedId } from './scripted-log.js';

/** A signing key that follows from a name. */
export const keyOf = (name: string): SigningKey =>
  signingKeyFromSeed(sha256(new TextEncoder().encode(`key of ${name}`)));
export const publicKeyOf = (name: string): string => encodeBase64(keyOf(name).publicKey);

/** A root of `threshold` of the keys that follow from these names. */
export function rootOf(threshold: number, ...holders: readonly string[]): FederationRoot {
  const keys = holders.map((name) => ({ name, key: publicKeyOf(name) }));
  return federationRoot({ name: 'hearts', threshold, keys });
}

/** A member whose id and key follow from the name of its site. */
export const memberOf = (site: string): RosterMember => ({
  site,
  agentId: scriptedId('agt', site),
  identityKey: publicKeyOf(`agent of ${site}`),
});

/** A roster of these sites, dated 2026 and valid for a year, with changes. */
export function rosterOf(
  root: FederationRoot,
  sites: readonly string[],
  change: Partial<RosterDocument> = {},
): RosterDocument {
  return {
    formatVersion: MEMBERSHIP_FORMAT,
    root: rootDigest(root),
    federation: root.name,
    version: 1,
    issued: '2026-01-01T00:00:00.000Z',
    expires: '2027-01-01T00:00:00.000Z',
    members: sites.map(memberOf),
    authors: [],
    ...change,
  };
}

/** The bytes of a roster that these holders signed. */
export function signedBy(roster: RosterDocument, ...holders: readonly string[]): Uint8Array {
  return encodeRoster(
    holders.reduce((signed, name) => signRoster(signed, keyOf(name)), {
      ...parseRoster({ roster, signatures: [] }),
    }),
  );
}

/** The entry that a coordinator records of it. */
export function publishedBody(roster: RosterDocument, bytes: Uint8Array): EntryBody<'roster.published'> {
  return {
    federation: roster.federation,
    version: roster.version,
    digest: rosterDigest(roster),
    root: roster.root,
    signatures: 1,
    members: roster.members.length,
    expires: roster.expires,
    document: new TextDecoder().decode(bytes),
  };
}
