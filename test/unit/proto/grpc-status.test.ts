import assert from 'node:assert/strict';

import { LIMITS, TributaryError, ERROR_CODES, ERROR_TABLE } from '@tributary/proto';
import { ERROR_METADATA, fromServiceError, toServiceError } from '@tributary/proto/grpc';
import { Metadata, status, type ServiceError } from '@grpc/grpc-js';
import fc from 'fast-check';

const foreign = (code: number, details = 'no route', metadata = new Metadata()): ServiceError =>
  Object.assign(new Error(`${String(code)}: ${details}`), { code, details, metadata });

function told(value: string | Buffer): TributaryError {
  const metadata = new Metadata();
  metadata.set(ERROR_METADATA, Buffer.from(value));
  return fromServiceError(foreign(status.NOT_FOUND, 'gone', metadata));
}

describe('errors over gRPC', () => {
  it('arrive with their code, message, hint and fields', () => {
    for (const code of ERROR_CODES) {
      if (code === 'INTERNAL') continue;
      const sent = toServiceError(
        new TributaryError(code, 'what happened', {
          hint: 'what to do',
          fields: { site: 'north', rows: 3, ok: false },
        }),
      );
      assert.equal(sent.code, status[ERROR_TABLE[code].grpc]);
      const received = fromServiceError(sent);
      assert.deepEqual(
        [received.code, received.message, received.hint, received.fields],
        [code, 'what happened', 'what to do', { site: 'north', rows: 3, ok: false }],
      );
    }
  });

  it('come without what would steer the terminal that shows them', () => {
    const steering = '\u001b]0;owned\u0007\u202egnp\n';
    const { message, hint } = fromServiceError(
      toServiceError(new TributaryError('CONFLICT', steering, { hint: steering })),
    );
    assert.deepEqual([message, hint], [' ]0;owned  gnp ', ' ]0;owned  gnp ']);
    assert.equal(fromServiceError(foreign(status.ABORTED, steering)).message, ' ]0;owned  gnp ');
  });

  it('say that somebody else answers where the authority is another', () => {
    const details =
      'No connection established. Last error: Error: self-signed certificate in certificate chain. Resolution note: ';
    const error = fromServiceError(foreign(status.UNAVAILABLE, details));
    assert.equal(error.code, 'UNAVAILABLE');
    assert.match(error.message, /certificate chain$/);
    assert.match(error.hint ?? '', /Another federation/);
    assert.equal(fromServiceError(foreign(status.UNAVAILABLE)).hint, undefined);
  });

  it('keep the text of what was not foreseen inside the server', () => {
    const secret = 'row 17: 4929-1111';
    for (const error of [
      new Error(secret),
      new TributaryError('INTERNAL', secret, { hint: secret, fields: { cell: secret } }),
      secret,
    ]) {
      const sent = toServiceError(error);
      assert.equal(sent.code, status.INTERNAL);
      assert.ok(
        !JSON.stringify([
          sent.message,
          sent.details,
          sent.metadata.getMap(),
          sent.metadata.get(ERROR_METADATA).map(String),
        ]).includes('4929'),
      );
      assert.equal(fromServiceError(sent).code, 'INTERNAL');
    }
  });

  it('stay small and well-formed however large they were', () => {
    const long = '\u{1F600}"\u0000'.repeat(5_000);
    const fields = Object.fromEntries(
      Array.from({ length: 100 }, (_, index) => [`${String(index)}${long}`, long]),
    );
    const sent = toServiceError(new TributaryError('CONFLICT', long, { hint: long, fields }));
    const [bytes] = sent.metadata.get(ERROR_METADATA);
    assert.ok(bytes && bytes.length <= 4_096);
    assert.ok(sent.details.length <= LIMITS.detailLength && sent.details.isWellFormed());
    // A cut through a pair of surrogates must not reach encodeURI, which throws.
    encodeURI(
      toServiceError(new TributaryError('CONFLICT', `${'x'.repeat(LIMITS.detailLength - 1)}\u{1F600}`))
        .details,
    );
    assert.equal(fromServiceError(sent).code, 'CONFLICT');
  });

  it('of other software get the code that stands for their status', () => {
    const expected = [
      [status.CANCELLED, 'UNAVAILABLE'],
      [status.UNKNOWN, 'INTERNAL'],
      [status.INVALID_ARGUMENT, 'INVALID_ARGUMENT'],
      [status.DEADLINE_EXCEEDED, 'DEADLINE_EXCEEDED'],
      [status.NOT_FOUND, 'NOT_FOUND'],
      [status.PERMISSION_DENIED, 'PERMISSION_DENIED'],
      [status.RESOURCE_EXHAUSTED, 'OVERLOADED'],
      [status.UNIMPLEMENTED, 'VERSION_UNSUPPORTED'],
      [status.INTERNAL, 'INTERNAL'],
      [status.UNAVAILABLE, 'UNAVAILABLE'],
      [status.UNAUTHENTICATED, 'UNAUTHENTICATED'],
      [999, 'INTERNAL'],
    ] as const;
    for (const [code, ours] of expected) {
      const error = fromServiceError(foreign(code));
      assert.equal(error.code, ours, String(code));
      assert.equal(error.message, 'no route');
    }
    assert.equal(
      fromServiceError(foreign(status.RESOURCE_EXHAUSTED, 'Received message larger than max (9 vs. 8)')).code,
      'LIMIT_EXCEEDED',
    );
    for (const [code, details] of [
      [status.INTERNAL, 'Received RST_STREAM with code 2'],
      [status.INTERNAL, 'Failed to start HTTP/2 stream with error The session has been destroyed'],
      [status.INTERNAL, 'Write error: write after end'],
      [status.UNKNOWN, 'No status information received'],
    ] as const)
      assert.equal(fromServiceError(foreign(code, details)).code, 'UNAVAILABLE', details);
    assert.equal(
      fromServiceError(foreign(status.UNAVAILABLE, '')).message,
      `${String(status.UNAVAILABLE)}: `,
    );
  });

  it('of no call are ours or INTERNAL', () => {
    const error = new TributaryError('STORE_FULL', 'x');
    assert.equal(fromServiceError(error), error);
    assert.equal(fromServiceError(new Error('x')).code, 'INTERNAL');
    assert.equal(fromServiceError(undefined).code, 'INTERNAL');
  });

  it('believe no malformed metadata', () => {
    assert.equal(told('{"code":"UPDATE_LATE"}').code, 'UPDATE_LATE');
    for (const text of [
      '',
      '{',
      'null',
      '[]',
      '{}',
      '{"code":"toString"}',
      '{"code":1}',
      `{"code":"UPDATE_LATE","x":"${'y'.repeat(5_000)}"}`,
    ]) {
      assert.equal(told(text).code, 'NOT_FOUND', text.slice(0, 40));
    }
    const mixed = told('{"code":"UPDATE_LATE","hint":7,"fields":{"a":{},"b":null,"c":"d"}}');
    assert.deepEqual([mixed.hint, mixed.fields], [undefined, { c: 'd' }]);
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => void told(Buffer.from(bytes)).code));
    fc.assert(fc.property(fc.json(), (text) => void told(text).code));
  });
});
