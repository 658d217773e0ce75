import { LIMITS, TributaryError, type EnvelopeHeader, type ErrorCode } from '@tributary/proto';

import type { AgentState, FederationState } from '../domain/federation-state.js';
import type { Clock } from '../ports.js';
import type { AppLog } from './app-log.js';
import type { Federation } from './federation.js';
import { findRound, refOf, roundName, type RoundRef } from './round-ref.js';

/** Failures of the content itself: another try with the same content cannot succeed. */
export const CONTENT_FAULTS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'UPDATE_NOT_FINITE',
  'UPDATE_OUT_OF_RANGE',
  'UPDATE_WRONG_SHAPE',
  'UPDATE_WRONG_ROUND',
  'UPDATE_TOO_LARGE',
  'UPDATE_CORRUPT',
  'SIGNATURE_INVALID',
]);

export function isContentFault(error: unknown): boolean {
  return error instanceof TributaryError && CONTENT_FAULTS.has(error.code);
}

export interface RefusalParts {
  readonly federation: Federation;
  readonly clock: Clock;
  readonly log: AppLog;
}

/** Records updates that cannot be used. One refusal at most per site and attempt: no agent can fill the ledger. */
export class UploadRefusals {
  readonly #parts: RefusalParts;
  /** Corrupt uploads by round and site. */
  readonly #corrupt = new Map<string, Map<string, number>>();

  constructor(parts: RefusalParts) {
    this.#parts = parts;
  }

  /**
   * Records that the update of a live member is refused, then throws `error`. A corrupt upload may be sent again under
   * another id a few times before that is final. Anything but a fault of the content is only thrown.
   */
  async refuse(agent: AgentState, header: EnvelopeHeader, error: unknown): Promise<never> {
    const { federation, clock, log } = this.#parts;
    const { code, message } = TributaryError.from(error);
    if (!isContentFault(error) || !isLiveMember(federation.state, agent, header)) throw error;
    if (code === 'UPDATE_CORRUPT' && this.#countCorrupt(header, agent.site) < LIMITS.corruptUploads)
      throw error;
    const { uploadId } = header;
    const { agentId, site } = agent;
    log.warn({ ...refOf(header), site, uploadId, code }, 'update refused');
    try {
      const asked = { now: clock.now(), actor: 'coordinator' };
      await federation.execute({
        kind: 'refuse-update',
        ...asked,
        ...refOf(header),
        agentId,
        uploadId,
        code,
        detail: message,
      });
    } catch (cause) {
      // The agent is told the refusal all the same; its round ends, or has just ended, without its update.
      if (TributaryError.from(cause).code === 'UPDATE_WRONG_ROUND')
        log.info({ uploadId }, 'the round ended before a refusal');
      else log.error({ error: cause, uploadId }, 'a refusal could not be recorded');
    }
    throw error;
  }

  /** The round takes no updates any more. */
  forget(ref: RoundRef): void {
    this.#corrupt.delete(roundName(ref));
  }

  #countCorrupt(ref: RoundRef, site: string): number {
    const bySite = this.#corrupt.get(roundName(ref)) ?? new Map<string, number>();
    this.#corrupt.set(roundName(ref), bySite);
    const count = (bySite.get(site) ?? 0) + 1;
    bySite.set(site, count);
    return count;
  }
}

/** Whether the header names the newest round of its job, and the site may still report in it. */
function isLiveMember(state: FederationState, agent: AgentState, header: EnvelopeHeader): boolean {
  const member = findRound(state, header)?.round.cohort.get(agent.site);
  return member?.agentId === agent.agentId && member.fate === 'Live';
}
