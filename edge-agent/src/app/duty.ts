import type { IdentityKind, SigningKey, TributaryError } from '@tributary/proto';

import type { SessionState } from '../domain/session-state.js';
import type { RawOrder } from '../coordinator-messages.js';
import type { AgentMessage, FleetClient } from '../ports.js';
import type { SiteOffer } from './agent-link.js';
import type { DecisionLog } from './decision-log.js';
import type { EnrolmentRecord } from './enrolment-record.js';
import type { Membership } from './membership.js';
import type { SiteDesk } from './site-desk.js';
import type { Witness } from './witness.js';
import type { WorkCounts } from './work-figures.js';

/** What a duty finds of the process that it works in. */
export interface DutySurroundings {
  readonly record: EnrolmentRecord;
  readonly identity: SigningKey;
  readonly witness: Witness;
  readonly membership: Membership;
  readonly decisions: DecisionLog;
  /** The channel of the moment. */
  readonly client: () => FleetClient | undefined;
  /** Wire version of the moment. */
  readonly wire: () => string;
  readonly send: (message: AgentMessage) => void;
  /** An order could not be judged now: the next stream brings it again. */
  readonly askAgain: () => void;
  /** The log contradicts what was seen before. */
  readonly alarm: (error: TributaryError) => void;
}

/** What a process of a site does for the federation besides serving what is rolled out. */
export interface Duty {
  /** What `describe` shows of it. */
  readonly offer: Pick<SiteOffer, 'backend' | 'datasets'>;
  /** Where its rounds stand. */
  readonly session: SessionState;
  /** What it has done for rounds, where it takes part in some. */
  readonly work?: WorkCounts;
  /** For the people of the site, where there is something to decide. */
  readonly desk?: SiteDesk;
  /** Once everything around it is there, before the first connection. */
  begin(): Promise<void>;
  up(approved: boolean): void;
  down(): void;
  /** An order that is not about a rollout. */
  order(order: RawOrder): void;
  /** Resolves when it has let go of the disk. */
  stop(): Promise<void>;
}

/** A duty to come, and the kind of identity that it takes. */
export interface DutyPlan {
  readonly kind: IdentityKind;
  prepare(surroundings: DutySurroundings): Promise<Duty>;
}
