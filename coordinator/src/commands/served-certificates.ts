import { X509Certificate } from 'node:crypto';

import { LIMITS } from '@tributary/proto';

import type { Log } from '../adapters/logs/log.js';
import type { CertificateValidity, ServedName } from '../adapters/http/certificate-metrics.js';
import type { Clock } from '../ports.js';

/** A certificate with its chain, and its key, PEM. */
export interface TlsIdentity {
  readonly certificate: string;
  readonly key: string;
}

/** How open listeners come to another certificate. */
export interface Renewal {
  /** What to present from now on; `current` where nothing changed. Rejects where what there is cannot be used. */
  next(current: TlsIdentity, nowMs: number): Promise<TlsIdentity>;
  /** To connections from now on; open ones stay as they are. */
  present(identity: TlsIdentity): void;
}

interface Served extends Renewal {
  identity: TlsIdentity;
  /** What was said of the last look, so that a fault is told once and not at every look. */
  fault: string;
}

/**
 * The certificates of open listeners. Each is looked after once in LIMITS.certificateLookMs: no certificate runs out on a
 * daemon that nobody restarts, and no restart is needed where somebody else replaces one.
 */
export class ServedCertificates {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #served = new Map<ServedName, Served>();
  #cancel: () => void = () => undefined;
  #stopped = false;

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  add(name: ServedName, identity: TlsIdentity, renewal: Renewal): void {
    this.#served.set(name, { ...renewal, identity, fault: '' });
  }

  watch(): void {
    if (this.#stopped) return;
    const again = (): void => {
      this.watch();
    };
    this.#cancel = this.#clock.at(this.#clock.now() + LIMITS.certificateLookMs, () => {
      this.look().then(again, again);
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  /** Looks after each now. Never rejects: what goes wrong is logged, and the certificate at hand stays. */
  async look(): Promise<void> {
    for (const [name, served] of this.#served) await this.#lookAfter(name, served);
  }

  validities(): readonly CertificateValidity[] {
    return [...this.#served].map(([name, { identity }]) => ({ name, ...validityOf(identity.certificate) }));
  }

  async #lookAfter(name: ServedName, served: Served): Promise<void> {
    try {
      const next = await served.next(served.identity, this.#clock.now());
      served.fault = '';
      if (next === served.identity || this.#stopped) return;
      served.present(next);
      served.identity = next;
      const expires = new Date(validityOf(next.certificate).expiresAtMs).toISOString();
      this.#log.info({ certificate: name, expires }, 'another certificate is presented');
    } catch (error) {
      const fault = String(error);
      if (fault !== served.fault)
        this.#log.warn({ certificate: name, error }, 'the certificate was not replaced');
      served.fault = fault;
    }
  }
}

/** Of the first certificate in PEM or DER. */
export function validityOf(certificate: string | Uint8Array): {
  readonly beginsAtMs: number;
  readonly expiresAtMs: number;
} {
  const { validFrom, validTo } = new X509Certificate(certificate);
  return { beginsAtMs: Date.parse(validFrom), expiresAtMs: Date.parse(validTo) };
}

/** Whether a certificate that the daemon issues for itself is to be followed by another: after two thirds of its life. */
export function isRenewalDue({ certificate }: TlsIdentity, nowMs: number): boolean {
  const { beginsAtMs, expiresAtMs } = validityOf(certificate);
  return nowMs >= beginsAtMs + ((expiresAtMs - beginsAtMs) * 2) / 3;
}
