import { status, type ServiceError } from '@grpc/grpc-js';
import { isErrorCode } from '@tributary/proto';

/** Trailer in which the services put the code of an error (proto/src/grpc/status.ts). */
const CODE_TRAILER = 'tributary-error-bin';

/** Refusals that grpc-js gives before any handler of ours runs. */
const OF_THE_LIBRARY: readonly (readonly [code: status, details: RegExp])[] = [
  [status.INTERNAL, /^Error deserializing request/],
  [status.RESOURCE_EXHAUSTED, /larger than max/],
  [status.UNIMPLEMENTED, /does not implement the method/],
  // Our own cancellation of a stream that would go on for ever.
  [status.CANCELLED, /Cancelled on client/],
  // nghttp2 ends a connection on which streams are reset faster than 33 a second, after 1,000 (CVE-2023-44487).
  [status.INTERNAL, /RST_STREAM.*Session closed with error code 2/],
  // Sent on a connection that was being ended, for that or for its age: not begun, and may be sent again (RFC 9113, 8.7).
  [status.UNAVAILABLE, /^Stream refused by server/],
];

export type Verdict = { readonly refusal: string } | { readonly finding: string };

/** What a failed call says about the server: a refusal as documented, or something to mend. */
export function judge(error: ServiceError): Verdict {
  const told = codeOf(error);
  if (told === 'INTERNAL') return { finding: `INTERNAL: ${error.details}` };
  if (told !== undefined) return { refusal: told };
  const known = OF_THE_LIBRARY.some(([code, details]) => error.code === code && details.test(error.details));
  return known
    ? { refusal: `grpc-js ${status[error.code]}` }
    : { finding: `${status[error.code]} without a code: ${error.details}` };
}

function codeOf(error: ServiceError): string | undefined {
  const [value] = error.metadata.get(CODE_TRAILER);
  if (!Buffer.isBuffer(value)) return undefined;
  const { code } = JSON.parse(value.toString('utf8')) as { code?: unknown };
  return typeof code === 'string' && isErrorCode(code) ? code : undefined;
}
