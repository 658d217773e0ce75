import type { FederatedJobSpec, SitePolicySpec } from '@tributary/proto';

import { counted, strangers, type CohortMember, type RosterView } from './membership.js';

/** What the policy judges of membership: the roster is proven, the members are what the round says. */
export interface MembershipFacts {
  /** Where the policy pins a root. */
  readonly roster?: RosterView;
  /** Absent where only their number is known. */
  readonly members?: readonly CohortMember[];
}

export interface MembershipRefusal {
  readonly allowed: false;
  readonly code: 'ROSTER_MISSING' | 'NOT_IN_ROSTER' | 'AUTHOR_UNKNOWN';
  readonly rule: string;
  readonly detail: string;
}

/** Strangers that a refusal names. */
const NAMED = 4;

/** A coordinator can name any number of sites of its own making: a round with one stranger is refused whole. */
export function membership(
  { federation }: SitePolicySpec,
  _asked: unknown,
  { roster, members = [] }: MembershipFacts,
): MembershipRefusal | undefined {
  if (federation === undefined) return undefined;
  const rule = 'spec.federation.root';
  if (roster === undefined)
    return { allowed: false, code: 'ROSTER_MISSING', rule, detail: `${rule}: no roster was proven` };
  const foreign = strangers(roster, members);
  if (foreign.length === 0) return undefined;
  const names = foreign.slice(0, NAMED).map(({ site, agentId }) => `${site} (${agentId})`);
  const detail = `${rule}: ${String(foreign.length)} of ${String(members.length)} sites of the round are not in the roster: ${names.join(', ')}`;
  return { allowed: false, code: 'NOT_IN_ROSTER', rule, detail };
}

/** The author's key is in the roster, and in the policy unless that leaves it to the roster. */
export function knownAuthor(
  { authors, federation }: SitePolicySpec,
  _asked: unknown,
  { authorKey, roster }: MembershipFacts & { readonly authorKey: string },
): MembershipRefusal | undefined {
  const unknown = (rule: string, who: string): MembershipRefusal => ({
    allowed: false,
    code: 'AUTHOR_UNKNOWN',
    rule,
    detail: `${who} does not list the key ${authorKey}`,
  });
  if (federation?.authors !== 'Roster' && !authors.some(({ key }) => key === authorKey))
    return unknown('spec.authors', 'spec.authors');
  if (federation !== undefined && roster?.isAuthor(authorKey) !== true)
    return unknown('spec.federation.root', 'the roster');
  return undefined;
}

export interface Crowd {
  /** Sites whose updates are added and whose company counts. */
  readonly training: number;
  /** Of the reports with which a round commits, those that are sure to be of sites that count. */
  readonly reports: number;
}

/** How many sites this one can count on. One that is held out adds nothing to the sum and so hides nobody. */
export function crowd(
  { federation }: SitePolicySpec,
  { minSites, evaluation: { holdOutSite } }: FederatedJobSpec,
  { cohort, members, site }: MembershipFacts & { readonly cohort: number; readonly site: string },
): Crowd {
  const heldOut = holdOutSite === undefined ? 0 : 1;
  if (federation === undefined || members === undefined)
    return { training: cohort - heldOut, reports: minSites - heldOut };
  const training = counted(federation, members, site).filter((member) => member.site !== holdOutSite).length;
  return { training, reports: minSites - (members.length - training) };
}
