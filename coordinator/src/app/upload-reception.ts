import {
  canonicalize,
  decodeBase64,
  decodeEnvelopeHeader,
  digestOf,
  encodeBase64,
  requireId,
  TributaryError,
  verifyEnvelopeHeader,
  type EnvelopeHeader,
  type LedgerEntry,
} from '@tributary/proto';

import type { AgentState, FederationState } from '../domain/federation-state.js';
import type { Clock, SpoolHeader } from '../ports.js';
import type { AppLog } from './app-log.js';
import type { Federation } from './federation.js';
import { findRound, refOf, type RoundRef } from './round-ref.js';
import { Turns } from './turns.js';
import type { ReceivingUpload, UploadOffer, UploadReceipt, UploadSeal, UploadStatus } from './upload.js';
import { admitUpload, late, requireAgent } from './upload-admission.js';
import { isContentFault, UploadRefusals } from './upload-refusals.js';
import type { Holder, UploadSession } from './upload-session.js';
import type { UploadSessions, UploadTarget } from './upload-sessions.js';
import { settledStatus } from './upload-status.js';

export interface ReceptionParts {
  readonly federation: Federation;
  readonly sessions: UploadSessions;
  readonly clock: Clock;
  readonly log: AppLog;
}

/**
 * Receives updates: verified chunk by chunk into a spool, accepted durably, then left to the aggregation, which follows
 * the ledger. What cannot be accepted is refused with a typed code, recorded, and deleted; the round goes on.
 */
export class UploadReception {
  readonly #parts: ReceptionParts;
  /** Per agent: headers, seals and status questions follow each other. */
  readonly #turns = new Turns();
  readonly #refusals: UploadRefusals;

  constructor(parts: ReceptionParts) {
    this.#parts = parts;
    this.#refusals = new UploadRefusals(parts);
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
      return this.#refusals.refuse(agent, header, error);
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
      return this.#refusals.refuse(agent, header, error);
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
      return this.#refusals.refuse(agent, header, error);
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
    const { dataVersion } = session.header;
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
      ...(dataVersion === undefined ? {} : { dataVersion }),
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
      return this.#refusals.refuse(agent, session.header, error);
    }
    if (code === 'UPDATE_LATE' || code === 'AGENT_REVOKED')
      await sessions.drop(session, TributaryError.from(error));
    // A failed write: what the spool holds counts, and is looked at when the upload resumes.
    else if (code !== 'CONFLICT' && code !== 'INVALID_ARGUMENT') await sessions.forget(session);
    throw error;
  }

  #endRound(ref: RoundRef): void {
    const updates = findRound(this.#state, ref)?.round.updates.values() ?? [];
    const accepted = new Set([...updates].map(({ uploadId }) => uploadId));
    // An accepted one whose answer is still on its way is no longer the reception's: its spool is being folded.
    const open = this.#parts.sessions.ofRound(ref).filter(({ spooled }) => !accepted.has(spooled.uploadId));
    this.#refusals.forget(ref);
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
