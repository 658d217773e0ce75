import { LIMITS, TributaryError } from '@tributary/proto';

import type { Clock, Random } from '../../ports.js';

/** Bytes of a nonce. */
const NONCE_BYTES = 32;

interface Outstanding {
  readonly nonce: Uint8Array;
  readonly expiresAt: number;
}

/**
 * Nonces that `Renew` must sign: one per agent, so that the table is bounded by LIMITS.challenges, and asking again
 * gives the same one, so that nobody can void the challenge of another.
 */
export class Challenges {
  readonly #clock: Clock;
  readonly #random: Random;
  /** In the order in which they expire. */
  readonly #outstanding = new Map<string, Outstanding>();

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Throws OVERLOADED where too many are outstanding. */
  issue(agentId: string): { readonly nonce: Uint8Array; readonly expiresInMs: number } {
    const now = this.#clock.now();
    this.#dropExpired(now);
    const held = this.#outstanding.get(agentId);
    if (held !== undefined) return { nonce: held.nonce, expiresInMs: held.expiresAt - now };
    if (this.#outstanding.size >= LIMITS.challenges) {
      throw new TributaryError(
        'OVERLOADED',
        `at most ${String(LIMITS.challenges)} challenges are outstanding at once`,
        { fields: { retryAfterMs: LIMITS.retryAfterMs } },
      );
    }
    const issued = { nonce: this.#random.bytes(NONCE_BYTES), expiresAt: now + LIMITS.challengeTtlMs };
    this.#outstanding.set(agentId, issued);
    return { nonce: issued.nonce, expiresInMs: LIMITS.challengeTtlMs };
  }

  /** Throws SIGNATURE_INVALID unless `nonce` is the agent's outstanding one. */
  require(agentId: string, nonce: Uint8Array): void {
    this.#dropExpired(this.#clock.now());
    const held = this.#outstanding.get(agentId);
    if (held !== undefined && Buffer.from(held.nonce).equals(nonce)) return;
    throw new TributaryError('SIGNATURE_INVALID', 'the nonce is not an outstanding challenge of this agent', {
      hint: 'ask for a new challenge',
    });
  }

  /** A challenge serves one renewal. */
  consume(agentId: string): void {
    this.#outstanding.delete(agentId);
  }

  #dropExpired(now: number): void {
    for (const [agentId, { expiresAt }] of this.#outstanding) {
      if (expiresAt > now) return;
      this.#outstanding.delete(agentId);
    }
  }
}
