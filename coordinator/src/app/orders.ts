import {
  LIMITS,
  canonicalize,
  encodeHex,
  sha256,
  TributaryError,
  type SignedTreeHead,
} from '@tributary/proto';

import type { Federation } from './federation.js';
import type { Order, ProvenEntry } from './order.js';

/**
 * What an order asks for: `train` on the round that its last entry opens, `go-on` with the stage after the one that it
 * closes, `settle` the round that it closes, or `serve` as it says.
 */
export type OrderPurpose = 'train' | 'go-on' | 'settle' | 'serve';

interface Proof {
  readonly treeHead: SignedTreeHead;
  readonly entries: readonly ProvenEntry[];
}

/** Builds orders. The proofs are the same for a whole cohort, so they are made once per tree size. */
export class Orders {
  readonly #federation: Federation;
  readonly #proofs = new Map<string, Promise<Proof>>();

  constructor(federation: Federation) {
    this.#federation = federation;
  }

  /** An order that proves the entries of `seqs`, in that order. Rejects with NOT_FOUND for one that does not exist. */
  async build(
    agentId: string,
    purpose: OrderPurpose,
    seqs: readonly number[],
    remainingMs: number,
  ): Promise<Order> {
    const last = seqs.at(-1);
    if (last === undefined) throw new TributaryError('INTERNAL', 'an order proves at least one entry');
    const { treeHead, entries } = await this.#prove(seqs);
    return { orderId: orderIdOf(agentId, last, purpose), treeHead, entries, remainingMs };
  }

  #prove(seqs: readonly number[]): Promise<Proof> {
    const key = `${String(this.#federation.size())}/${seqs.join(',')}`;
    const held = this.#proofs.get(key);
    if (held !== undefined) return held;
    const proof = this.#assemble(seqs);
    proof.catch(() => this.#proofs.delete(key));
    this.#proofs.set(key, proof);
    if (this.#proofs.size > LIMITS.orderProofsKept)
      this.#proofs.delete(this.#proofs.keys().next().value ?? key);
    return proof;
  }

  async #assemble(seqs: readonly number[]): Promise<Proof> {
    const treeHead = await this.#federation.treeHead();
    const entries: ProvenEntry[] = [];
    for (const seq of seqs) {
      const path = await this.#federation.inclusionProof(seq, treeHead.treeSize);
      entries.push({ seq, entry: await this.#entry(seq), path });
    }
    return { treeHead, entries };
  }

  async #entry(seq: number): Promise<Uint8Array> {
    for await (const { bytes } of this.#federation.entries(seq, seq + 1)) return bytes;
    throw new TributaryError('NOT_FOUND', `no ledger entry ${String(seq)}`);
  }
}

/** Deterministic, so that an agent recognises a repeat: 128 bits of SHA-256 over who, which entry and what for. */
function orderIdOf(agentId: string, seq: number, purpose: OrderPurpose): string {
  return `ord-${encodeHex(sha256(canonicalize({ agentId, purpose, seq }))).slice(0, 32)}`;
}
