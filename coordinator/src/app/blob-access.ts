import { digestOf, LIMITS, TributaryError, type Digest } from '@tributary/proto';

import type { AgentState, FederationState } from '../domain/federation-state.js';
import { rolloutFor, versionOf } from '../domain/rollouts.js';
import type { BlobStore } from '../ports.js';
import type { Federation } from './federation.js';
import { unfinishedRounds } from './round-ref.js';
import { requireAgent } from './upload-admission.js';

/** A blob of an open round, or of a version that a rollout introduced. */
export type BlobRequest = BlobPlace &
  ({ readonly jobId: string; readonly round: number } | { readonly rolloutId: string });

interface BlobPlace {
  readonly digest: Digest;
  /** Byte to begin with. */
  readonly offset: number;
}

export interface BlobDownload {
  readonly digest: Digest;
  /** Bytes of the whole blob. */
  readonly size: number;
  /**
   * Bytes from `offset`, below `size`, to the next multiple of LIMITS.chunkBytes at most: downloads that began at
   * different places come to ask for the same chunks. The first ones are small, from LIMITS.firstChunkBytes on: what a
   * link that breaks has passed is kept in whole chunks only. Rejects with STORE_CORRUPT where the bytes are not those that
   * were there when the download began. The agent compares the digest of the whole.
   */
  chunkAt(offset: number): Promise<Uint8Array>;
}

/**
 * Which blobs an agent may fetch: base model and statistics of an open round of its cohort, manifest and weights of the
 * version of a rollout that selects its site, and nothing else.
 */
export class BlobAccess {
  readonly #federation: Federation;
  readonly #blobs: BlobStore;
  /**
   * Blobs that were read through since the daemon started, with the digests of their chunks: damage is named here, also
   * where it comes later, before a round fails at every site.
   */
  readonly #whole = new Map<Digest, Promise<readonly Digest[]>>();

  constructor(federation: Federation, blobs: BlobStore) {
    this.#federation = federation;
    this.#blobs = blobs;
  }

  /** Rejects with UPDATE_WRONG_ROUND, NOT_IN_COHORT, PERMISSION_DENIED, INVALID_ARGUMENT, STORE_CORRUPT. */
  async open(agentId: string, request: BlobRequest): Promise<BlobDownload> {
    const { state } = this.#federation;
    const agent = requireAgent(state, agentId);
    if ('rolloutId' in request) requireRolledOut(state, agent, request);
    else requireOfRound(state, agent, request);
    const size = await this.#blobs.size(request.digest);
    if (size === undefined)
      throw new TributaryError('STORE_CORRUPT', 'an artefact of an open round or of a rollout is missing');
    if (!Number.isSafeInteger(request.offset) || request.offset < 0 || request.offset > size) {
      throw new TributaryError('INVALID_ARGUMENT', `offset: 0 to ${String(size)}`, {
        fields: { field: 'offset' },
      });
    }
    const { digest } = request;
    const chunks = await this.#requireWhole(digest);
    const begun = request.offset;
    return { digest, size, chunkAt: (offset) => this.#chunkAt(digest, chunks, offset, offset - begun) };
  }

  #requireWhole(digest: Digest): Promise<readonly Digest[]> {
    const known = this.#whole.get(digest);
    if (known !== undefined) return known;
    const read = this.#readThrough(digest);
    this.#whole.set(digest, read);
    read.catch(() => this.#whole.delete(digest));
    const [oldest] = this.#whole.keys();
    if (this.#whole.size > LIMITS.blobsChecked && oldest !== undefined) this.#whole.delete(oldest);
    return read;
  }

  async #readThrough(digest: Digest): Promise<readonly Digest[]> {
    const chunks: Digest[] = [];
    for await (const chunk of this.#blobs.read(digest)) chunks.push(digestOf(chunk));
    return chunks;
  }

  /** `sent`: bytes that the download has been given before. */
  async #chunkAt(
    digest: Digest,
    chunks: readonly Digest[],
    offset: number,
    sent: number,
  ): Promise<Uint8Array> {
    const within = offset % LIMITS.chunkBytes;
    const from = offset - within;
    for await (const chunk of this.#blobs.readStored(digest, from)) {
      if (digestOf(chunk) !== chunks[from / LIMITS.chunkBytes]) break;
      return chunk.subarray(within, within + Math.max(LIMITS.firstChunkBytes, sent));
    }
    // The next download reads it through again, and is refused until it is mended.
    this.#whole.delete(digest);
    throw new TributaryError('STORE_CORRUPT', `blob ${digest} does not match its digest`, {
      hint: 'restore it from a backup',
      fields: { digest },
    });
  }
}

type OfRound = Extract<BlobRequest, { readonly round: number }>;

function requireOfRound(
  state: FederationState,
  { agentId, site, kind }: AgentState,
  { jobId, round, digest }: OfRound,
): void {
  if (kind === 'Serving') throw new TributaryError('PERMISSION_DENIED', 'a replica takes part in no round');
  const open = unfinishedRounds(state).find(
    (candidate) => candidate.round.jobId === jobId && candidate.round.round === round,
  );
  if (open === undefined) throw new TributaryError('UPDATE_WRONG_ROUND', 'the round is not open');
  if (open.round.cohort.get(site)?.agentId !== agentId)
    throw new TributaryError('NOT_IN_COHORT', 'the site is not in the cohort of this round');
  if (digest !== open.round.baseDigest && digest !== open.round.statisticsDigest)
    throw new TributaryError('PERMISSION_DENIED', 'the digest is not that of an artefact of this round');
}

/** The rollout that the site follows now: a version that was taken back is not handed out any more. */
function requireRolledOut(
  state: FederationState,
  { site }: AgentState,
  { rolloutId, digest }: Extract<BlobRequest, { readonly rolloutId: string }>,
): void {
  const known = state.sites.get(site);
  const followed = [...state.rollouts.values()]
    .map((model) => (known === undefined ? undefined : rolloutFor(model, known)))
    .find((wanted) => wanted?.serves === true && wanted.rollout.rolloutId === rolloutId);
  if (followed === undefined)
    throw new TributaryError('PERMISSION_DENIED', 'the site follows no such rollout', {
      hint: 'the next order says which one it follows',
    });
  const { document, version } = followed.rollout;
  const registered = versionOf(state, document.spec.model, version);
  if (digest !== registered?.manifestDigest && digest !== registered?.weightsDigest)
    throw new TributaryError('PERMISSION_DENIED', 'the digest is not that of an artefact of this rollout');
}
