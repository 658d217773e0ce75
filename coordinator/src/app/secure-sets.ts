import {
  decodeBase64,
  encodeBase64,
  encodeCohort,
  encodeRoundRoster,
  encodeSurvivors,
  openCohort,
  openRoundRoster,
  openSurvivors,
  requirePlan,
  SECURE_WIRE_VERSION,
  TributaryError,
  verifyShareBundle,
  type MemberKeys,
  type OpenCohort,
  type OpenRoundRoster,
  type OpenSurvivors,
  type RoundMember,
  type RoundRosterExpectation,
  type ShareBundle,
  type ShareCommitments,
  type StagePayload,
} from '@tributary/proto';

import type { JobState } from '../domain/federation-state.js';
import type { RoundState } from '../domain/rounds/round-state.js';
import type { Federation } from './federation.js';
import { findRound, roundName, type RoundRef } from './round-ref.js';
import type { StageStatement, StageVault } from './stage-vault.js';

export interface SecureParts {
  readonly federation: Federation;
  readonly vault: StageVault;
}

/** A set as it is announced, and what it says. */
export interface Announced<Open> {
  readonly bytes: Uint8Array;
  readonly open: Open;
}

/** The sets that the coordinator announces in secure rounds: made of the messages that the ledger names, and so always the same. */
export class SecureSets {
  readonly #parts: SecureParts;
  readonly #rosters = new Map<string, Promise<Announced<OpenRoundRoster>>>();
  readonly #cohorts = new Map<string, Promise<Announced<OpenCohort>>>();
  readonly #survivors = new Map<string, Promise<Announced<OpenSurvivors>>>();
  readonly #commitments = new Map<string, Promise<ReadonlyMap<string, ShareCommitments>>>();

  constructor(parts: SecureParts) {
    this.#parts = parts;
  }

  /** After stage `advertise`. */
  roster(ref: RoundRef): Promise<Announced<OpenRoundRoster>> {
    return remembered(this.#rosters, ref, async () => {
      const { job, round } = this.find(ref);
      const expected = this.expected(job, round);
      const members: RoundMember[] = [];
      for (const { agentId, payload, signature } of await this.statements(ref, 'advertise')) {
        const advertisement = advertised(payload);
        const identityKey = this.identityOf(agentId);
        const site = siteOf(round, agentId);
        members.push({
          agentId,
          site,
          identityKey,
          advertisement,
          signature: encodeBase64(signature),
        });
      }
      const bytes = encodeRoundRoster(
        expected,
        decodeBase64(round.selectionSeed ?? '', 'selectionSeed', 32),
        members,
      );
      return { bytes, open: openRoundRoster(bytes, expected) };
    });
  }

  /** After stage `share`. */
  cohort(ref: RoundRef): Promise<Announced<OpenCohort>> {
    return remembered(this.#cohorts, ref, async () => {
      const { open: roster } = await this.roster(ref);
      const shares = (await this.statements(ref, 'share')).map((one) => [one.agentId, one] as const);
      const bytes = encodeCohort(roster, new Map(shares));
      return { bytes, open: openCohort(bytes, roster) };
    });
  }

  /** After stage `mask`. */
  survivors(ref: RoundRef): Promise<Announced<OpenSurvivors>> {
    return remembered(this.#survivors, ref, async () => {
      const { round } = this.find(ref);
      const [{ open: roster }, { open: cohort }] = [await this.roster(ref), await this.cohort(ref)];
      const bytes = encodeSurvivors(
        cohort,
        participantsOf(round, 'mask').map((site) => agentOf(round, site)),
      );
      return { bytes, open: openSurvivors(bytes, roster, cohort) };
    });
  }

  /** By dealer. */
  commitments(ref: RoundRef): Promise<ReadonlyMap<string, ShareCommitments>> {
    return remembered(this.#commitments, ref, async () => {
      const { open: roster } = await this.roster(ref);
      const statements = await this.statements(ref, 'share');
      return new Map(
        statements.map((one) => [one.agentId, verifyShareBundle(roster, one.agentId, bundleOf(roster, one))]),
      );
    });
  }

  /** What the participants of a closed stage said, by site. */
  async statements(ref: RoundRef, stage: string): Promise<readonly StageStatement[]> {
    return this.#said(ref, stage, participantsOf(this.find(ref).round, stage));
  }

  /** What members have said in a stage so far, by site. */
  async reported(ref: RoundRef, stage: string): Promise<readonly StageStatement[]> {
    const reports = this.find(ref).round.stages.find(({ name }) => name === stage)?.reports;
    return this.#said(ref, stage, [...(reports?.keys() ?? [])].sort());
  }

  /** What the roster has to be. */
  expected({ document }: JobState, round: RoundState): RoundRosterExpectation {
    const { minSites, privacy } = document.spec;
    return {
      round: secureRound(this.#parts.federation.logId, round),
      baseDigest: round.baseDigest,
      plan: requirePlan({ ...privacy, agents: round.cohort.size, minimum: minSites }),
      isMember: ({ agentId, identityKey }) => this.identityOf(agentId) === identityKey,
    };
  }

  /** Standard base64. */
  identityOf(agentId: string): string {
    const agent = this.#parts.federation.state.agents.get(agentId);
    if (agent !== undefined) return agent.identityKey;
    throw new TributaryError('INTERNAL', 'a member of a cohort that never enrolled');
  }

  /** Throws UPDATE_WRONG_ROUND for one that is no longer the newest of its job. */
  find(ref: RoundRef): { readonly job: JobState; readonly round: RoundState } {
    const found = findRound(this.#parts.federation.state, ref);
    if (found !== undefined) return found;
    throw new TributaryError('UPDATE_WRONG_ROUND', 'the round is not open');
  }

  /** The round is settled. */
  discard(ref: RoundRef): void {
    for (const kept of [this.#rosters, this.#cohorts, this.#survivors, this.#commitments])
      kept.delete(roundName(ref));
  }

  async #said(ref: RoundRef, name: string, sites: readonly string[]): Promise<readonly StageStatement[]> {
    const reports = this.find(ref).round.stages.find((one) => one.name === name)?.reports;
    const statements: StageStatement[] = [];
    for (const site of sites) {
      const digest = reports?.get(site);
      if (digest === undefined) throw new TributaryError('INTERNAL', 'a participant without a report');
      statements.push(await this.#parts.vault.get(ref, name, site, digest));
    }
    return statements;
  }
}

/** What was verified when it arrived. */
export const advertised = (payload: Uint8Array): StagePayload<'advertise'> =>
  JSON.parse(new TextDecoder().decode(payload)) as StagePayload<'advertise'>;

/** What every signature of the round is bound to. All members speak the version that knows secure aggregation. */
export function secureRound(
  logId: string,
  { jobId, round, attempt }: RoundRef,
): RoundRosterExpectation['round'] {
  return { wire: SECURE_WIRE_VERSION, logId, jobId, round, attempt };
}

/** Entries in the order in which the roster has the holders; what is attached for anybody else makes it too long. */
export function bundleOf(
  roster: { readonly graph: OpenRoundRoster['graph']; member(agentId: string): MemberKeys },
  { agentId, payload, signature, attachments }: StageStatement,
): ShareBundle {
  const holders = roster.graph.holdersOf(agentId);
  const entries = holders.map((holder) => attachments.get(holder) ?? new Uint8Array());
  const stray = [...attachments.keys()].find((holder) => !holders.includes(holder));
  if (stray !== undefined)
    throw new TributaryError('INVALID_ARGUMENT', `attachments: ${stray} holds no share of the sender`);
  return { payload, signature, entries };
}

function participantsOf(round: RoundState, stage: string): readonly string[] {
  const participants = round.stages.find(({ name }) => name === stage)?.participants;
  if (participants !== undefined) return participants;
  throw new TributaryError('UPDATE_WRONG_ROUND', `stage ${stage} is not closed yet`);
}

function agentOf({ cohort }: RoundState, site: string): string {
  const member = cohort.get(site);
  if (member !== undefined) return member.agentId;
  throw new TributaryError('INTERNAL', 'a participant that is in no cohort');
}

/** The site of a member of the cohort. */
export function siteOf({ cohort }: RoundState, agentId: string): string {
  for (const member of cohort.values()) if (member.agentId === agentId) return member.site;
  throw new TributaryError('INTERNAL', 'a participant that is in no cohort');
}

/** Made once; what failed is made anew when it is asked for again. */
function remembered<T>(kept: Map<string, Promise<T>>, ref: RoundRef, make: () => Promise<T>): Promise<T> {
  const name = roundName(ref);
  const known = kept.get(name);
  if (known !== undefined) return known;
  const made = make();
  made.catch(() => {
    kept.delete(name);
  });
  kept.set(name, made);
  return made;
}
