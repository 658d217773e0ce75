import assert from 'node:assert/strict';

import { TributaryError, type ErrorCode } from '@tributary/proto';

import { FleetPeer, type PeerStream } from '../../support/fleet-peer.js';
import type { LocalFederation } from '../../support/federation.js';
import { Operator } from '../../support/operator.js';
import {
  recordUpload,
  type PeerRound,
  type RecordedUpload,
  type UploadOptions,
} from '../../support/peer-round.js';
import { trialJob } from '../../support/trial-job.js';

/** Without metrics a job ends with its last round of training, and needs nobody to evaluate its model. */
export const UNMEASURED = { evaluation: { metrics: [] } };

/** A peer in the cohort of an open round. */
export interface Member {
  readonly peer: FleetPeer;
  readonly stream: PeerStream;
  readonly round: PeerRound;
}

/** How one code of the error table comes to be, and the code that was then seen. */
export interface Provocation {
  readonly how: string;
  readonly provoke: (world: RefusalWorld) => Promise<ErrorCode>;
}

export type Provocations = Readonly<Partial<Record<ErrorCode, Provocation>>>;

const MEMBERS = ['m1', 'm2', 'm3', 'm4', 'm5', 'm6'] as const;
type MemberName = (typeof MEMBERS)[number];

/** A running coordinator with a job whose first round is open, and peers inside and outside of its cohort. */
export class RefusalWorld {
  readonly federation: LocalFederation;
  readonly operator: Operator;
  /** Approved, but without the label that the job selects. */
  readonly outsider: FleetPeer;
  readonly #members: ReadonlyMap<string, Member>;
  readonly #opened: FleetPeer[];

  private constructor(
    federation: LocalFederation,
    operator: Operator,
    outsider: FleetPeer,
    members: ReadonlyMap<string, Member>,
  ) {
    this.federation = federation;
    this.operator = operator;
    this.outsider = outsider;
    this.#members = members;
    this.#opened = [outsider, ...[...members.values()].map(({ peer }) => peer)];
  }

  static async create(federation: LocalFederation): Promise<RefusalWorld> {
    const operator = await Operator.of(federation);
    const outsider = await FleetPeer.join(federation, operator, 'outsider');
    const streams = new Map<string, { peer: FleetPeer; stream: PeerStream }>();
    for (const site of MEMBERS) {
      const peer = await FleetPeer.join(federation, operator, site, { pool: 'updates' });
      const stream = peer.connect();
      await stream.welcome();
      streams.set(site, { peer, stream });
    }
    await operator.apply(
      trialJob('updates', { siteSelector: { matchLabels: { pool: 'updates' } }, ...UNMEASURED }),
    );
    const members = new Map<string, Member>();
    for (const [site, { peer, stream }] of streams)
      members.set(site, { peer, stream, round: await stream.round() });
    return new RefusalWorld(federation, operator, outsider, members);
  }

  member(name: MemberName): Member {
    const member = this.#members.get(name);
    if (member === undefined) throw new Error(`no member ${name}`);
    return member;
  }

  /** An upload of a member for the open round. */
  record(name: MemberName, options: UploadOptions = {}): RecordedUpload {
    const { peer, round } = this.member(name);
    return recordUpload(round, peer, [], options);
  }

  /** Another peer, closed with the world. */
  async join(site: string, labels: Record<string, string> = {}): Promise<FleetPeer> {
    const peer = await FleetPeer.join(this.federation, this.operator, site, labels);
    this.#opened.push(peer);
    return peer;
  }

  close(): void {
    this.operator.close();
    for (const peer of this.#opened) peer.close();
  }
}

/** The code with which a call is refused. */
export async function codeOf(call: Promise<unknown>): Promise<ErrorCode> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof TributaryError, `not a typed error: ${String(error)}`);
    return error.code;
  }
  throw new assert.AssertionError({ message: 'the call was answered instead of refused' });
}
