import {
  canonicalize,
  decodeBase64,
  decodeEnvelopeHeader,
  digestOf,
  encodeBase64,
  isErrorCode,
  LIMITS,
  requireId,
  TributaryError,
  verifyEnvelopeHeader,
  type EnvelopeHeader,
  type ErrorCode,
  type LedgerEntry,
} from '@tributary/proto';

import type { AgentState, FederationState } from '../domain/federation-state.js';
import type { Clock, SpoolHeader } from '../ports.js';
import type { AppLog } from './app-log.js';
import type { Federation } from './federation.js';
import { findRound, refOf, roundName, type RoundRef } from './round-ref.js';
import { Turns } from './turns.js';
import type { ReceivingUpload, UploadOffer, UploadReceipt, UploadSeal, UploadStatus } from './upload.js';
import { admitUpload, late, requireAgent } from './upload-admission.js';
import type { Holder, UploadSession } from './upload-session.js';
import type { UploadSessions, UploadTarget } from './upload-sessions.js';

export interface ReceptionParts {
  readonly federation: Federation;
  readonly sessions: UploadSessions;
  readonly clock: Clock;
  readonly log: AppLog;
}

/** Failures of the content itself: another try with the same content cannot succeed. */
const CONTENT_FAULTS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'UPDATE_NOT_FINITE',
  'UPDATE_OUT_OF_RANGE',
  'UPDATE_WRONG_SHAPE',
  'UPDATE_WRONG_ROUND',
  'UPDATE_TOO_LARGE',
  'UPDATE_CORRUPT',
  'SIGNATURE_INVALID',
]);

/**
 * Receives updates: verified chunk by chunk into a spool, accepted durably, then left to the aggregation, which follows
 * the ledger. What cannot be accepted is refused with a typed code, recorded, and deleted; the round goes on.
 */
export class UploadReception {
  readonly #parts: ReceptionParts;
  /** Per agent: headers, seals and status questions follow each other. */
  readonly #turns = new Turns();
  /** Corrupt uploads by round and site. */
  readonly #corrupt = new Map<string, Map<string, number>>();

  constructor(parts: ReceptionParts) {
    this.#parts = parts;
  }

  /** How far the agent's upload has come. Other agents' uploads, and those of closed rounds, are Unknown. */
  status(agentId: string, uploadId: string): Promise<UploadStatus> {
    requireId(uploadId, 'upl', 'uploadId');
    return this.#turns.take(agentId, async () => {
      requireAgent(this.#state, agentId);
      return (
        settledStatus(this.#state, agentId, uploadId) ?? (await this.#receivingStatus(agentId, uploadId))
      );
    });
  }

  /**
   * Checks the header and opens, resumes or re-answers the upload. Rejects with SIGNATURE_INVALID, INVALID_ARGUMENT,
   * LIMIT_EXCEEDED, and as `admitUpload` does.
   */
  begin(agentId: string, offer: UploadOffer): Promise<ReceivingUpload> {
    return this.#turns.take(agentId, () => this.#begin(agentId, offer));
  }

  /** Call after each durable append: uploads that can no longer be accepted end. */
  observe(entries: readonly LedgerEntry[]): void {
    for (const entry of entries) {
      switch (entry.type) {
        case 'stage.closed':
        case 'round.failed':
        case 'round.committed':
          this.#endRound(refOf(entry.body));
          break;
        case 'agent.revoked':
          this.#endAll(
            this.#parts.sessions.ofAgent(entry.body.agentId),
            new TributaryError('AGENT_REVOKED', 'the agent was revoked'),
          );
          break;
        default:
      }
    }
  }

  get #state(): FederationState {
    return this.#parts.federation.state;
  }

  async #receivingStatus(agentId: string, uploadId: string): Promise<UploadStatus> {
    const { sessions, federation } = this.#parts;
    const spooled = await sessions.spooled(uploadId);
    if (spooled === undefined || spooled.agentId !== agentId) return { state: 'Unknown' };
    try {
      const header = decodeEnvelopeHeader(spooled.header);
      const admission = admitUpload(this.#state, federation.logId, header, digestOf(spooled.header));
      if (admission.kind === 'accepted') return { state: 'Accepted', seq: admission.seq };
      const session = await sessions.open(spooled, admission);
      return { state: 'Receiving', nextChunk: session.nextChunk };
    } catch (error) {
      if (isContentFault(error) || TributaryError.from(error).code === 'UPDATE_LATE')
        return { state: 'Unknown' };
      throw error;
    }
  }

  async #begin(agentId: string, offer: UploadOffer): Promise<ReceivingUpload> {
    const agent = requireAgent(this.#state, agentId);
    const header = await this.#verifyHeader(agent, offer);
    const spooled = {
      uploadId: header.uploadId,
      agentId,
      site: agent.site,
      header: offer.header,
      signature: offer.signature,
    };
    const target = await this.#admit(agent, header, spooled);
    if ('receipt' in target) return answered(target.receipt, header.chunkCount);
    for (const other of this.#parts.sessions.othersOf(header)) {
      await this.#parts.sessions.drop(
        other,
        new TributaryError('CONFLICT', 'a newer upload of the site took its place'),
      );
    }
    try {
      const { session, holder } = await this.#parts.sessions.take(spooled, target);
      return this.#stream(agent, session, holder);
    } catch (error) {
      return this.#refuse(agent, header, error);
    }
  }

  async #verifyHeader(agent: AgentState, offer: UploadOffer): Promise<EnvelopeHeader> {
    const header = decodeEnvelopeHeader(offer.header);
    for (const [field, value, expected] of [
      ['uploadId', header.uploadId, offer.uploadId],
      ['agentId', header.agentId, agent.agentId],
      ['site', header.site, agent.site],
    ] as const) {
      if (value !== expected)
        throw new TributaryError('INVALID_ARGUMENT', `header.${field}: is not that of the call`, {
          fields: { field },
        });
    }
    try {
      return verifyEnvelopeHeader(
        offer.header,
        offer.signature,
        decodeBase64(agent.identityKey, 'identityKey'),
      );
    } catch (error) {
      return this.#refuse(agent, header, error);
    }
  }

  async #admit(
    agent: AgentState,
    header: EnvelopeHeader,
    spooled: SpoolHeader,
  ): Promise<UploadTarget | { receipt: UploadReceipt }> {
    try {
      const admission = admitUpload(
        this.#state,
        this.#parts.federation.logId,
        header,
        digestOf(spooled.header),
      );
      return admission.kind === 'open'
        ? admission
        : { receipt: { uploadId: header.uploadId, seq: admission.seq } };
    } catch (error) {
      return this.#refuse(agent, header, error);
    }
  }

  #stream(agent: AgentState, session: UploadSession, holder: Holder): ReceivingUpload {
    const guarded = async <Result>(action: () => Promise<Result>): Promise<Result> => {
      try {
        return await action();
      } catch (error) {
        return this.#fail(agent, session, error);
      }
    };
    return {
      receipt: undefined,
      get nextChunk() {
        return session.nextChunk;
      },
      push: (index, bytes) => guarded(() => session.push(holder, index, bytes)),
      seal: (seal) =>
        this.#turns.take(agent.agentId, () => guarded(() => this.#accept(agent, session, holder, seal))),
      abandon: () => session.release(holder),
    };
  }

  async #accept(
    agent: AgentState,
    session: UploadSession,
    holder: Holder,
    seal: UploadSeal,
  ): Promise<UploadReceipt> {
    const { federation, clock, sessions } = this.#parts;
    await session.seal(holder, seal, decodeBase64(agent.identityKey, 'identityKey'));
    const { uploadId } = session.spooled;
    await federation.execute({
      kind: 'accept-update',
      now: clock.now(),
      actor: `agent/${agent.agentId}`,
      ...session.ref,
      agentId: agent.agentId,
      uploadId,
      headerDigest: session.headerDigest,
      sealDigest: sealDigest(seal),
      bytes: session.bytes,
    });
    await sessions.forget(session);
    const accepted = findRound(federation.state, session.ref)?.round.updates.get(agent.site);
    if (accepted?.uploadId !== uploadId)
      throw new TributaryError('INTERNAL', 'an accepted update is not in the state');
    return { uploadId, seq: accepted.seq };
  }

  /** What follows a failed push or seal. Content that cannot be used is refused; anything else may be resumed. */
  async #fail(agent: AgentState, session: UploadSession, error: unknown): Promise<never> {
    const { code } = TributaryError.from(error);
    const { sessions } = this.#parts;
    if (isContentFault(error)) {
      await sessions.drop(session, TributaryError.from(error));
      return this.#refuse(agent, session.header, error);
    }
    if (code === 'UPDATE_LATE' || code === 'AGENT_REVOKED')
      await sessions.drop(session, TributaryError.from(error));
    // A failed write: what the spool holds counts, and is looked at when the upload resumes.
    else if (code !== 'CONFLICT' && code !== 'INVALID_ARGUMENT') await sessions.forget(session);
    throw error;
  }

  /**
   * Records that the update of a live member is refused, then throws `error`. A corrupt upload may be sent again under
   * another id a few times before that is final.
   */
  async #refuse(agent: AgentState, header: EnvelopeHeader, error: unknown): Promise<never> {
    const { code, message } = TributaryError.from(error);
    if (!isContentFault(error) || !isLiveMember(this.#state, agent, header)) throw error;
    if (code === 'UPDATE_CORRUPT' && this.#countCorrupt(header, agent.site) < LIMITS.corruptUploads)
      throw error;
    const { federation, clock, log } = this.#parts;
    const { uploadId } = header;
    log.warn({ ...refOf(header), site: agent.site, uploadId, code }, 'update refused');
    try {
      const actor = 'coordinator';
      const { agentId } = agent;
      await federation.execute({
        kind: 'refuse-update',
        now: clock.now(),
        actor,
        ...refOf(header),
        agentId,
        uploadId,
        code,
        detail: message,
      });
    } catch (cause) {
      // The agent is told the refusal all the same; its round ends without its update.
      log.error({ error: cause, uploadId }, 'a refusal could not be recorded');
    }
    throw error;
  }

  #countCorrupt(ref: RoundRef, site: string): number {
    const bySite = this.#corrupt.get(roundName(ref)) ?? new Map<string, number>();
    this.#corrupt.set(roundName(ref), bySite);
    const count = (bySite.get(site) ?? 0) + 1;
    bySite.set(site, count);
    return count;
  }

  #endRound(ref: RoundRef): void {
    const updates = findRound(this.#state, ref)?.round.updates.values() ?? [];
    const accepted = new Set([...updates].map(({ uploadId }) => uploadId));
    // An accepted one whose answer is still on its way is no longer the reception's: its spool is being folded.
    const open = this.#parts.sessions.ofRound(ref).filter(({ spooled }) => !accepted.has(spooled.uploadId));
    this.#corrupt.delete(roundName(ref));
    this.#endAll(open, late());
  }

  #endAll(sessions: readonly UploadSession[], reason: TributaryError): void {
    for (const session of sessions) {
      this.#parts.sessions.drop(session, reason).catch((error: unknown) => {
        this.#parts.log.error({ error, uploadId: session.spooled.uploadId }, 'a spool could not be removed');
      });
    }
  }
}

function isContentFault(error: unknown): boolean {
  return error instanceof TributaryError && CONTENT_FAULTS.has(error.code);
}

/** Whether the header names the open round, and the site may still report in it. */
function isLiveMember(state: FederationState, agent: AgentState, header: EnvelopeHeader): boolean {
  const member = findRound(state, header)?.round.cohort.get(agent.site);
  return member?.agentId === agent.agentId && member.fate === 'Live';
}

/** What the ledger says of an upload of the agent, in the newest round of each job. */
function settledStatus(state: FederationState, agentId: string, uploadId: string): UploadStatus | undefined {
  for (const { round } of state.jobs.values()) {
    const site = state.agents.get(agentId)?.site ?? '';
    const update = round?.updates.get(site);
    if (update?.uploadId === uploadId && update.agentId === agentId)
      return { state: 'Accepted', seq: update.seq };
    const member = round?.cohort.get(site);
    if (member?.uploadId !== uploadId || member.agentId !== agentId || member.seq === undefined) continue;
    const code = isErrorCode(member.code ?? '') ? (member.code as ErrorCode) : 'INTERNAL';
    return { state: 'Refused', code, detail: member.detail ?? '', seq: member.seq };
  }
  return undefined;
}

function answered(receipt: UploadReceipt, chunkCount: number): ReceivingUpload {
  return {
    receipt,
    nextChunk: chunkCount,
    push: () => Promise.resolve(),
    seal: () => Promise.resolve(receipt),
    abandon: () => Promise.resolve(),
  };
}

function sealDigest({ chunkCount, tagsDigest, signature }: UploadSeal): ReturnType<typeof digestOf> {
  return digestOf(
    canonicalize({ chunkCount, signature: encodeBase64(signature), tagsDigest: encodeBase64(tagsDigest) }),
  );
}
