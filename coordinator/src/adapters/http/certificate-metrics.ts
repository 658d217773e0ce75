import { Gauge, type Registry } from 'prom-client';

/** Certificates that listeners present: the daemon's own, and that of the tunnels where it is another. */
export type ServedName = 'server' | 'tunnel';

export interface CertificateValidity {
  /** `authority` issues those of agents and operators, and none outlives it. */
  readonly name: ServedName | 'authority';
  /** Milliseconds since the epoch. */
  readonly beginsAtMs: number;
  readonly expiresAtMs: number;
}

/** Shows when certificates begin and end; `read` is called at every scrape. */
export function showCertificates(registry: Registry, read: () => readonly CertificateValidity[]): void {
  const gauge = (name: string, help: string, instant: 'beginsAtMs' | 'expiresAtMs'): void => {
    new Gauge({
      name,
      help,
      labelNames: ['certificate'],
      registers: [registry],
      collect() {
        for (const validity of read()) this.set({ certificate: validity.name }, validity[instant] / 1_000);
      },
    });
  };
  gauge(
    'tributary_certificate_start_timestamp_seconds',
    'When a certificate of the coordinator begins, in seconds since the epoch.',
    'beginsAtMs',
  );
  gauge(
    'tributary_certificate_expiry_timestamp_seconds',
    'When a certificate of the coordinator ends, in seconds since the epoch.',
    'expiresAtMs',
  );
}
