import {
  LIMITS,
  MEMBERSHIP_FORMAT,
  parseRoster,
  requireName,
  rootDigest,
  TributaryError,
  type FederationRoot,
  type IdentityStatement,
  type RosterDocument,
  type SignedRoster,
} from '@tributary/proto';

/** When a roster is written, and how long it counts. Milliseconds. */
export interface RosterTimes {
  readonly now: number;
  readonly validMs: number;
}

/** The first roster of a root: nobody in it, nobody has signed. */
export function emptyRoster(root: FederationRoot, times: RosterTimes): SignedRoster {
  return unsigned({
    formatVersion: MEMBERSHIP_FORMAT,
    root: rootDigest(root),
    federation: root.name,
    version: 1,
    ...dated(times),
    members: [],
    authors: [],
  });
}

type Change = (roster: RosterDocument) => Partial<RosterDocument>;

/**
 * The roster with a change. What nobody signed yet stays the version it is; of a signed one the next version is made,
 * which everybody has to sign anew. Throws ROSTER_INVALID where the change makes no roster.
 */
export function changed(
  { roster, signatures }: SignedRoster,
  times: RosterTimes,
  change: Change,
): SignedRoster {
  const version = signatures.length === 0 ? roster.version : roster.version + 1;
  return unsigned({ ...roster, version, ...dated(times), ...change(roster) });
}

/** A member added, or in the place of the one that its site had: a site that joined again has another key. */
export const withMember =
  ({ site, agentId, identityKey }: IdentityStatement): Change =>
  ({ members }) => ({
    members: [...members.filter((member) => member.site !== site), { site, agentId, identityKey }].sort(
      (left, right) => (left.site < right.site ? -1 : 1),
    ),
  });

/** Throws NOT_FOUND for a site that is not in the roster: whoever mistypes must not believe that it is out. */
export const withoutMember =
  (site: string): Change =>
  ({ members }) => {
    if (members.every((member) => member.site !== site))
      throw new TributaryError('NOT_FOUND', `site ${site} is not in the roster`);
    return { members: members.filter((member) => member.site !== site) };
  };

export const withAuthor =
  (name: string, key: string): Change =>
  ({ authors }) => ({
    authors: [...authors.filter((author) => author.name !== name), { name: requireName(name, 'name'), key }],
  });

export const withoutAuthor =
  (name: string): Change =>
  ({ authors }) => {
    if (authors.every((author) => author.name !== name))
      throw new TributaryError('NOT_FOUND', `author ${name} is not in the roster`);
    return { authors: authors.filter((author) => author.name !== name) };
  };

/** The same people under another root. */
export const underRoot =
  (root: FederationRoot): Change =>
  () => ({ root: rootDigest(root), federation: root.name });

/** How long the roster counted so far: what a change keeps unless it is told otherwise. */
export const validityOf = ({ roster: { issued, expires } }: SignedRoster): number =>
  Math.min(Date.parse(expires) - Date.parse(issued), LIMITS.rosterMaxTtlMs);

const dated = ({ now, validMs }: RosterTimes): Pick<RosterDocument, 'issued' | 'expires'> => ({
  issued: new Date(now).toISOString(),
  expires: new Date(now + validMs).toISOString(),
});

const unsigned = (roster: RosterDocument): SignedRoster => parseRoster({ roster, signatures: [] });
