import { digestOf, type EnvelopeHeader } from '@tributary/proto';

import type { JobState } from '../domain/federation-state.js';
import type { RoundState } from '../domain/rounds/round-state.js';
import type { Spool, SpoolHeader, SpoolStore } from '../ports.js';
import type { RoundKeys } from './round-keys.js';
import { isSameRound, type RoundRef } from './round-ref.js';
import { idReused, late } from './upload-admission.js';
import { UploadSession, type Holder } from './upload-session.js';

/** The round that an upload is for. */
export interface UploadTarget {
  readonly job: JobState;
  readonly round: RoundState;
}

/** The uploads that are not complete yet: at most one of each site, in memory or still in its spool. */
export class UploadSessions {
  readonly #spools: SpoolStore;
  readonly #keys: RoundKeys;
  readonly #sessions = new Map<string, UploadSession>();

  constructor(spools: SpoolStore, keys: RoundKeys) {
    this.#spools = spools;
    this.#keys = keys;
  }

  /** What is known of an upload without opening it: its signed header, as it was spooled. */
  async spooled(uploadId: string): Promise<SpoolHeader | undefined> {
    const session = this.#sessions.get(uploadId);
    if (session !== undefined) return session.spooled;
    const spool = await this.#spools.open(uploadId);
    await spool?.close();
    return spool?.header;
  }

  /**
   * The session of the upload: the one in memory, one rebuilt from its spool, or a new one. Rejects with
   * UPLOAD_ID_REUSED where the id belongs to another header, UPDATE_CORRUPT where its content key does not open.
   */
  async open(offer: SpoolHeader, { job, round }: UploadTarget): Promise<UploadSession> {
    const held = this.#sessions.get(offer.uploadId);
    if (held !== undefined) {
      if (held.headerDigest !== digestOf(offer.header)) throw idReused();
      return held;
    }
    const secret = await this.#keys.secret(round);
    const spool = await this.#spools.open(offer.uploadId);
    if (spool !== undefined) await requireSame(spool, offer);
    let session = spool && (await UploadSession.rebuild(spool, secret, job, round, this.#spools));
    if (session === undefined) {
      await this.#spools.remove(offer.uploadId);
      session = await UploadSession.create(offer, secret, job, round, this.#spools);
    }
    this.#sessions.set(offer.uploadId, session);
    return session;
  }

  /** Opens the session and gives it to a new stream. */
  async take(offer: SpoolHeader, target: UploadTarget): Promise<{ session: UploadSession; holder: Holder }> {
    for (;;) {
      const session = await this.open(offer, target);
      const holder = await session.take();
      if (holder !== undefined) return { session, holder };
      // A write had failed: what counts is what the spool holds.
      await this.forget(session);
    }
  }

  /** Ends a session whose upload was accepted, or is to be rebuilt: its spool stays. */
  async forget(session: UploadSession): Promise<void> {
    this.#sessions.delete(session.spooled.uploadId);
    await session.end(late());
  }

  /** Ends a session and deletes what was received. */
  async drop(session: UploadSession, reason = late()): Promise<void> {
    this.#sessions.delete(session.spooled.uploadId);
    await session.end(reason);
    await this.#spools.remove(session.spooled.uploadId);
  }

  /** Other uploads of the same site: only the newest is received. */
  othersOf({ site, uploadId }: EnvelopeHeader): readonly UploadSession[] {
    return this.#where((session) => session.spooled.site === site && session.spooled.uploadId !== uploadId);
  }

  ofRound(ref: RoundRef): readonly UploadSession[] {
    return this.#where((session) => isSameRound(session.ref, ref));
  }

  ofAgent(agentId: string): readonly UploadSession[] {
    return this.#where((session) => session.spooled.agentId === agentId);
  }

  #where(fits: (session: UploadSession) => boolean): readonly UploadSession[] {
    return [...this.#sessions.values()].filter(fits);
  }
}

async function requireSame(spool: Spool, offer: SpoolHeader): Promise<void> {
  const { agentId, header } = spool.header;
  if (agentId === offer.agentId && digestOf(header) === digestOf(offer.header)) return;
  await spool.close();
  throw idReused();
}
