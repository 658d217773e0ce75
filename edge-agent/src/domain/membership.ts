import {
  rootDigest,
  TributaryError,
  verifyRoster,
  verifyRotation,
  type Digest,
  type EntryBody,
  type FederationRoot,
  type FederationRule,
  type LedgerEntry,
  type Roster,
} from '@tributary/proto';

/** What an order proves of the membership. */
export interface RosterEvidence {
  /** Oldest first. */
  readonly rotations: readonly EntryBody<'root.rotated'>[];
  readonly published?: EntryBody<'roster.published'>;
}

/** The newest membership that the site has seen: nothing older is believed again. */
export interface RosterFloor {
  /** Of the root that the policy pinned at the time. */
  readonly pinned: Digest;
  /** Of the root that signed the roster. */
  readonly root: Digest;
  readonly version: number;
  readonly digest: Digest;
}

export interface ProvenRoster {
  readonly roster: Roster;
  readonly floor: RosterFloor;
}

/** The entries of an order that are about membership. */
export function rosterEvidence(entries: readonly LedgerEntry[]): RosterEvidence {
  const rotations = entries.flatMap((entry) => (entry.type === 'root.rotated' ? [entry.body] : []));
  const published = entries.findLast((entry) => entry.type === 'roster.published')?.body;
  return { rotations, ...(published && { published }) };
}

/**
 * The roster that an order proves, as the root of the policy, or one to which it handed over, signed it. Throws
 * ROSTER_MISSING, ROSTER_INVALID, ROSTER_EXPIRED at `nowMs`, ROSTER_ROLLBACK where `floor` was newer.
 */
export function proveRoster(
  pinned: FederationRoot,
  { rotations, published }: RosterEvidence,
  floor: RosterFloor | undefined,
  nowMs: number,
): ProvenRoster {
  if (published === undefined)
    throw new TributaryError('ROSTER_MISSING', `the order proves no roster of federation ${pinned.name}`);
  const roots = lineage(pinned, rotations);
  const root = roots.at(-1) ?? pinned;
  const known = floorFor(pinned, floor);
  // A root that handed over is done: whoever holds its keys later must not be able to go on as if it had not.
  if (known !== undefined && !roots.some((one) => rootDigest(one) === known.root))
    throw new TributaryError('ROSTER_ROLLBACK', `root ${known.root} has taken over and is not mentioned`);
  const roster = verifyRoster(root, new TextEncoder().encode(published.document), nowMs);
  requireNewest(roster, known);
  const { version, digest } = roster;
  return { roster, floor: { pinned: rootDigest(pinned), root: rootDigest(root), version, digest } };
}

/** The pinned root and those that follow it: hand-overs before it are the past. */
function lineage(
  pinned: FederationRoot,
  rotations: readonly EntryBody<'root.rotated'>[],
): readonly FederationRoot[] {
  const roots = [pinned];
  for (const { previous, document } of rotations) {
    const last = roots.at(-1) ?? pinned;
    if (previous === rootDigest(last)) roots.push(verifyRotation(last, new TextEncoder().encode(document)));
  }
  return roots;
}

/** What was seen under another root counts no more where the site itself pins a new one. */
function floorFor(pinned: FederationRoot, floor: RosterFloor | undefined): RosterFloor | undefined {
  const digest = rootDigest(pinned);
  return floor?.pinned === digest || floor?.root === digest ? floor : undefined;
}

function requireNewest({ version, digest }: Roster, known: RosterFloor | undefined): void {
  if (known === undefined || version > known.version) return;
  if (version === known.version && digest === known.digest) return;
  const what =
    version === known.version
      ? `another roster of version ${String(version)} was seen before`
      : `roster version ${String(version)} is shown, but ${String(known.version)} was seen before`;
  throw new TributaryError('ROSTER_ROLLBACK', what);
}

/** An agent as a round names it. */
export interface CohortMember {
  readonly site: string;
  readonly agentId: string;
}

/** What the rules ask of a roster. */
export type RosterView = Pick<Roster, 'member' | 'isAuthor'>;

/** Members of a cohort that the roster does not name as the cohort does. */
export function strangers(
  roster: Pick<RosterView, 'member'>,
  cohort: readonly CohortMember[],
): readonly CohortMember[] {
  return cohort.filter(({ site, agentId }) => roster.member(agentId)?.site !== site);
}

/** Members of the cohort whose company counts: those that the policy pins, and the site itself. */
export function counted(
  federation: FederationRule,
  cohort: readonly CohortMember[],
  site: string,
): readonly CohortMember[] {
  return cohort.filter((member) => isCounted(federation, member.site, site));
}

/** Whether the company of a site counts for `own`. */
export function isCounted({ pinnedPeers }: FederationRule, site: string, own: string): boolean {
  return pinnedPeers === undefined || site === own || pinnedPeers.includes(site);
}
