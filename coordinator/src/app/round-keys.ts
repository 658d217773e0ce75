import { roundKeyPair, TributaryError } from '@tributary/proto';

import type { KeyVault, Random } from '../ports.js';
import { roundName, type RoundRef } from './round-ref.js';

/**
 * Key pairs of rounds. The secret half is durable in the vault before the public half is announced, and deleted when the
 * round is settled: afterwards no recorded envelope of it opens any more.
 */
export class RoundKeys {
  readonly #vault: KeyVault;
  readonly #random: Random;
  readonly #secrets = new Map<string, Uint8Array>();

  constructor(vault: KeyVault, random: Random) {
    this.#vault = vault;
    this.#random = random;
  }

  /** Draws and stores the pair of a round; replaces one that was never announced. Resolves with the public half. */
  async create(ref: RoundRef): Promise<Uint8Array> {
    const { publicKey, secretKey } = roundKeyPair(this.#random.bytes(32));
    await this.#vault.put(vaultName(ref), secretKey);
    this.#secrets.set(roundName(ref), secretKey);
    return publicKey;
  }

  /** The secret half. Rejects with STORE_CORRUPT where the vault has lost it. */
  async secret(ref: RoundRef): Promise<Uint8Array> {
    const held = this.#secrets.get(roundName(ref));
    if (held !== undefined) return held;
    const secret = await this.#vault.get(vaultName(ref));
    if (secret === undefined)
      throw new TributaryError('STORE_CORRUPT', 'the key of an open round is missing');
    this.#secrets.set(roundName(ref), secret);
    return secret;
  }

  /**
   * At start: discards the keys of all rounds but `open` (names of rounds). A process that ends between the end of a
   * round and its discarding, while the next one opens, leaves a key that nothing else would find.
   */
  async retain(open: ReadonlySet<string>): Promise<void> {
    for (const name of await this.#vault.list()) {
      if (name.startsWith(PREFIX) && !open.has(name.slice(PREFIX.length))) await this.#vault.delete(name);
    }
  }

  async discard(ref: RoundRef): Promise<void> {
    this.#secrets.get(roundName(ref))?.fill(0);
    this.#secrets.delete(roundName(ref));
    await this.#vault.delete(vaultName(ref));
  }
}

const PREFIX = 'round.';
const vaultName = (ref: RoundRef): string => `${PREFIX}${roundName(ref)}`;
