import { TributaryError, type ErrorCode } from '@tributary/proto';

/** For assert.throws and assert.rejects: a TributaryError of that code, whose message matches where `text` is given. */
export function refusal(code: ErrorCode, text?: RegExp): (error: unknown) => boolean {
  return (error) =>
    error instanceof TributaryError && error.code === code && (text?.test(error.message) ?? true);
}
