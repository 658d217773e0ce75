import { failedLine, okLine, type CheckLine } from './check-line.js';

/** What a server showed in its TLS handshake, as far as it tells whose it is. */
export interface PresentedCertificate {
  /** True where the chain holds the authority of the federation. */
  readonly ours: boolean;
  /** Whom the certificate says that it was issued by: "CN=Corp Proxy, O=Corp". */
  readonly issuer: string;
  /** True where an authority of caBundle vouches for it. */
  readonly vouched: boolean;
}

/** Names of authorities that `tributary-coordinator init` makes. */
const FEDERATION = /^CN=Tributary /;

/** Whether the way to the coordinator is free of anybody who opens TLS. */
export function certificateLine(
  check: string,
  { ours, issuer, vouched }: PresentedCertificate,
  through: string,
): CheckLine {
  if (ours) return okLine(check, `${through} ends in the coordinator of this federation`);
  if (FEDERATION.test(issuer))
    return failedLine(
      check,
      `${through} ends in another federation (${issuer})`,
      'the token, or the data directory, belongs to another coordinator; ask the operator for a token of this one',
    );
  return failedLine(
    check,
    `somebody opens TLS on ${through}: the certificate was issued by ${issuer}, not by the federation${vouched ? '; caBundle trusts that authority' : ''}`,
    'have this address exempted from TLS inspection; where that is refused, set coordinator.tunnel in agent.yaml and name the authority of the inspection in caBundle',
  );
}
