import {
  digestOf,
  encodeBase64,
  joinTokenKey,
  transcript,
  TributaryError,
  WIRE_VERSIONS,
  type ErrorCode,
  type JoinToken,
} from '@tributary/proto';

import { tlsKeyMaker } from '../../adapters/tls/tls-keys.js';
import { systemRandom } from '../../adapters/system/random.js';
import { channelIdentityOf, type EnrolmentRecord } from '../../app/enrolment-record.js';
import { failedLine, noteLine, okLine, type CheckLine } from '../../domain/site-check/check-line.js';
import type { Dialer } from '../../ports.js';
import { faultLine } from './bounded-look.js';

/**
 * Asks for the head of the log with the site's own certificate: mutual TLS, revocation and approval in one. It changes
 * nothing on either side.
 */
export async function memberCheck(dialer: Dialer, record: EnrolmentRecord): Promise<CheckLine> {
  const client = await dialer.fleet(record.fleetAddress, channelIdentityOf(record));
  try {
    await client.treeHead();
    return okLine('coordinator', 'takes the certificate of this site, which is approved');
  } catch (error) {
    return memberFault(TributaryError.from(error), record.site);
  } finally {
    client.close();
  }
}

function memberFault(error: TributaryError, site: string): CheckLine {
  if (error.code === 'AGENT_NOT_APPROVED')
    return noteLine(
      'coordinator',
      'this site has joined and is not approved yet',
      `the operator runs \`tributary approve ${site}\``,
    );
  if (error.code === 'AGENT_REVOKED')
    return failedLine(
      'coordinator',
      'this site was revoked',
      `the operator invites it again (\`tributary invite ${site}\`), and it joins with that token`,
    );
  return faultLine('coordinator', error, 'see the lines of fleet, certificate and clock');
}

const TOKEN_FAULTS: Readonly<Partial<Record<ErrorCode, readonly [found: string, fix: string]>>> = {
  TOKEN_EXPIRED: ['the token has expired', 'ask the operator for a new one: tributary invite SITE'],
  TOKEN_USED: ['the token was used before', 'ask the operator for a new one: tributary invite SITE'],
  TOKEN_INVALID: [
    'the coordinator knows no such token, or a newer one for the site replaced it',
    'ask the operator for a new one: tributary invite SITE',
  ],
  CONFLICT: ['the site has an agent already', 'the operator revokes that one first: tributary revoke SITE'],
};

/**
 * Asks to join with the signature of an identity key left out, which no coordinator accepts: it says what is wrong with the
 * token first, and takes nothing.
 */
export async function tokenCheck(
  dialer: Dialer,
  token: JoinToken,
  authority: Uint8Array | undefined,
): Promise<CheckLine> {
  const client = await dialer.enrolment(token.enrolAddress, authority === undefined ? {} : { authority });
  try {
    const { csr } = await tlsKeyMaker.create();
    const identityKey = systemRandom.bytes(32);
    const { tokenId } = token;
    const statement = transcript('enroll', {
      tokenId,
      identityKey: encodeBase64(identityKey),
      csrDigest: digestOf(csr),
    });
    const tokenSignature = joinTokenKey(token).sign(statement);
    const identitySignature = new Uint8Array(64);
    await client.enroll({
      ...{ versions: WIRE_VERSIONS, tokenId, identityKey, csr, tokenSignature, identitySignature },
    });
    return failedLine('coordinator', 'it accepted what nobody signed', 'tell the operator; do not join');
  } catch (error) {
    return tokenFault(TributaryError.from(error));
  } finally {
    client.close();
  }
}

function tokenFault(error: TributaryError): CheckLine {
  if (error.code === 'SIGNATURE_INVALID') return okLine('coordinator', 'would take this token');
  const [found, fix] = TOKEN_FAULTS[error.code] ?? [];
  if (found === undefined || fix === undefined)
    return faultLine('coordinator', error, 'see the lines of enrol and clock');
  return failedLine('coordinator', found, fix);
}
