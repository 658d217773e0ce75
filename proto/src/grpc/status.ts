import { Metadata, status, type ServiceError } from '@grpc/grpc-js';

import { ERROR_TABLE, isErrorCode, type ErrorCode } from '../errors/error-table.js';
import { TributaryError } from '../errors/tributary-error.js';
import { LIMITS } from '../limits.js';
import { printable } from '../printable.js';

/** Trailing metadata of a failed call: JSON {code, hint, fields} in UTF-8. */
export const ERROR_METADATA = 'tributary-error-bin';

/** Trailing metadata of gRPC's own retries (proposal A6): milliseconds before another try. */
const PUSHBACK_METADATA = 'grpc-retry-pushback-ms';

/** Fields and characters of a value that one error may carry, and bytes of all: proxies cut trailers of 8 KiB. */
const MOST_FIELDS = 16;
const MOST_VALUE = 128;
const MOST_BYTES = 4 * 1024;

type Fields = TributaryError['fields'];

/**
 * The gRPC error of any error, for a server's answer. The text of an INTERNAL one stays in the server's log: it was not
 * written for the other side.
 */
export function toServiceError(error: unknown): ServiceError {
  const { code, message, hint, fields } = disclosed(TributaryError.from(error));
  const metadata = new Metadata();
  const told = [{ code, hint, fields }, { code, hint }, { code }].map((value) =>
    Buffer.from(JSON.stringify(value), 'utf8'),
  );
  metadata.set(ERROR_METADATA, told.find((value) => value.length <= MOST_BYTES) ?? '');
  const { retryAfterMs } = fields;
  if (typeof retryAfterMs === 'number') metadata.set(PUSHBACK_METADATA, String(Math.ceil(retryAfterMs)));
  const details = cut(message, LIMITS.detailLength);
  return Object.assign(new Error(details), { code: status[ERROR_TABLE[code].grpc], details, metadata });
}

/**
 * The error behind a failed call: with the other side's own code, hint and fields where it is Tributary, otherwise the
 * code that stands for its gRPC status. Its texts may be shown on a terminal. Never throws; what is not an error of a call becomes INTERNAL.
 */
export function fromServiceError(error: unknown): TributaryError {
  if (error instanceof TributaryError) return error;
  if (!isServiceError(error)) return TributaryError.from(error);
  const text = error.details === '' ? error.message : error.details;
  // grpc-js ends with this where it has no note to give.
  const message = cut(printable(text.replace(/\. Resolution note: $/, '')), LIMITS.detailLength);
  const told = readMetadata(error.metadata);
  if (told === undefined) return new TributaryError(foreignCode(error), message, foreignParts(error, text));
  const { code, hint, fields } = told;
  return new TributaryError(code, message, { cause: error, fields, ...(hint === undefined ? {} : { hint }) });
}

interface Disclosed {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string | undefined;
  readonly fields: Fields;
}

function disclosed(error: TributaryError): Disclosed {
  if (error.code === 'INTERNAL') {
    return {
      code: 'INTERNAL',
      message: 'internal error; the log of the server has the cause',
      hint: undefined,
      fields: {},
    };
  }
  const hint = error.hint === undefined ? undefined : cut(error.hint, LIMITS.detailLength);
  return {
    code: error.code,
    message: error.message,
    hint,
    fields: boundedFields(Object.entries(error.fields)),
  };
}

function boundedFields(entries: readonly (readonly [string, unknown])[]): Fields {
  const fields: Record<string, string | number | boolean> = {};
  for (const [name, value] of entries.slice(0, MOST_FIELDS)) {
    if (typeof value === 'string') fields[cut(name, LIMITS.nameLength)] = cut(value, MOST_VALUE);
    if (typeof value === 'number' || typeof value === 'boolean') fields[cut(name, LIMITS.nameLength)] = value;
  }
  return fields;
}

function readMetadata(metadata: Metadata): Pick<Disclosed, 'code' | 'hint' | 'fields'> | undefined {
  const [value] = metadata.get(ERROR_METADATA);
  if (!Buffer.isBuffer(value) || value.length > MOST_BYTES) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(value.toString('utf8'));
  } catch {
    return undefined;
  }
  if (!isRecord(parsed)) return undefined;
  const { code, hint, fields } = parsed;
  if (typeof code !== 'string' || !isErrorCode(code)) return undefined;
  return {
    code,
    hint: typeof hint === 'string' ? cut(printable(hint), LIMITS.detailLength) : undefined,
    fields: boundedFields(isRecord(fields) ? Object.entries(fields) : []),
  };
}

/** What the statuses of somebody else's server, of a proxy or of grpc-js itself mean here. */
const FOREIGN: Readonly<Record<number, ErrorCode>> = {
  [status.CANCELLED]: 'UNAVAILABLE',
  [status.INVALID_ARGUMENT]: 'INVALID_ARGUMENT',
  [status.DEADLINE_EXCEEDED]: 'DEADLINE_EXCEEDED',
  [status.NOT_FOUND]: 'NOT_FOUND',
  [status.ALREADY_EXISTS]: 'ALREADY_EXISTS',
  [status.PERMISSION_DENIED]: 'PERMISSION_DENIED',
  [status.RESOURCE_EXHAUSTED]: 'OVERLOADED',
  [status.FAILED_PRECONDITION]: 'CONFLICT',
  [status.ABORTED]: 'CONFLICT',
  [status.OUT_OF_RANGE]: 'INVALID_ARGUMENT',
  [status.UNIMPLEMENTED]: 'VERSION_UNSUPPORTED',
  [status.UNAVAILABLE]: 'UNAVAILABLE',
  [status.UNAUTHENTICATED]: 'UNAUTHENTICATED',
};

/** A certificate of an authority that is not the federation's: the address is somebody else's. */
const FOREIGN_AUTHORITY = /self-signed certificate|unable to (get local issuer|verify the first) certificate/;

const foreignParts = (error: ServiceError, text: string): { cause: ServiceError; hint?: string } =>
  FOREIGN_AUTHORITY.test(text)
    ? {
        cause: error,
        hint: 'Another federation, or somebody in between, answers at that address: check host and port.',
      }
    : { cause: error };

/**
 * What grpc-js says with INTERNAL or UNKNOWN of a call whose connection dies: while it begins, while its request is written,
 * before its answer, and where a dying peer resets its stream.
 */
const OF_A_DYING_CONNECTION =
  /^(Failed to start HTTP\/2 stream|Write error|No status information received)|RST_STREAM/;

function foreignCode(error: ServiceError): ErrorCode {
  // grpc-js says RESOURCE_EXHAUSTED for a message over the limit.
  if (error.code === status.RESOURCE_EXHAUSTED && error.details.includes('larger than'))
    return 'LIMIT_EXCEEDED';
  const known = FOREIGN[error.code];
  if (known !== undefined) return known;
  return OF_A_DYING_CONNECTION.test(error.details) ? 'UNAVAILABLE' : 'INTERNAL';
}

function isServiceError(error: unknown): error is ServiceError {
  if (!(error instanceof Error)) return false;
  const { code, details, metadata } = error as Partial<ServiceError>;
  return typeof code === 'number' && typeof details === 'string' && metadata instanceof Metadata;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Text for the wire: bounded, and well-formed even where a pair of surrogates is cut (grpc-js would throw). */
function cut(text: string, length: number): string {
  return text.slice(0, length).toWellFormed();
}
