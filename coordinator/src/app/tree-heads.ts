import { logIdOf, signTreeHead, type SignedTreeHead } from '@tributary/proto';

import type { Clock, LedgerStore, Signer } from '../ports.js';

/** Signs what the log is now. One head per size: asking again gives the same signed bytes. */
export class TreeHeads {
  readonly logId: string;
  readonly #store: LedgerStore;
  readonly #signer: Signer;
  readonly #clock: Clock;
  #latest: Promise<SignedTreeHead> | undefined;
  #latestSize = -1;

  constructor(store: LedgerStore, signer: Signer, clock: Clock) {
    this.logId = logIdOf(signer.publicKey);
    this.#store = store;
    this.#signer = signer;
    this.#clock = clock;
  }

  /** The head over all entries that are durable now. */
  current(): Promise<SignedTreeHead> {
    const size = this.#store.size();
    if (this.#latest === undefined || this.#latestSize !== size) {
      const head = this.#sign(size);
      // A failed signature is not kept: the next caller tries again.
      head.catch(() => {
        if (this.#latest === head) this.#latest = undefined;
      });
      this.#latest = head;
      this.#latestSize = size;
    }
    return this.#latest;
  }

  async #sign(treeSize: number): Promise<SignedTreeHead> {
    const rootHash = await this.#store.rootHash(treeSize);
    const time = new Date(this.#clock.now()).toISOString();
    return signTreeHead(this.#signer, { logId: this.logId, treeSize, rootHash, time });
  }
}
