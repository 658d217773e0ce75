import assert from 'node:assert/strict';

import {
  canonicalize,
  canonicalText,
  parseCanonical,
  LIMITS,
  TributaryError,
  type JsonValue,
} from '@tributary/proto';
import fc from 'fast-check';

const refused = (code: string) => (error: unknown) => error instanceof TributaryError && error.code === code;
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** RFC 8785, appendix B: IEEE 754 bits and their serialisation. */
const NUMBERS: readonly (readonly [bits: string, text: string])[] = [
  ['0000000000000000', '0'],
  ['8000000000000000', '0'],
  ['0000000000000001', '5e-324'],
  ['8000000000000001', '-5e-324'],
  ['7fefffffffffffff', '1.7976931348623157e+308'],
  ['ffefffffffffffff', '-1.7976931348623157e+308'],
  ['4340000000000000', '9007199254740992'],
  ['c340000000000000', '-9007199254740992'],
  ['4430000000000000', '295147905179352830000'],
  ['44b52d02c7e14af5', '9.999999999999997e+22'],
  ['44b52d02c7e14af6', '1e+23'],
  ['44b52d02c7e14af7', '1.0000000000000001e+23'],
  ['444b1ae4d6e2ef4e', '999999999999999700000'],
  ['444b1ae4d6e2ef4f', '999999999999999900000'],
  ['444b1ae4d6e2ef50', '1e+21'],
  ['3eb0c6f7a0b5ed8c', '9.999999999999997e-7'],
  ['3eb0c6f7a0b5ed8d', '0.000001'],
  ['41b3de4355555553', '333333333.3333332'],
  ['41b3de4355555554', '333333333.33333325'],
  ['41b3de4355555555', '333333333.3333333'],
  ['41b3de4355555556', '333333333.3333334'],
  ['41b3de4355555557', '333333333.33333343'],
  ['becbf647612f3696', '-0.0000033333333333333333'],
  ['43143ff3c1cb0959', '1424953923781206.2'],
];

describe('canonical JSON', () => {
  it('writes the numbers of RFC 8785, appendix B', () => {
    for (const [bits, text] of NUMBERS)
      assert.equal(canonicalText(Buffer.from(bits, 'hex').readDoubleBE()), text, bits);
    for (const value of [Number.NaN, Infinity, -Infinity]) {
      assert.throws(() => canonicalText(value), refused('INVALID_ARGUMENT'));
    }
  });

  it('writes the example of RFC 8785, 3.2.2 to 3.2.4, byte for byte', () => {
    const value = {
      numbers: [Number('333333333.33333329'), 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
      string: '\u20ac$\u000F\u000aA\'\u0042\u0022\u005c\\"/',
      literals: [null, true, false],
    };
    const expected =
      '7b226c69746572616c73223a5b6e756c6c2c747275652c66616c73655d2c226e756d62657273223a5b3333333333333333332e3333333333' +
      '33332c31652b33302c342e352c302e3030322c31652d32375d2c22737472696e67223a22e282ac245c75303030665c6e4127425c225c5c5c' +
      '5c5c222f227d';
    assert.equal(Buffer.from(canonicalize(value)).toString('hex'), expected);
  });

  it('sorts keys by UTF-16 code units as in RFC 8785, 3.2.3', () => {
    const value = {
      '\u20ac': 'Euro Sign',
      '\r': 'Carriage Return',
      '\ufb33': 'Hebrew Letter Dalet With Dagesh',
      '1': 'One',
      '\ud83d\ude00': 'Emoji: Grinning Face',
      '\u0080': 'Control',
      '\u00f6': 'Latin Small Letter O With Diaeresis',
    };
    const order = Object.values(JSON.parse(canonicalText(value)) as Record<string, string>);
    // Integer-like keys come first in a JavaScript object: the text is what counts.
    assert.ok(
      canonicalText(value).startsWith('{"\\r":"Carriage Return","1":"One","\u0080":"Control","\u00f6":'),
    );
    assert.deepEqual(order.slice(-3), [
      'Euro Sign',
      'Emoji: Grinning Face',
      'Hebrew Letter Dalet With Dagesh',
    ]);
  });

  it('reads back whatever it writes', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const bytes = canonicalize(value);
        assert.equal(canonicalText(parseCanonical(bytes, bytes.length)), Buffer.from(bytes).toString('utf8'));
      }),
    );
  });

  it('leaves out members that are undefined', () => {
    assert.equal(canonicalText({ b: undefined, a: 1 }), '{"a":1}');
  });

  it('refuses JSON that is not canonical, naming why', () => {
    const texts = [
      '{ "a":1}',
      '{"b":1,"a":2}',
      '{"a":1,"a":1}',
      '1.0',
      '1e2',
      '-0',
      '"\\u0041"',
      '"\\/"',
      '[1,]',
      '',
      '01',
      '\ufeff1',
    ];
    for (const text of texts)
      assert.throws(() => parseCanonical(utf8(text), 100), refused('INVALID_ARGUMENT'), text);
    assert.throws(() => parseCanonical(Uint8Array.of(0x22, 0xff, 0x22), 100), refused('INVALID_ARGUMENT'));
    assert.throws(() => parseCanonical(utf8('"\\ud800"'), 100), refused('INVALID_ARGUMENT'));
  });

  it('keeps its limits of bytes and depth', () => {
    assert.throws(() => parseCanonical(utf8('[1,2,3]'), 6), refused('LIMIT_EXCEEDED'));
    const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
    assert.ok(parseCanonical(utf8(nested(LIMITS.jsonDepth)), 100));
    assert.throws(() => parseCanonical(utf8(nested(LIMITS.jsonDepth + 2)), 1_000), refused('LIMIT_EXCEEDED'));
    assert.throws(() => parseCanonical(utf8(nested(100_000)), 1_000_000), refused('LIMIT_EXCEEDED'));
  });

  it('refuses values outside JSON', () => {
    for (const value of [undefined, () => 1, 1n, Symbol('x')]) {
      assert.throws(() => canonicalText(value as unknown as JsonValue), refused('INVALID_ARGUMENT'));
    }
    assert.throws(() => canonicalText({ a: '\ud800' }), refused('INVALID_ARGUMENT'));
  });
});
