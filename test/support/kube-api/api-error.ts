import type { Fields } from './objects.js';

const REASONS = {
  BadRequest: 400,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  AlreadyExists: 409,
  Conflict: 409,
  Expired: 410,
  UnsupportedMediaType: 415,
  Invalid: 422,
  InternalError: 500,
} as const;

export type Reason = keyof typeof REASONS;

/** What the API answers instead of an object (metav1.Status). */
export class ApiError extends Error {
  readonly reason: Reason;
  readonly details: Fields;

  constructor(reason: Reason, message: string, details: Fields = {}) {
    super(message);
    this.reason = reason;
    this.details = details;
  }

  get code(): number {
    return REASONS[this.reason];
  }

  status(): Fields {
    const { reason, message, details, code } = this;
    return {
      ...{ kind: 'Status', apiVersion: 'v1', metadata: {} },
      status: 'Failure',
      reason,
      message,
      details,
      code,
    };
  }
}

/** Refuses a value of an object. */
export function invalid(kind: string, name: string, causes: readonly string[]): ApiError {
  const words = causes.length === 1 ? causes[0] : `[${causes.join(', ')}]`;
  return new ApiError('Invalid', `${kind} "${name}" is invalid: ${String(words)}`, {
    ...{ kind, name },
    causes: causes.map((message) => ({ reason: 'FieldValueInvalid', message, field: message.split(':')[0] })),
  });
}
