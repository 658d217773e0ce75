import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { ERROR_CODES, ERROR_TABLE, isErrorCode, TributaryError } from '@tributary/proto';
import { errorDocumentation } from '@tributary/proto/internal/errors/error-documentation.js';
import { status } from '@grpc/grpc-js';

describe('error table', () => {
  it('gives every code its own exit code', () => {
    const byExit = new Map<number, string>();
    for (const code of ERROR_CODES) {
      const { exit } = ERROR_TABLE[code];
      assert.equal(
        byExit.get(exit),
        undefined,
        `${code} and ${byExit.get(exit) ?? ''} both exit with ${String(exit)}`,
      );
      assert.ok(exit >= 2 && exit <= 99, `${code} exits with ${String(exit)}`);
      byExit.set(exit, code);
    }
  });

  it('names gRPC statuses that exist and HTTP statuses of errors', () => {
    for (const code of ERROR_CODES) {
      const { grpc, http } = ERROR_TABLE[code];
      assert.equal(typeof status[grpc], 'number', `${code}: ${grpc}`);
      assert.ok(http >= 400 && http < 600, `${code}: ${String(http)}`);
    }
  });

  it('documents every code with one sentence that ends', () => {
    for (const code of ERROR_CODES) assert.match(ERROR_TABLE[code].documentation, /^[A-Z].{20,}[.]$/, code);
  });

  it('is in step with ERRORS.md', () => {
    const written = readFileSync(new URL('../../../../proto/ERRORS.md', import.meta.url), 'utf8');
    assert.equal(written, errorDocumentation(), 'run npm run document -w proto');
    for (const code of ERROR_CODES) assert.ok(written.includes(`| \`${code}\` |`), code);
  });

  it('knows its codes and no properties of objects', () => {
    assert.ok(ERROR_CODES.every(isErrorCode));
    for (const name of ['', 'toString', '__proto__', 'constructor', 'update_late'])
      assert.equal(isErrorCode(name), false, name);
  });
});

describe('TributaryError', () => {
  it('carries code, cause, hint, fields and whether a repeat may succeed', () => {
    const cause = new Error('disk');
    const error = new TributaryError('STORE_FULL', 'no room', {
      cause,
      hint: 'free space',
      fields: { bytes: 7 },
    });
    assert.equal(error.code, 'STORE_FULL');
    assert.equal(error.cause, cause);
    assert.equal(error.hint, 'free space');
    assert.deepEqual(error.fields, { bytes: 7 });
    assert.equal(error.retryable, true);
    assert.equal(new TributaryError('NOT_FOUND', 'x').retryable, false);
  });

  it('wraps what is not one of ours as INTERNAL, once', () => {
    const foreign = TributaryError.from(new Error('boom'));
    assert.equal(foreign.code, 'INTERNAL');
    assert.equal((foreign.cause as Error).message, 'boom');
    assert.equal(TributaryError.from(foreign), foreign);
    assert.equal(TributaryError.from('text').message, 'text');
  });
});
