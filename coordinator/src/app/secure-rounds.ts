import {
  decodeBase64,
  encodeBadDealing,
  judgeRefusals,
  recoverMasks,
  ringScale,
  TributaryError,
  verifyAdvertisement,
  verifyTreeHead,
  verifyAgreement,
  verifyShareBundle,
  verifyUnmaskAnswer,
  type Culprit,
  type OpenedSum,
  type RingSum,
  type UnmaskAnswer,
} from '@tributary/proto';

import type { FederationState, JobState } from '../domain/federation-state.js';
import type { RoundCulprit } from '../domain/rounds/culprits.js';
import type { RoundState } from '../domain/rounds/round-state.js';
import type { ProofVault } from './proof-vault.js';
import { refOf, roundName, type RoundRef } from './round-ref.js';
import { vectorsOf } from './round-vectors.js';
import { advertised, bundleOf, secureRound, SecureSets, siteOf, type SecureParts } from './secure-sets.js';
import type { StageStatement } from './stage-vault.js';

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

export interface SecureRoundsParts extends SecureParts {
  readonly proofs: Pick<ProofVault, 'add' | 'of'>;
}

const NOTHING = new Uint8Array();

/**
 * Rounds of secure aggregation (SecAgg: Bonawitz et al., CCS 2017) as the coordinator sees them. Whatever it announces
 * follows from the ledger and from the messages that the ledger names, so that a restart announces the same.
 */
export class SecureRounds {
  readonly #parts: SecureRoundsParts;
  readonly #sets: SecureSets;
  /** By site. */
  readonly #culprits = new Map<string, Map<string, RoundCulprit>>();

  constructor(parts: SecureRoundsParts) {
    this.#parts = parts;
    this.#sets = new SecureSets(parts);
  }

  /**
   * Whether a message of the open stage is what an honest agent says. Rejects with SECAGG_MESSAGE_INVALID, naming the
   * agent, and with INVALID_ARGUMENT where something is attached that has no place.
   */
  async judge(ref: RoundRef, stage: string, statement: StageStatement): Promise<void> {
    const { round } = this.#sets.find(ref);
    const { agentId, attachments } = statement;
    if (stage !== 'share' && attachments.size > 0)
      throw new TributaryError('INVALID_ARGUMENT', `attachments: stage ${stage} has none`);
    switch (stage) {
      case 'advertise':
        return this.#judgeKeys(ref, round, statement);
      case 'share': {
        const { open } = await this.#sets.roster(ref);
        verifyShareBundle(open, agentId, bundleOf(open, statement));
        return;
      }
      case 'agree': {
        const { open: roster } = await this.#sets.roster(ref);
        const { open: cohort } = await this.#sets.cohort(ref);
        const { open: survivors } = await this.#sets.survivors(ref);
        verifyAgreement(roster.round, cohort, survivors, roster.member(agentId), statement);
        return;
      }
      case 'unmask':
        // Altered shares are skipped, and named when the round is settled.
        await this.#answer(ref, statement);
        return;
      default:
        throw new TributaryError('INVALID_ARGUMENT', `stage: ${stage} takes no messages`);
    }
  }

  /** Whoever was shown a forged head, or shares a key, would make every other member give the round up. */
  async #judgeKeys(ref: RoundRef, round: RoundState, statement: StageStatement): Promise<void> {
    const { federation } = this.#parts;
    const { agentId } = statement;
    const signer = { agentId, identityKey: decodeBase64(this.#sets.identityOf(agentId), 'identityKey') };
    const bound = secureRound(federation.logId, round);
    const { maskKey, sealKey, treeHead } = verifyAdvertisement(bound, round.baseDigest, signer, statement);
    const head = {
      logId: federation.logId,
      treeSize: treeHead.treeSize,
      rootHash: new Uint8Array(Buffer.from(treeHead.rootHash, 'hex')),
      time: treeHead.time,
      signature: decodeBase64(treeHead.signature, 'signature', 64),
    };
    verifyTreeHead(decodeBase64(this.#state.federation?.logKey ?? '', 'logKey'), head);
    // Such as one from before this ledger was restored: every other member would take it for a fork, and halt.
    if (!(await federation.holds(head))) throw refusedKeys(agentId, 'its tree head is not of this ledger');
    for (const { payload } of await this.#sets.reported(ref, 'advertise')) {
      const other = advertised(payload);
      const keys = [other.maskKey, other.sealKey];
      if (keys.includes(maskKey) || keys.includes(sealKey))
        throw refusedKeys(agentId, 'another site has that key');
    }
  }

  /**
   * What follows from a closed stage for one of its participants. Rejects with SECAGG_TOO_FEW where too few are left, and
   * PERMISSION_DENIED for a stage whose messages are the coordinator's alone.
   */
  async result(ref: RoundRef, stage: string, agentId: string): Promise<StageResult> {
    switch (stage) {
      case 'advertise':
        return { set: (await this.#sets.roster(ref)).bytes, records: [] };
      case 'share':
        return { set: (await this.#sets.cohort(ref)).bytes, records: await this.#deliveries(ref, agentId) };
      case 'mask':
        return { set: (await this.#sets.survivors(ref)).bytes, records: await this.#parts.proofs.of(ref) };
      case 'agree':
        return { set: NOTHING, records: await this.#agreements(ref) };
      default:
        throw new TributaryError('PERMISSION_DENIED', `nothing of stage ${stage} is relayed`);
    }
  }

  /**
   * Call before a stage closes. Rejects with SECAGG_TOO_FEW where the shares that can be used do not make a secret of the
   * open one, `agree`: no site has helped to unmask anything yet, so that the next attempt may have other members.
   */
  async prepareClosing(ref: RoundRef, stage: string): Promise<void> {
    if (stage !== 'agree') return;
    const { lost } = await this.#judgeRefusals(ref);
    if (lost.length === 0) return;
    const { round } = this.#sets.find(ref);
    const sites = lost.map((agentId) => siteOf(round, agentId)).join(', ');
    throw new TributaryError('SECAGG_TOO_FEW', `too few members can use their shares of ${sites}`);
  }

  /**
   * Takes the masks away from the sum of a round whose stages are closed, in place and so once. Rejects with
   * SECAGG_TOO_FEW, SECAGG_MESSAGE_INVALID and SECAGG_SUM_INVALID.
   */
  async unmask(sum: RingSum, job: JobState, round: RoundState): Promise<OpenedSum> {
    const ref = refOf(round);
    const { roster, cohort, survivors, refused } = await this.#judgeRefusals(ref);
    const answers = [];
    for (const statement of await this.#sets.statements(ref, 'unmask'))
      answers.push(await this.#answer(ref, statement));
    const commitments = await this.#sets.commitments(ref);
    const recovery = await recoverMasks({ roster, cohort, survivors, commitments, refused, answers });
    this.#blame(round, recovery.culprits);
    if (recovery.type === 'Lost') {
      await this.#keepProofs(ref, recovery.culprits, answers, roster.roster.plan.threshold);
      throw recovery.error;
    }
    sum.unmask(recovery.masks);
    const { clipNorm } = vectorsOf(job, round).bounds;
    return sum.open(ringScale(roster.roster.plan.agents, clipNorm), survivors.survivors.length);
  }

  /** Sites of the round that cannot be honest, as far as it has come. */
  culpritsOf(ref: RoundRef): readonly RoundCulprit[] {
    return [...(this.#culprits.get(roundName(ref))?.values() ?? [])];
  }

  /** The round is settled. */
  discard(ref: RoundRef): void {
    this.#sets.discard(ref);
    this.#culprits.delete(roundName(ref));
  }

  /** What those who signed the survivor set say of the shares that they were dealt, and what it means. */
  async #judgeRefusals(ref: RoundRef) {
    const { round } = this.#sets.find(ref);
    const [{ open: roster }, { open: cohort }, { open: survivors }] = [
      await this.#sets.roster(ref),
      await this.#sets.cohort(ref),
      await this.#sets.survivors(ref),
    ];
    const refused = new Map<string, readonly string[]>();
    for (const statement of await this.#sets.reported(ref, 'agree')) {
      const signer = roster.member(statement.agentId);
      refused.set(statement.agentId, verifyAgreement(roster.round, cohort, survivors, signer, statement));
    }
    const { culprits, lost } = judgeRefusals(roster, cohort, survivors, refused);
    this.#blame(round, culprits);
    return { roster, cohort, survivors, refused, lost };
  }

  /** For the next attempt: sites that helped to unmask this one go on without a dealer only where its deed is proven. */
  async #keepProofs(
    ref: RoundRef,
    culprits: readonly Culprit[],
    answers: readonly UnmaskAnswer[],
    threshold: number,
  ): Promise<void> {
    const dealers = new Set(
      culprits.filter(({ reason }) => reason === 'SharesDoNotCombine').map(({ agentId }) => agentId),
    );
    const records: StageRecord[] = [];
    for (const { agentId, payload, signature, attachments } of await this.#sets.statements(ref, 'share')) {
      if (!dealers.has(agentId)) continue;
      const given = answers
        .flatMap(({ shares }) => shares.filter(({ owner }) => owner === agentId))
        .slice(0, threshold)
        .map(({ holder, share }) => ({ entry: attachments.get(holder) ?? NOTHING, share }));
      if (given.length < threshold) continue;
      records.push({ agentId, payload, signature, attachment: encodeBadDealing(given) });
    }
    await this.#parts.proofs.add(ref, records);
  }

  #blame(round: RoundState, culprits: readonly Culprit[]): void {
    const named = this.#culprits.get(roundName(round)) ?? new Map<string, RoundCulprit>();
    for (const { agentId, stage, reason } of culprits) {
      const site = siteOf(round, agentId);
      if (!named.has(site)) named.set(site, { site, stage, reason });
    }
    this.#culprits.set(roundName(round), named);
  }

  async #answer(ref: RoundRef, statement: StageStatement) {
    const [{ open: roster }, { open: survivors }] = [
      await this.#sets.roster(ref),
      await this.#sets.survivors(ref),
    ];
    return verifyUnmaskAnswer(
      roster,
      survivors,
      await this.#sets.commitments(ref),
      statement.agentId,
      statement,
    );
  }

  async #deliveries(ref: RoundRef, agentId: string): Promise<readonly StageRecord[]> {
    const statements = await this.#sets.statements(ref, 'share');
    return statements.flatMap(({ attachments, ...statement }) => {
      const attachment = attachments.get(agentId);
      return attachment === undefined ? [] : [{ ...statement, attachment }];
    });
  }

  async #agreements(ref: RoundRef): Promise<readonly StageRecord[]> {
    const statements = await this.#sets.statements(ref, 'agree');
    return statements.map(({ agentId, payload, signature }) => ({
      agentId,
      payload,
      signature,
      attachment: NOTHING,
    }));
  }

  get #state(): FederationState {
    return this.#parts.federation.state;
  }
}

const refusedKeys = (agentId: string, why: string): TributaryError =>
  new TributaryError('SECAGG_MESSAGE_INVALID', `advertise of ${agentId}: ${why}`, {
    fields: { agentId, stage: 'advertise' },
  });
