import assert from 'node:assert/strict';

import { LIMITS } from '@tributary/proto';
import { bypassesProxy, formatAddress, parseAddress } from '@tributary/edge-agent/internal/domain/address.js';
import { backoffMs } from '@tributary/edge-agent/internal/domain/backoff.js';
import {
  afterGoodbye,
  afterLinkFailure,
  heartbeatIntervalMs,
} from '@tributary/edge-agent/internal/domain/link.js';
import {
  certificateState,
  countedValidity,
  renewAtMs,
} from '@tributary/edge-agent/internal/domain/renewal.js';
import { afterUploadFailure } from '@tributary/edge-agent/internal/domain/outbox.js';
import fc from 'fast-check';

import { refusal } from '../../support/refusal.js';

describe('rules of the connection', () => {
  it('waits between the bounds, longer after more failures, and differently each time', () => {
    fc.assert(
      fc.property(
        fc.nat(2_000),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (attempt, random) => {
          const wait = backoffMs(attempt, random);
          assert.ok(wait >= LIMITS.reconnectMinMs && wait <= LIMITS.reconnectMaxMs);
          assert.ok(backoffMs(attempt + 1, random) >= wait);
        },
      ),
    );
    assert.deepEqual(
      [backoffMs(0, 0), backoffMs(0, 0.999_999), backoffMs(9, 0.999_999)],
      [500, 1_000, LIMITS.reconnectMaxMs],
    );
    // An outage of seconds is followed by no longer wait.
    let awayMs = 0;
    for (let attempt = 0; attempt < 12; attempt += 1) {
      assert.ok(backoffMs(attempt, 0.999_999) <= 1_000 + awayMs / 2, String(attempt));
      awayMs += backoffMs(attempt, 0.5);
    }
  });

  it('is back within 5 s, however long the coordinator was away', () => {
    const attemptMs = 1_000;
    for (let attempt = 0; attempt < 100; attempt += 1)
      assert.ok(backoffMs(attempt, 0.999_999) + attemptMs <= 5_000, String(attempt));
  });

  it('renews after two thirds of the lifetime', () => {
    const validity = { notBeforeMs: 1_000, notAfterMs: 4_000 };
    assert.equal(renewAtMs(validity), 3_000);
    assert.deepEqual(
      [2_999, 3_000, 4_000].map((now) => certificateState(validity, now)),
      ['Fresh', 'Due', 'Expired'],
    );
  });

  it('counts a certificate from its arrival, and renews once where the clock of the site is days ahead', () => {
    const hour = 3_600_000;
    const dates = { notBeforeMs: 0, notAfterMs: 48 * hour };
    assert.deepEqual(countedValidity(dates, 24 * hour, 30 * hour), { ...dates, notBeforeMs: 24 * hour });
    for (const ahead of [24, 100, 10_000]) {
      const arrived = (24 + ahead) * hour;
      const counted = countedValidity(dates, arrived, arrived);
      assert.equal(certificateState(counted, arrived), 'Fresh');
      assert.equal(renewAtMs(counted), arrived + 16 * hour);
      // The clock is right again.
      assert.deepEqual(countedValidity(dates, arrived, 24 * hour), dates);
    }
  });

  it('ends for good only where waiting mends nothing', () => {
    for (const code of ['AGENT_REVOKED', 'AGENT_FENCED', 'VERSION_UNSUPPORTED', 'PROOF_INVALID'] as const) {
      assert.deepEqual(afterLinkFailure(code, 'd', 0, 0), { next: 'End', code, detail: 'd' });
    }
    for (const code of ['UNAVAILABLE', 'AGENT_NOT_APPROVED', 'OVERLOADED', 'INVALID_ARGUMENT'] as const) {
      assert.equal(afterLinkFailure(code, '', 0, 0).next, 'Reconnect');
    }
    assert.equal(afterLinkFailure('UNAUTHENTICATED', '', 0, 0).next, 'Renew');
  });

  it('does as a goodbye says, within bounds', () => {
    assert.deepEqual(afterGoodbye('JOB_CANCELLED', 'x', 0, 0), {
      next: 'End',
      code: 'JOB_CANCELLED',
      detail: 'x',
    });
    assert.deepEqual(afterGoodbye('NO_SUCH_CODE', 'x', 100, 0), {
      next: 'Reconnect',
      waitMs: 600,
      code: 'UNAVAILABLE',
      detail: 'x',
    });
    assert.equal(afterGoodbye('AGENT_REVOKED', '', 9, 0).next, 'End');
    const patient = afterGoodbye('OVERLOADED', 'y'.repeat(9_999), 2 ** 32 - 1, 0);
    assert.ok(
      patient.next === 'Reconnect' &&
        patient.waitMs <= 11 * 60_000 &&
        patient.detail.length <= LIMITS.detailLength,
    );
  });

  it('beats neither too often nor too rarely', () => {
    assert.deepEqual([0, 2_000, 2 ** 32].map(heartbeatIntervalMs), [
      1_000,
      2_000,
      LIMITS.heartbeatTimeoutMs / 3,
    ]);
  });

  it('knows which uploads to repeat', () => {
    assert.equal(afterUploadFailure('UNAVAILABLE', 100), 'Retry');
    assert.equal(afterUploadFailure('CONFLICT', 1), 'Retry');
    assert.deepEqual(
      [1, 2, 3].map((tries) => afterUploadFailure('UPLOAD_ID_REUSED', tries)),
      ['Renew', 'Renew', 'GiveUp'],
    );
    assert.equal(afterUploadFailure('STORE_CORRUPT', 1), 'Renew');
    assert.equal(afterUploadFailure('UPDATE_LATE', 1), 'GiveUp');
    // What nobody foresaw is most often over in a moment; it must not cost a round at once, nor be tried for ever.
    assert.deepEqual(
      [1, 4, 5].map((tries) => afterUploadFailure('INTERNAL', tries)),
      ['Retry', 'Retry', 'GiveUp'],
    );
  });

  it('reads addresses', () => {
    assert.deepEqual(parseAddress('hub.example.org:7443', 'a'), { host: 'hub.example.org', port: 7443 });
    assert.deepEqual(parseAddress('[::1]:1', 'a'), { host: '::1', port: 1 });
    assert.deepEqual(
      ['h:1', '[::1]:65535'].map((text) => formatAddress(parseAddress(text, 'a'))),
      ['h:1', '[::1]:65535'],
    );
    for (const text of [
      '',
      'host',
      'host:',
      'host:0',
      'host:65536',
      '::1:1',
      'a b:1',
      'http://h:1',
      'h:1:2',
    ]) {
      assert.throws(() => parseAddress(text, 'address'), refusal('INVALID_ARGUMENT', /^address: /));
    }
  });

  it('leaves out the proxy where it is told to', () => {
    assert.ok(bypassesProxy('anything', ['*']));
    assert.ok(bypassesProxy('Hub.Example.org', ['example.org']));
    assert.ok(bypassesProxy('hub.example.org', ['.EXAMPLE.org']));
    assert.ok(bypassesProxy('10.0.0.1', ['10.0.0.1']));
    assert.ok(bypassesProxy('hub.example.org', ['*.example.org']));
    assert.ok(bypassesProxy('2001:db8::1', ['[2001:DB8::1]']));
    assert.ok(!bypassesProxy('badexample.org', ['*.example.org']));
    assert.ok(!bypassesProxy('badexample.org', ['example.org']));
    assert.ok(!bypassesProxy('hub', []));
  });
});
