import { decodeEnvelopeHeader, type Digest, type LedgerEntry } from '@tributary/proto';

import type { FederationState } from '../domain/federation-state.js';
import { blobsOf, liveBlobs } from '../domain/live-blobs.js';
import { isUnfinished } from '../domain/rounds/round-progress.js';
import type { BlobStore, CheckpointStore, SpoolStore } from '../ports.js';
import type { Aggregation } from './aggregation.js';
import type { AppLog } from './app-log.js';
import type { Federation } from './federation.js';
import type { RoundKeys } from './round-keys.js';
import type { ProofVault } from './proof-vault.js';
import { findRound, refOf, roundName, unfinishedRounds, type RoundRef } from './round-ref.js';
import type { SecureRounds } from './secure-rounds.js';
import type { StageVault } from './stage-vault.js';

export interface SettlementParts {
  readonly federation: Federation;
  readonly aggregation: Aggregation;
  readonly blobs: BlobStore;
  readonly spools: SpoolStore;
  readonly checkpoints: CheckpointStore;
  readonly keys: RoundKeys;
  readonly stages: StageVault;
  readonly proofs: Pick<ProofVault, 'retain'>;
  readonly secure: Pick<SecureRounds, 'discard'>;
  readonly log: AppLog;
}

const ENDS_A_ROUND: ReadonlySet<string> = new Set(['round.committed', 'job.failed', 'job.completed']);

/** Deletes what the ledger no longer needs: the key, spools and checkpoint of settled rounds, models in between. */
export class Settlement {
  readonly #parts: SettlementParts;
  /** Dead blobs that wait for the backups that are being made. */
  readonly #spared = new Set<Digest>();
  #backups = 0;
  #last: Promise<void> = Promise.resolve();

  constructor(parts: SettlementParts) {
    this.#parts = parts;
  }

  /** Call after each durable append, with the state before it. What fails here is logged, and found again by `sweep` at the next start. */
  observe(entries: readonly LedgerEntry[], before: FederationState): void {
    for (const entry of entries) {
      if (entry.type !== 'round.committed' && entry.type !== 'round.failed') continue;
      const ref = refOf(entry.body);
      const round = findRound(before, ref)?.round;
      const uploads = [...(round?.updates.values() ?? [])].map(({ uploadId }) => uploadId);
      const candidates = round === undefined ? [] : [round.baseDigest];
      this.#enqueue(async () => {
        await this.#settle(ref, uploads);
        await this.#deleteDead(candidates);
      });
    }
    this.#forgetProofs(entries);
    // The last model of a job that failed is of no use to anybody; that of a complete one is registered, and its
    // manifest holds what the statistics say.
    for (const entry of entries) {
      if (entry.type !== 'job.failed' && entry.type !== 'job.completed') continue;
      const job = before.jobs.get(entry.body.jobId);
      if (job !== undefined) this.#enqueue(() => this.#deleteDead(blobsOf(job)));
    }
  }

  /** A failed attempt may be followed by another one, which is shown what was proven. */
  #forgetProofs(entries: readonly LedgerEntry[]): void {
    const { proofs, federation } = this.#parts;
    if (entries.some(({ type }) => ENDS_A_ROUND.has(type)))
      this.#enqueue(() => proofs.retain(federation.state));
  }

  /** At start, before anything else runs: deletes what a crash left behind. */
  async sweep(): Promise<void> {
    const { federation, spools, blobs, checkpoints, keys, stages, proofs, log } = this.#parts;
    const { state } = federation;
    const open = new Set(unfinishedRounds(state).map(({ round }) => roundName(round)));
    await keys.retain(open);
    await stages.retain(open);
    await proofs.retain(state);
    for (const name of await checkpoints.list()) if (!open.has(name)) await checkpoints.delete(name);
    let removed = 0;
    for (const uploadId of await spools.list()) {
      if (await this.#isWanted(uploadId)) continue;
      await spools.remove(uploadId);
      removed += 1;
    }
    const dead: Digest[] = [];
    const live = liveBlobs(state);
    for await (const digest of blobs.list()) if (!live.has(digest)) dead.push(digest);
    await this.#deleteDead(dead);
    if (removed + dead.length > 0) log.info({ spools: removed, blobs: dead.length }, 'leftovers removed');
  }

  /**
   * Deletes no blob until the result is called: what a backup holds of the ledger names blobs that are dead before it comes
   * to them. Call before the head is taken.
   */
  spareBlobs(): () => void {
    this.#backups += 1;
    let spared = true;
    return () => {
      if (!spared) return;
      spared = false;
      this.#backups -= 1;
      if (this.#backups > 0) return;
      const candidates = [...this.#spared];
      this.#spared.clear();
      this.#enqueue(() => this.#deleteDead(candidates));
    };
  }

  /** Waits for what is queued. */
  async idle(): Promise<void> {
    await this.#last;
  }

  #enqueue(action: () => Promise<void>): void {
    this.#last = this.#last.then(action).catch((error: unknown) => {
      this.#parts.log.error({ error }, 'a settled round could not be cleaned up');
    });
  }

  async #settle(ref: RoundRef, uploads: readonly string[]): Promise<void> {
    const { aggregation, keys, secure, spools, stages } = this.#parts;
    try {
      await aggregation.discard(ref);
      for (const uploadId of uploads) await spools.remove(uploadId);
    } finally {
      // What opens updates goes in any case.
      secure.discard(ref);
      await stages.discard(ref);
      await keys.discard(ref);
    }
  }

  async #deleteDead(candidates: readonly Digest[]): Promise<void> {
    for (const digest of candidates) {
      // Asked anew each time: the same content may have become part of something else meanwhile.
      if (this.#backups > 0) this.#spared.add(digest);
      else if (!liveBlobs(this.#parts.federation.state).has(digest)) await this.#parts.blobs.delete(digest);
    }
  }

  /** Whether an upload may still be resumed or folded. */
  async #isWanted(uploadId: string): Promise<boolean> {
    const spool = await this.#parts.spools.open(uploadId);
    if (spool === undefined) return false;
    try {
      const round = findRound(this.#parts.federation.state, decodeEnvelopeHeader(spool.header.header))?.round;
      if (!isUnfinished(round)) return false;
      const accepted = round.updates.get(spool.header.site);
      if (accepted !== undefined) return accepted.uploadId === uploadId;
      return round.phase === 'Open' && round.cohort.get(spool.header.site)?.fate === 'Live';
    } finally {
      await spool.close();
    }
  }
}
