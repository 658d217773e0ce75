import { TributaryError } from '@tributary/proto';

import type { WorkerFailure } from './messages.js';

/**
 * What may leave the worker of an error. Our errors consist of codes, names and numbers by rule of the house; of any
 * other error only its class is told, since its text and stack may quote a record.
 */
export function toFailure(error: unknown): WorkerFailure {
  if (error instanceof TributaryError) {
    const { code, message, hint, fields } = error;
    return { code, message, fields, ...(hint === undefined ? {} : { hint }) };
  }
  const name = error instanceof Error ? error.name : typeof error;
  return {
    code: 'TRAINING_FAILED',
    message: `training stopped with an unexpected error (${name})`,
    fields: {},
  };
}

/** The error that a failure stands for, on the side of the agent. */
export function fromFailure({ code, message, hint, fields }: WorkerFailure): TributaryError {
  return new TributaryError(code, message, { fields, ...(hint === undefined ? {} : { hint }) });
}
