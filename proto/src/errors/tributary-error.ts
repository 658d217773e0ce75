import { ERROR_TABLE, type ErrorCode } from './error-table.js';

/** Options of a {@link TributaryError}. `detail` fields are safe to show: never a record, a key or a token. */
export interface TributaryErrorOptions {
  readonly cause?: unknown;
  /** What the person who reads it should try next. */
  readonly hint?: string;
  /** Names and sizes behind the error, for logs and `describe`. */
  readonly fields?: Readonly<Record<string, string | number | boolean>>;
}

/**
 * The one error class of Tributary. `code` is stable and listed in {@link ERROR_TABLE}, which gives its gRPC
 * status, HTTP status, exit code and whether a repeat may succeed.
 */
export class TributaryError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly fields: Readonly<Record<string, string | number | boolean>>;

  constructor(code: ErrorCode, message: string, options: TributaryErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'TributaryError';
    this.code = code;
    this.hint = options.hint;
    this.fields = options.fields ?? {};
  }

  /** True where the same call may succeed later. */
  get retryable(): boolean {
    return ERROR_TABLE[this.code].retryable;
  }

  /** The error itself if it is one of ours, otherwise an INTERNAL one with it as cause. */
  static from(error: unknown): TributaryError {
    if (error instanceof TributaryError) return error;
    const message = error instanceof Error ? error.message : String(error);
    return new TributaryError('INTERNAL', message, { cause: error });
  }
}
