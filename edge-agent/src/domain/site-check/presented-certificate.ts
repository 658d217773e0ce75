import { failedLine, okLine, type CheckLine } from './check-line.js';

/** What a server showed in its TLS handshake, as far as it tells whose it is. */
export interface PresentedCertificate {
  /** True where the chain holds the authority of the federation. */
  readonly ours: boolean;
  /** Whom the certificate says that it was issued by: "CN=Corp Proxy, O=Corp". */
  readonly issuer: string;
  /** Who vouches for it: an authority of caBundle, or, failing that, one in a file of the machine's own. */
  readonly vouchedBy: 'caBundle' | { readonly file: string } | undefined;
}

/** Names of authorities that `tributary-coordinator init` makes. */
const FEDERATION = /^CN=Tributary /;

export const isOfFederation = (issuer: string): boolean => FEDERATION.test(issuer);

/** Whether the way to the coordinator is free of anybody who opens TLS. */
export function certificateLine(
  check: string,
  { ours, issuer, vouchedBy }: PresentedCertificate,
  through: string,
): CheckLine {
  if (ours) return okLine(check, `${through} ends in the coordinator of this federation`);
  if (isOfFederation(issuer))
    return failedLine(
      check,
      `${through} ends in another federation (${issuer})`,
      'the token, or the data directory, belongs to another coordinator; ask the operator for a token of this one',
    );
  const found = `somebody opens TLS on ${through}: the certificate was issued by ${issuer}, not by the federation`;
  if (vouchedBy === undefined)
    return failedLine(
      check,
      `${found}, and neither caBundle nor this machine trusts that authority`,
      `ask who runs the network whether it is theirs, and trust it only then: anybody may call himself so. Then ${EXEMPTION}`,
    );
  const trusted =
    vouchedBy === 'caBundle'
      ? 'caBundle trusts that authority'
      : `this machine trusts that authority (${vouchedBy.file}), caBundle does not name it`;
  return failedLine(check, `${found}; ${trusted}`, EXEMPTION);
}

const EXEMPTION =
  'have this address exempted from TLS inspection; where that is refused, set coordinator.tunnel in agent.yaml and name the authority of the inspection in caBundle';
