import { LIMITS, digestOf, encodeBase64, transcript, TributaryError } from '@tributary/proto';

import { certificateState, countedValidity, renewAtMs, type Validity } from '../domain/renewal.js';
import type {
  CertificateReader,
  Clock,
  Dialer,
  EnrolmentClient,
  StateStore,
  TlsKey,
  TlsKeyMaker,
} from '../ports.js';
import {
  identityKeyOf,
  readPendingRenewal,
  writeEnrolment,
  writePendingRenewal,
  type EnrolmentRecord,
} from './enrolment-record.js';

export interface CertificateKeeperParts {
  readonly store: StateStore;
  readonly dialer: Dialer;
  readonly keys: TlsKeyMaker;
  readonly certificates: CertificateReader;
  readonly clock: Clock;
}

/** Keeps the agent's certificate fresh: renewed at two thirds of its lifetime, and after it has expired. */
export class CertificateKeeper {
  readonly #parts: CertificateKeeperParts;
  #record: EnrolmentRecord;
  #renewing: Promise<void> | undefined;
  #cancelTimer: (() => void) | undefined;

  constructor(parts: CertificateKeeperParts, record: EnrolmentRecord) {
    this.#parts = parts;
    this.#record = record;
  }

  get record(): EnrolmentRecord {
    return this.#record;
  }

  /** Milliseconds since the epoch. */
  get expiresAtMs(): number {
    return this.#parts.certificates.validity(this.#record.certificate).notAfterMs;
  }

  /** Before connecting: renews what is due. Rejects only where the certificate is of no use any more. */
  async ensureUsable(): Promise<void> {
    const state = certificateState(this.#validity(), this.#parts.clock.now());
    if (state === 'Fresh') return;
    try {
      await this.renew();
    } catch (error) {
      if (state === 'Expired' || !TributaryError.from(error).retryable) throw error;
    }
  }

  /** Renews in time from now on. `renewed` is called after each renewal, `failed` after each failure. */
  watch(renewed: () => void, failed: (error: TributaryError) => void): void {
    const { clock } = this.#parts;
    const arm = (atMs: number): void => {
      this.#cancelTimer = clock.at(atMs, () => {
        this.renew().then(
          () => {
            arm(renewAtMs(this.#validity()));
            renewed();
          },
          (error: unknown) => {
            arm(clock.now() + LIMITS.renewalRetryMs);
            failed(TributaryError.from(error));
          },
        );
      });
    };
    arm(renewAtMs(this.#validity()));
  }

  stop(): void {
    this.#cancelTimer?.();
  }

  /** Renews now; callers at the same time share one renewal. */
  renew(): Promise<void> {
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async #renew(): Promise<void> {
    const { dialer, certificates, store } = this.#parts;
    const record = this.#record;
    const key = await this.#pendingKey();
    const client = await dialer.enrolment(record.enrolAddress, { authority: record.authority });
    try {
      const { certificate, authority } = await this.#request(client, key);
      if (
        digestOf(authority) !== digestOf(record.authority) ||
        !certificates.belongs(certificate, authority, key.privateKey)
      ) {
        throw new TributaryError(
          'SIGNATURE_INVALID',
          'the renewed certificate is not one of the pinned authority for the key of this agent',
        );
      }
      this.#record = {
        ...record,
        certificate,
        tlsKey: key.privateKey,
        obtainedAtMs: this.#parts.clock.now(),
      };
      await writeEnrolment(store, this.#record);
    } finally {
      client.close();
    }
  }

  async #request(client: EnrolmentClient, { csr }: TlsKey): ReturnType<EnrolmentClient['renew']> {
    const { agentId, logId } = this.#record;
    const nonce = await client.challenge(agentId);
    const statement = transcript('renew', {
      agentId,
      nonce: encodeBase64(nonce),
      csrDigest: digestOf(csr),
      logId,
    });
    return client.renew({
      agentId,
      nonce,
      csr,
      identitySignature: identityKeyOf(this.#record).sign(statement),
    });
  }

  /** Durable before the coordinator hears of it: its answer may be lost, and it knows only the newest keys. */
  async #pendingKey(): Promise<TlsKey> {
    const { store, keys } = this.#parts;
    const known = await readPendingRenewal(store);
    if (known !== undefined) return known;
    const made = await keys.create();
    await writePendingRenewal(store, made);
    return made;
  }

  #validity(): Validity {
    const { certificates, clock } = this.#parts;
    const { certificate, obtainedAtMs } = this.#record;
    return countedValidity(certificates.validity(certificate), obtainedAtMs, clock.now());
  }
}
