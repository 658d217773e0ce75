import {
  decodeBase64,
  encodeCohort,
  encodeRoundRoster,
  encodeSurvivors,
  openCohort,
  openRoundRoster,
  openSurvivors,
  recoverMasks,
  requirePlan,
  ringScale,
  SECURE_WIRE_VERSION,
  TributaryError,
  verifyAdvertisement,
  verifyTreeHead,
  verifyAgreement,
  verifyShareBundle,
  verifyUnmaskAnswer,
  type Digest,
  type MemberKeys,
  type OpenCohort,
  type OpenedSum,
  type OpenRoundRoster,
  type OpenSurvivors,
  type RingSum,
  type RoundRosterExpectation,
  type RoundMember,
  type ShareBundle,
  type ShareCommitments,
  type StagePayload,
} from '@tributary/proto';

import type { FederationState, JobState } from '../domain/federation-state.js';
import type { RoundState } from '../domain/rounds/round-state.js';
import type { Federation } from './federation.js';
import { findRound, refOf, roundName, type RoundRef } from './round-ref.js';
import { vectorsOf } from './round-vectors.js';
import type { StageStatement, StageVault } from './stage-vault.js';

export interface SecureParts {
  readonly federation: Federation;
  readonly vault: StageVault;
}

/** What follows from a closed stage, for one agent. */
export interface StageResult {
  /** The set that the stage made, the same for all; empty where it made none. */
  readonly set: Uint8Array;
  /** Messages for the agent. */
  readonly records: readonly StageRecord[];
}

export interface StageRecord extends Pick<StageStatement, 'agentId' | 'payload' | 'signature'> {
  /** Empty where nothing was attached for the agent. */
  readonly attachment: Uint8Array;
}

const NOTHING = new Uint8Array();

/**
 * Rounds of secure aggregation (SecAgg: Bonawitz et al., CCS 2017) as the coordinator sees them. Whatever it announces
 * follows from the ledger and from the messages that the ledger names, so that a restart announces the same.
 */
export class SecureRounds {
  readonly #parts: SecureParts;
  readonly #rosters = new Map<string, Promise<Announced<OpenRoundRoster>>>();
  readonly #cohorts = new Map<string, Promise<Announced<OpenCohort>>>();
  readonly #survivors = new Map<string, Promise<Announced<OpenSurvivors>>>();
  readonly #commitments = new Map<string, Promise<ReadonlyMap<string, ShareCommitments>>>();

  constructor(parts: SecureParts) {
    this.#parts = parts;
  }

  /**
   * Whether a message of the open stage is what an honest agent says. Rejects with SECAGG_MESSAGE_INVALID, naming the
   * agent, and with INVALID_ARGUMENT where something is attached that has no place.
   */
  async judge(ref: RoundRef, stage: string, statement: StageStatement): Promise<void> {
    const { round } = this.#find(ref);
    const { agentId, attachments } = statement;
    if (stage !== 'share' && attachments.size > 0)
      throw new TributaryError('INVALID_ARGUMENT', `attachments: stage ${stage} has none`);
    switch (stage) {
      case 'advertise':
        return this.#judgeKeys(ref, round, statement);
      case 'share': {
        const { open } = await this.#roster(ref);
        verifyShareBundle(open, agentId, bundleOf(open, statement));
        return;
      }
      case 'agree': {
        const { open: roster } = await this.#roster(ref);
        const { open: cohort } = await this.#cohort(ref);
        const { open: survivors } = await this.#survivorsOf(ref);
        verifyAgreement(roster.round, cohort, survivors, roster.member(agentId), statement);
        return;
      }
      case 'unmask': {
        const answer = await this.#answer(ref, statement);
        const [culprit] = answer.culprits;
        if (culprit !== undefined)
          throw new TributaryError('SECAGG_MESSAGE_INVALID', `unmask of ${agentId}: ${culprit.problem}`, {
            fields: { agentId, stage },
          });
        return;
      }
      default:
        throw new TributaryError('INVALID_ARGUMENT', `stage: ${stage} takes no messages`);
    }
  }

  /** Whoever was shown a forged head, or shares a key, would make every other member give the round up. */
  async #judgeKeys(ref: RoundRef, round: RoundState, statement: StageStatement): Promise<void> {
    const { federation, vault } = this.#parts;
    const { agentId } = statement;
    const signer = { agentId, identityKey: decodeBase64(this.#identityOf(agentId), 'identityKey') };
    const bound = secureRound(federation.logId, round);
    const { maskKey, sealKey, treeHead } = verifyAdvertisement(bound, round.baseDigest, signer, statement);
    verifyTreeHead(decodeBase64(this.#state.federation?.logKey ?? '', 'logKey'), {
      logId: federation.logId,
      treeSize: treeHead.treeSize,
      rootHash: new Uint8Array(Buffer.from(treeHead.rootHash, 'hex')),
      time: treeHead.time,
      signature: decodeBase64(treeHead.signature, 'signature', 64),
    });
    const reports =
      round.stages.find(({ name }) => name === 'advertise')?.reports ?? new Map<string, Digest>();
    for (const [site, digest] of reports) {
      const { payload } = await vault.get(ref, 'advertise', site, digest);
      const other = advertised(payload);
      const keys = [other.maskKey, other.sealKey];
      if (keys.includes(maskKey) || keys.includes(sealKey))
        throw new TributaryError(
          'SECAGG_MESSAGE_INVALID',
          `advertise of ${agentId}: another site has that key`,
          {
            fields: { agentId, stage: 'advertise' },
          },
        );
    }
  }

  /**
   * What follows from a closed stage for one of its participants. Rejects with SECAGG_TOO_FEW where too few are left, and
   * PERMISSION_DENIED for a stage whose messages are the coordinator's alone.
   */
  async result(ref: RoundRef, stage: string, agentId: string): Promise<StageResult> {
    switch (stage) {
      case 'advertise':
        return { set: (await this.#roster(ref)).bytes, records: [] };
      case 'share':
        return { set: (await this.#cohort(ref)).bytes, records: await this.#deliveries(ref, agentId) };
      case 'mask':
        return { set: (await this.#survivorsOf(ref)).bytes, records: [] };
      case 'agree':
        return { set: NOTHING, records: await this.#agreements(ref) };
      default:
        throw new TributaryError('PERMISSION_DENIED', `nothing of stage ${stage} is relayed`);
    }
  }

  /**
   * Takes the masks away from the sum of a round whose stages are closed, in place and so once. Rejects with
   * SECAGG_TOO_FEW, SECAGG_MESSAGE_INVALID and SECAGG_SUM_INVALID.
   */
  async unmask(sum: RingSum, job: JobState, round: RoundState): Promise<OpenedSum> {
    const ref = refOf(round);
    const [{ open: roster }, { open: cohort }, { open: survivors }] = [
      await this.#roster(ref),
      await this.#cohort(ref),
      await this.#survivorsOf(ref),
    ];
    const answers = [];
    for (const statement of await this.#statements(ref, 'unmask'))
      answers.push(await this.#answer(ref, statement));
    const commitments = await this.#committed(ref);
    sum.unmask(await recoverMasks({ roster, cohort, survivors, commitments, answers }));
    const { clipNorm } = vectorsOf(job, round).bounds;
    return sum.open(ringScale(roster.roster.plan.agents, clipNorm), survivors.survivors.length);
  }

  /** The round is settled. */
  discard(ref: RoundRef): void {
    for (const kept of [this.#rosters, this.#cohorts, this.#survivors, this.#commitments])
      kept.delete(roundName(ref));
  }

  #roster(ref: RoundRef): Promise<Announced<OpenRoundRoster>> {
    return remembered(this.#rosters, ref, async () => {
      const { job, round } = this.#find(ref);
      const expected = this.#expected(job, round);
      const members: RoundMember[] = [];
      for (const { agentId, payload, signature } of await this.#statements(ref, 'advertise')) {
        const advertisement = advertised(payload);
        const identityKey = this.#identityOf(agentId);
        const site = siteOf(round, agentId);
        members.push({
          agentId,
          site,
          identityKey,
          advertisement,
          signature: Buffer.from(signature).toString('base64'),
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

  #cohort(ref: RoundRef): Promise<Announced<OpenCohort>> {
    return remembered(this.#cohorts, ref, async () => {
      const { open: roster } = await this.#roster(ref);
      const shares = (await this.#statements(ref, 'share')).map((one) => [one.agentId, one] as const);
      const bytes = encodeCohort(roster, new Map(shares));
      return { bytes, open: openCohort(bytes, roster) };
    });
  }

  #survivorsOf(ref: RoundRef): Promise<Announced<OpenSurvivors>> {
    return remembered(this.#survivors, ref, async () => {
      const { round } = this.#find(ref);
      const [{ open: roster }, { open: cohort }] = [await this.#roster(ref), await this.#cohort(ref)];
      const bytes = encodeSurvivors(
        cohort,
        participantsOf(round, 'mask').map((site) => agentOf(round, site)),
      );
      return { bytes, open: openSurvivors(bytes, roster, cohort) };
    });
  }

  #committed(ref: RoundRef): Promise<ReadonlyMap<string, ShareCommitments>> {
    return remembered(this.#commitments, ref, async () => {
      const { open: roster } = await this.#roster(ref);
      const statements = await this.#statements(ref, 'share');
      return new Map(
        statements.map((one) => [one.agentId, verifyShareBundle(roster, one.agentId, bundleOf(roster, one))]),
      );
    });
  }

  async #answer(ref: RoundRef, statement: StageStatement) {
    const [{ open: roster }, { open: survivors }] = [await this.#roster(ref), await this.#survivorsOf(ref)];
    return verifyUnmaskAnswer(roster, survivors, await this.#committed(ref), statement.agentId, statement);
  }

  async #deliveries(ref: RoundRef, agentId: string): Promise<readonly StageRecord[]> {
    const statements = await this.#statements(ref, 'share');
    return statements.flatMap(({ attachments, ...statement }) => {
      const attachment = attachments.get(agentId);
      return attachment === undefined ? [] : [{ ...statement, attachment }];
    });
  }

  async #agreements(ref: RoundRef): Promise<readonly StageRecord[]> {
    const statements = await this.#statements(ref, 'agree');
    return statements.map(({ agentId, payload, signature }) => ({
      agentId,
      payload,
      signature,
      attachment: NOTHING,
    }));
  }

  /** What the participants of a closed stage said, by site. */
  async #statements(ref: RoundRef, stage: string): Promise<readonly StageStatement[]> {
    const { round } = this.#find(ref);
    const reports = round.stages.find(({ name }) => name === stage)?.reports;
    const statements: StageStatement[] = [];
    for (const site of participantsOf(round, stage)) {
      const digest = reports?.get(site);
      if (digest === undefined) throw new TributaryError('INTERNAL', 'a participant without a report');
      statements.push(await this.#parts.vault.get(ref, stage, site, digest));
    }
    return statements;
  }

  #expected({ document }: JobState, round: RoundState): RoundRosterExpectation {
    const { minSites, privacy } = document.spec;
    return {
      round: secureRound(this.#parts.federation.logId, round),
      baseDigest: round.baseDigest,
      plan: requirePlan({ ...privacy, agents: round.cohort.size, minimum: minSites }),
      isMember: ({ agentId, identityKey }) => this.#identityOf(agentId) === identityKey,
    };
  }

  #identityOf(agentId: string): string {
    const agent = this.#state.agents.get(agentId);
    if (agent !== undefined) return agent.identityKey;
    throw new TributaryError('INTERNAL', 'a member of a cohort that never enrolled');
  }

  #find(ref: RoundRef): { readonly job: JobState; readonly round: RoundState } {
    const found = findRound(this.#state, ref);
    if (found !== undefined) return found;
    throw new TributaryError('UPDATE_WRONG_ROUND', 'the round is not open');
  }

  get #state(): FederationState {
    return this.#parts.federation.state;
  }
}

/** What was verified when it arrived. */
const advertised = (payload: Uint8Array): StagePayload<'advertise'> =>
  JSON.parse(new TextDecoder().decode(payload)) as StagePayload<'advertise'>;

/** A set as it is announced, and what it says. */
interface Announced<Open> {
  readonly bytes: Uint8Array;
  readonly open: Open;
}

/** What every signature of the round is bound to. All members speak the version that knows secure aggregation. */
function secureRound(logId: string, { jobId, round, attempt }: RoundRef): RoundRosterExpectation['round'] {
  return { wire: SECURE_WIRE_VERSION, logId, jobId, round, attempt };
}

/** Entries in the order in which the roster has the holders; what is attached for anybody else makes it too long. */
function bundleOf(
  roster: { readonly graph: OpenRoundRoster['graph']; member(agentId: string): MemberKeys },
  { agentId, payload, signature, attachments }: StageStatement,
): ShareBundle {
  const holders = roster.graph.holdersOf(agentId);
  const entries = holders.map((holder) => attachments.get(holder) ?? NOTHING);
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

function siteOf({ cohort }: RoundState, agentId: string): string {
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
