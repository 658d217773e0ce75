import type { TlsListener } from '../adapters/grpc/listener.js';
import type { Log } from '../adapters/logs/log.js';
import type { Clock } from '../ports.js';
import { isRenewalDue, ServedCertificates, type TlsIdentity } from './served-certificates.js';
import { nextTunnelIdentity, type TunnelFiles } from './tunnel-certificate.js';

export interface RenewedListeners {
  readonly clock: Clock;
  readonly log: Log;
  /** What the daemon issued to itself, what presents it, and how it comes to another. */
  readonly own: TlsIdentity;
  readonly listeners: readonly TlsListener[];
  readonly issue: () => Promise<TlsIdentity>;
  /** The listener of tunnels; `ofTunnels` is what its files had, undefined where it presents what the others do. */
  readonly tunnel: TlsListener | undefined;
  readonly ofTunnels: TlsIdentity | undefined;
  readonly files: TunnelFiles;
}

/** Renews what the daemon issued to itself, takes what was put in the place of the tunnels' files, and presents both. */
export function renewCertificates(parts: RenewedListeners): ServedCertificates {
  const { clock, log, own, listeners, issue, tunnel, ofTunnels, files } = parts;
  const certificates = new ServedCertificates(clock, log);
  const alike = tunnel !== undefined && ofTunnels === undefined ? [...listeners, tunnel] : listeners;
  certificates.add('server', own, {
    next: async (current, nowMs) => (isRenewalDue(current, nowMs) ? issue() : current),
    present: (identity) => {
      for (const listener of alike) listener.present(identity);
    },
  });
  if (tunnel !== undefined && ofTunnels !== undefined)
    certificates.add('tunnel', ofTunnels, {
      next: (current) => nextTunnelIdentity(files, current),
      present: (identity) => {
        tunnel.present(identity);
      },
    });
  certificates.watch();
  return certificates;
}
