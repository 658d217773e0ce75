import assert from 'node:assert/strict';

import { parseDocument, TributaryError, type ErrorCode } from '@tributary/proto';

import { altered } from './job-document.js';

/** The error with which a document is refused. */
export function refusal(value: unknown): TributaryError {
  try {
    parseDocument(value);
  } catch (error) {
    assert.ok(error instanceof TributaryError);
    return error;
  }
  throw new assert.AssertionError({ message: 'the document was accepted' });
}

/** One test per case: the document with `value` at `path` is refused with exactly that message. */
export function expectRefusals(
  document: unknown,
  code: ErrorCode,
  cases: readonly (readonly [string, unknown, string])[],
): void {
  for (const [path, value, message] of cases) {
    it(`${path} = ${JSON.stringify(value) ?? 'absent'}`, () => {
      const error = refusal(altered(document, path, value));
      assert.equal(error.message, message);
      assert.equal(error.code, code);
    });
  }
}
