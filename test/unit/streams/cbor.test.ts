import assert from 'node:assert/strict';

import { decodeCbor } from '@tributary/edge-agent/internal/domain/streams/payload/cbor.js';
import fc from 'fast-check';

const decode = (hex: string): unknown => decodeCbor(Uint8Array.from(Buffer.from(hex, 'hex')));

/** Examples of RFC 8949, appendix A, with what is read of them here. */
const EXAMPLES: readonly (readonly [hex: string, value: unknown])[] = [
  ['00', 0],
  ['17', 23],
  ['1818', 24],
  ['1903e8', 1000],
  ['1a000f4240', 1_000_000],
  ['1b000000e8d4a51000', 1_000_000_000_000],
  ['1bffffffffffffffff', '18446744073709551615'],
  ['3bffffffffffffffff', '-18446744073709551616'],
  ['20', -1],
  ['3903e7', -1000],
  ['f90000', 0],
  ['f93c00', 1],
  ['f97bff', 65504],
  ['fa47c35000', 100000],
  ['fb3ff199999999999a', 1.1],
  ['f90001', 5.960464477539063e-8],
  ['f90400', 0.00006103515625],
  ['f9c400', -4],
  ['f97c00', Infinity],
  ['f97e00', NaN],
  ['f4', false],
  ['f5', true],
  ['f6', null],
  ['f7', null],
  ['c074323031332d30332d32315432303a30343a30305a', '2013-03-21T20:04:00Z'],
  ['c11a514b67b0', '2013-03-21T20:04:00.000Z'],
  ['c1fb41d452d9ec200000', '2013-03-21T20:04:00.500Z'],
  ['d818456449455446', new Uint8Array([0x64, 0x49, 0x45, 0x54, 0x46])],
  ['6449455446', 'IETF'],
  ['62c3bc', 'ü'],
  ['64f0908591', '𐅑'],
  ['80', []],
  ['8301820203820405', [1, [2, 3], [4, 5]]],
  ['a26161016162820203', { a: 1, b: [2, 3] }],
  ['a201020304', { 1: 2, 3: 4 }],
  ['5f42010243030405ff', new Uint8Array([1, 2, 3, 4, 5])],
  ['7f657374726561646d696e67ff', 'streaming'],
  ['9f018202039f0405ffff', [1, [2, 3], [4, 5]]],
  ['bf61610161629f0203ffff', { a: 1, b: [2, 3] }],
  // RFC 8746: three little-endian uint16, two big-endian float32.
  ['d84546010002000304', [1, 2, 1027]],
  ['d851483f800000c0000000', [1, -2]],
];

const REFUSED: Readonly<Record<string, string>> = {
  'nothing at all': '',
  'a text without its bytes': '64494554',
  'a list without its items': '8301',
  'a list of 2^64 items': '9bffffffffffffffff',
  'something behind the item': '0000',
  'a break alone': 'ff',
  'a break in a list of known length': '8201ff',
  'a key twice': 'a2616101616102',
  'a key that is a list': 'a18001',
  'a text that is not UTF-8': '62c328',
  'reserved lengths': '1c',
  'a simple value of no meaning': 'e0',
  'a piece of another kind in a string': '5f6161ff',
  'a time that no calendar knows': 'c1fb7fefffffffffffff',
};

describe('CBOR', () => {
  for (const [hex, value] of EXAMPLES)
    it(`reads ${hex}`, () => {
      assert.deepEqual(decode(hex), { value });
    });

  for (const [name, hex] of Object.entries(REFUSED))
    it(`refuses ${name}`, () => {
      assert.equal(decode(hex), undefined);
    });

  it('refuses nesting that would exhaust the stack', () => {
    assert.equal(decodeCbor(new Uint8Array(1_000_000).fill(0x81)), undefined);
    assert.equal(decodeCbor(new Uint8Array(1_000_000).fill(0x9f)), undefined);
    assert.equal(decodeCbor(new Uint8Array(1_000_000).fill(0xc6)), undefined);
  });

  it('takes no member for a prototype', () => {
    const decoded = decode('a1695f5f70726f746f5f5fa1616101') as { readonly value: object };
    assert.equal(Object.getPrototypeOf(decoded.value), Object.prototype);
    assert.deepEqual(Object.keys(decoded.value), ['__proto__']);
  });

  it('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        decodeCbor(bytes);
      }),
      { numRuns: 5_000 },
    );
  });
});
