import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { ERROR_CODES, ERROR_TABLE, isErrorCode, TributaryError } from '@tributary/proto';
import { errorDocumentation } from '@tributary/proto/internal/errors/error-documentation.js';
import { explainError } from '@tributary/proto/internal/errors/error-explanation.js';
import { ERROR_GUIDANCE } from '@tributary/proto/internal/errors/error-guidance.js';
import { errorReport } from '@tributary/proto/command-line';
import { status } from '@grpc/grpc-js';

import { commandFault } from '../../support/command-trees.js';
import { refusal } from '../../support/refusal.js';

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
    for (const code of ERROR_CODES) assert.ok(written.includes(`\n### ${code}\n`), code);
  });

  it('has causes and steps for every code, as sentences', () => {
    for (const code of ERROR_CODES) {
      const { causes, steps } = ERROR_GUIDANCE[code];
      assert.ok(causes.length > 0 && steps.length > 0, code);
      for (const sentence of [...causes, ...steps])
        assert.match(sentence, /^(?:[A-Z`]|agent\.yaml).*[.?!`]$/, `${code}: ${sentence}`);
    }
  });

  it('advises commands that exist, with options that they have', () => {
    const spans = Object.values(ERROR_GUIDANCE)
      .flatMap(({ causes, steps }) => [...causes, ...steps])
      .flatMap((text) => [...text.matchAll(/`(tributary[^`]*)`/g)].map((match) => match[1] ?? ''));
    assert.ok(spans.length > 40, `only ${String(spans.length)} commands`);
    assert.deepEqual(
      spans.map(commandFault).filter((fault) => fault !== undefined),
      [],
    );
    assert.match(commandFault('tributary get fj --wide') ?? '', /no option --wide/);
    assert.match(commandFault('tributary frobnicate') ?? '', /takes no argument/);
  });

  it('names only codes that exist', () => {
    for (const text of Object.values(ERROR_GUIDANCE).flatMap(({ causes, steps }) => [...causes, ...steps]))
      for (const [word] of text.matchAll(/\b[A-Z]+_[A-Z_]+\b/g))
        assert.ok(isErrorCode(word) || ['TRIBUTARY_CONFIG', 'TRY_CAST'].includes(word), word);
  });

  it('is explained by code in any case and by exit code, in the words of ERRORS.md', () => {
    const written = readFileSync(new URL('../../../../proto/ERRORS.md', import.meta.url), 'utf8');
    for (const code of ERROR_CODES) {
      const text = explainError(code.toLowerCase());
      assert.equal(text, explainError(String(ERROR_TABLE[code].exit)));
      assert.ok(written.includes(`### ${text}`), code);
    }
    assert.throws(() => explainError('STORE_LOKED'), refusal('USAGE', /STORE_LOKED: neither/));
    assert.throws(() => explainError('1'), refusal('USAGE'));
  });

  it('is reported with what to try and where to read on', () => {
    const bare = errorReport(new TributaryError('TOKEN_EXPIRED', 'an hour ago'), 'tributary-agent');
    assert.equal(
      bare,
      'error: TOKEN_EXPIRED: an hour ago\n' +
        `  try: ${ERROR_TABLE.TOKEN_EXPIRED.documentation}\n` +
        '  see: tributary-agent explain TOKEN_EXPIRED (ERRORS.md#token_expired)\n',
    );
    const hinted = errorReport(new TributaryError('USAGE', 'x', { hint: 'say y' }), 'tributary');
    assert.match(hinted, /^ {2}try: say y$/m);
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
