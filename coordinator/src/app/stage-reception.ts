import {
  decodeBase64,
  digestOf,
  requireSignature,
  SECURE_WIRE_VERSION,
  transcript,
  TributaryError,
} from '@tributary/proto';

import type { AgentState } from '../domain/federation-state.js';
import { gathersUpdates } from '../domain/rounds/aggregation-mode.js';
import { requireMember, requireOpen } from '../domain/rounds/round-decisions.js';
import type { RoundState, StageState } from '../domain/rounds/round-state.js';
import type { Clock } from '../ports.js';
import type { Federation } from './federation.js';
import { findRound, refOf, roundName, type RoundRef } from './round-ref.js';
import type { SecureRounds, StageResult } from './secure-rounds.js';
import type { StageStatement, StageVault } from './stage-vault.js';
import { Turns } from './turns.js';
import { requireAgent } from './upload-admission.js';

/** A message of a stage from outside; its signature is not yet verified. */
export interface StageOffer extends RoundRef {
  readonly stage: string;
  readonly statement: Omit<StageStatement, 'agentId'>;
}

export interface StageParts {
  readonly federation: Federation;
  readonly vault: StageVault;
  /** Judges what is said by what the stages before it made, and says what follows. */
  readonly secure: Pick<SecureRounds, 'judge' | 'result'>;
  readonly clock: Clock;
}

/** Takes what members say in the stages of a round, and relays it to the members of the stage after. */
export class StageReception {
  readonly #parts: StageParts;
  /** Per round: statements follow each other, so that each is judged beside those before it. */
  readonly #turns = new Turns();

  constructor(parts: StageParts) {
    this.#parts = parts;
  }

  /**
   * Makes a statement durable and records it; the same again changes nothing. Rejects with UPDATE_WRONG_ROUND,
   * NOT_IN_COHORT, UPDATE_DUPLICATE (another statement was taken), UPDATE_LATE, SIGNATURE_INVALID, and as the judge does.
   */
  submit(agentId: string, offer: StageOffer): Promise<void> {
    return this.#turns.take(roundName(offer), () => this.#submit(agentId, offer));
  }

  /**
   * What follows from a closed stage for one of its participants. Rejects with UPDATE_WRONG_ROUND, NOT_IN_COHORT,
   * INVALID_ARGUMENT, and as `SecureRounds.result` does.
   */
  async result(
    agentId: string,
    { stage: name, ...ref }: RoundRef & { readonly stage: string },
  ): Promise<StageResult> {
    const { federation, secure } = this.#parts;
    requireAgent(federation.state, agentId);
    const round = this.#round(ref);
    const { site } = requireMember(round, agentId);
    const participants = stageOf(round, name).participants;
    if (participants === undefined)
      throw new TributaryError('UPDATE_WRONG_ROUND', `stage ${name} is not closed yet`);
    if (!participants.includes(site))
      throw new TributaryError('NOT_IN_COHORT', `the site took no part in stage ${name}`);
    return secure.result(ref, name, agentId);
  }

  async #submit(agentId: string, offer: StageOffer): Promise<void> {
    const { federation, vault, secure, clock } = this.#parts;
    const { jobId, round: number, attempt, stage: name, statement } = offer;
    const agent = requireAgent(federation.state, agentId);
    const round = this.#round(offer);
    const member = requireMember(round, agentId);
    const stage = stageOf(round, name);
    if (gathersUpdates(name)) throw noMessages(name);
    const digest = this.#verify(agent, offer);
    const known = stage.reports.get(member.site);
    // A repeat is answered although the stage may be closed: its sender has not heard the first answer.
    if (known === digest) return;
    if (known === undefined) {
      requireOpen(round, stage, member);
      await secure.judge(refOf(offer), name, { agentId, ...statement });
      await vault.put(offer, name, member.site, { agentId, ...statement });
    }
    await federation.execute({
      kind: 'stage-message',
      now: clock.now(),
      actor: `agent/${agentId}`,
      jobId,
      round: number,
      attempt,
      agentId,
      stage: name,
      digest,
    });
  }

  /** The digest of the payload, whose signature is the agent's. */
  #verify({ agentId, identityKey }: AgentState, offer: StageOffer) {
    const { jobId, round, attempt, stage, statement } = offer;
    const payloadDigest = digestOf(statement.payload);
    const { logId } = this.#parts.federation;
    const wire = SECURE_WIRE_VERSION;
    const signed = transcript('stage', { wire, logId, jobId, round, attempt, stage, agentId, payloadDigest });
    requireSignature(decodeBase64(identityKey, 'identityKey'), signed, statement.signature, `stage ${stage}`);
    return payloadDigest;
  }

  #round(ref: RoundRef): RoundState {
    const found = findRound(this.#parts.federation.state, ref);
    if (found?.round.phase === 'Open') return found.round;
    throw new TributaryError('UPDATE_WRONG_ROUND', 'the round is not open');
  }
}

function stageOf(round: RoundState, name: string): StageState {
  const stage = round.stages.find((one) => one.name === name);
  if (stage !== undefined && round.secure !== undefined) return stage;
  throw noMessages(name);
}

const noMessages = (name: string): TributaryError =>
  new TributaryError('INVALID_ARGUMENT', `stage: the round has no stage ${name} of messages`, {
    fields: { field: 'stage' },
  });
