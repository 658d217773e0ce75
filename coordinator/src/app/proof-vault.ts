import {
  canonicalize,
  decodeBase64,
  encodeBase64,
  isJsonObject,
  LIMITS,
  parseCanonical,
  requireFormat,
  TributaryError,
} from '@tributary/proto';
import { z } from 'zod';

import type { FederationState } from '../domain/federation-state.js';
import type { KeyVault } from '../ports.js';
import type { RoundRef } from './round-ref.js';

/** That a dealer made an attempt impossible: its signed message, and shares that do not make what it committed to. */
export interface DealingProof {
  readonly agentId: string;
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  readonly attachment: Uint8Array;
}

type Round = Pick<RoundRef, 'jobId' | 'round'>;

const FORMAT = 1;
/** Each holds as much as a bundle of shares does, in base64. */
const PROOF_BYTES = 2 * (LIMITS.stagePayloadBytes + LIMITS.stageAttachments * LIMITS.stageAttachmentBytes);
const text = z.string();
const storedSchema = z.strictObject({
  formatVersion: z.literal(FORMAT),
  proofs: z.array(z.strictObject({ agentId: text, payload: text, signature: text, attachment: text })),
});

/**
 * Proofs of bad dealing in the attempts of a round, sealed on disk: durable before the attempt is settled, shown to the
 * attempts after it, and deleted with the round.
 */
export class ProofVault {
  readonly #vault: KeyVault;
  readonly #known = new Map<string, readonly DealingProof[]>();

  constructor(vault: KeyVault) {
    this.#vault = vault;
  }

  /** Keeps proofs beside those of earlier attempts; one that is there already changes nothing. */
  async add(round: Round, proofs: readonly DealingProof[]): Promise<void> {
    const known = await this.of(round);
    const more = proofs.filter((proof) => !known.some((one) => isSame(one, proof)));
    if (more.length === 0) return;
    const all = [...known, ...more].slice(-LIMITS.dealingProofsKept);
    const stored = canonicalize({
      formatVersion: FORMAT,
      proofs: all.map(({ agentId, payload, signature, attachment }) => ({
        agentId,
        payload: encodeBase64(payload),
        signature: encodeBase64(signature),
        attachment: encodeBase64(attachment),
      })),
    });
    await this.#vault.put(nameOf(round), stored);
    this.#known.set(nameOf(round), all);
  }

  /** Rejects with STORE_CORRUPT, FORMAT_UNSUPPORTED. */
  async of(round: Round): Promise<readonly DealingProof[]> {
    const name = nameOf(round);
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const bytes = await this.#vault.get(name);
    const proofs = bytes === undefined ? [] : decode(bytes);
    this.#known.set(name, proofs);
    return proofs;
  }

  /** Forgets those of rounds that have no further attempt. */
  async retain({ jobs }: FederationState): Promise<void> {
    const open = new Set(
      [...jobs.values()].flatMap(({ jobId, round, finishedAt }) =>
        finishedAt !== undefined || round === undefined || round.phase === 'Committed'
          ? []
          : [nameOf({ jobId, round: round.round })],
      ),
    );
    for (const name of this.#known.keys()) if (!open.has(name)) this.#known.delete(name);
    for (const name of await this.#vault.list())
      if (name.startsWith(PREFIX) && !open.has(name)) await this.#vault.delete(name);
  }
}

const PREFIX = 'proofs.';
const nameOf = ({ jobId, round }: Round): string => `${PREFIX}${jobId}.${String(round)}`;

const isSame = (a: DealingProof, b: DealingProof): boolean =>
  a.agentId === b.agentId && Buffer.compare(a.payload, b.payload) === 0;

function decode(bytes: Uint8Array): readonly DealingProof[] {
  const value = parseCanonical(bytes, LIMITS.dealingProofsKept * PROOF_BYTES);
  if (isJsonObject(value)) requireFormat(value['formatVersion'], 'proofs of bad dealing', FORMAT);
  const parsed = storedSchema.safeParse(value);
  if (!parsed.success) throw new TributaryError('STORE_CORRUPT', 'proofs of bad dealing are damaged');
  return parsed.data.proofs.map(({ agentId, payload, signature, attachment }) => ({
    agentId,
    payload: decodeBase64(payload, 'payload'),
    signature: decodeBase64(signature, 'signature', 64),
    attachment: decodeBase64(attachment, 'attachment'),
  }));
}
