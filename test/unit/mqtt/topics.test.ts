import assert from 'node:assert/strict';

import { isRefusal, refusedBy } from '@tributary/edge-agent/internal/adapters/mqtt/reason-codes.js';
import {
  matchesFilter,
  requireFilter,
  wireFilter,
} from '@tributary/edge-agent/internal/adapters/mqtt/topics.js';

import { refusal } from '../../support/refusal.js';

describe('MQTT topics', () => {
  it('match as the specification says', () => {
    const matching = [
      ['a/b', 'a/b'],
      ['a/+', 'a/b'],
      ['a/+', 'a/'],
      ['+/+', '/b'],
      ['#', 'a/b/c'],
      ['a/#', 'a'],
      ['a/#', 'a/b/c'],
      ['$SYS/#', '$SYS/x'],
    ] as const;
    const other = [
      ['a/b', 'a'],
      ['a', 'a/b'],
      ['a/+', 'a'],
      ['a/+', 'a/b/c'],
      ['+', '/b'],
      ['#', '$SYS/x'],
      ['+/x', '$SYS/x'],
      ['A', 'a'],
    ] as const;
    for (const [filter, topic] of matching) assert.ok(matchesFilter(filter, topic), `${filter} ${topic}`);
    for (const [filter, topic] of other) assert.ok(!matchesFilter(filter, topic), `${filter} ${topic}`);
  });

  it('of a group name it, and no wildcard in its name', () => {
    assert.equal(wireFilter('a/+', 'g'), '$share/g/a/+');
    requireFilter('a/+', 'g');
    for (const share of ['', 'a/b', '+', 'x#'])
      assert.throws(() => requireFilter('a', share), refusal('INVALID_ARGUMENT'));
  });
});

describe('reason codes of MQTT', () => {
  it('become typed errors, of either version', () => {
    const cases = [
      [0x86, 'UNAUTHENTICATED'],
      [4, 'UNAUTHENTICATED'],
      [0x87, 'PERMISSION_DENIED'],
      [5, 'PERMISSION_DENIED'],
      [1, 'CONFIG_INVALID'],
      [0x8e, 'CONFLICT'],
      [0x97, 'OVERLOADED'],
      [0xfe, 'UNAVAILABLE'],
    ] as const;
    for (const [code, expected] of cases) assert.equal(refusedBy('b', 'it', code).code, expected);
    assert.deepEqual([undefined, 0, 0x10, 0x80].map(isRefusal), [false, false, false, true]);
  });
});
