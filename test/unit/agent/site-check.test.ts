import assert from 'node:assert/strict';

import { policyLine } from '@tributary/edge-agent/internal/commands/check/data-check.js';
import { volumeLine } from '@tributary/edge-agent/internal/commands/check/volume-check.js';
import {
  checkLines,
  failedLine,
  okLine,
} from '@tributary/edge-agent/internal/domain/site-check/check-line.js';
import { clockLine, durationText, skewOf } from '@tributary/edge-agent/internal/domain/site-check/clock.js';
import { certificateLine } from '@tributary/edge-agent/internal/domain/site-check/presented-certificate.js';
import {
  challengeSchemes,
  unspokenSchemes,
} from '@tributary/edge-agent/internal/domain/site-check/proxy-challenge.js';
import { refusedTunnel } from '@tributary/edge-agent/internal/domain/site-check/refused-tunnel.js';
import { LIMITS, parseSitePolicy } from '@tributary/proto';
import fc from 'fast-check';

import { policyDocument } from '../../support/job-document.js';

const MINUTE = 60_000;
const NOW = Date.UTC(2026, 0, 2);

describe('what tributary-agent check says', () => {
  it('blames no clock for the seconds that an answer took, or that a date leaves out', () => {
    fc.assert(
      fc.property(fc.nat(30_000), fc.nat(30_000), (there, back) => {
        const theirsMs = Math.floor((NOW + there) / 1_000) * 1_000;
        return skewOf({ theirsMs, askedMs: NOW, answeredMs: NOW + there + back }) === 0;
      }),
    );
  });

  it('measures a clock that is off to within the time of the answer and a second', () => {
    fc.assert(
      fc.property(fc.integer({ min: -1e9, max: 1e9 }), fc.nat(5_000), (off, took) => {
        const theirsMs = Math.floor(NOW / 1_000) * 1_000;
        const skew = skewOf({ theirsMs, askedMs: NOW + off, answeredMs: NOW + off + took });
        return Math.abs(skew - off) <= took + 1_000;
      }),
    );
  });

  it('fails a clock beyond what the coordinator forgives, and asks certificates where no date came', () => {
    const at = (off: number) => ({ theirsMs: NOW, askedMs: NOW + off, answeredMs: NOW + off });
    assert.equal(clockLine(at(LIMITS.clockSkewMs), undefined, NOW).verdict, 'Ok');
    assert.equal(clockLine(at(LIMITS.clockSkewMs + 2_000), undefined, NOW).verdict, 'Failed');
    assert.equal(clockLine(at(-LIMITS.clockSkewMs - 2_000), undefined, NOW).verdict, 'Failed');
    const dates = { notBeforeMs: NOW, notAfterMs: NOW + MINUTE };
    assert.equal(clockLine(undefined, dates, NOW).verdict, 'Ok');
    assert.match(clockLine(undefined, dates, NOW - 1).found, /behind/);
    assert.match(clockLine(undefined, dates, NOW + MINUTE + 1).found, /ahead/);
    assert.equal(clockLine(undefined, undefined, NOW).verdict, 'Skipped');
    assert.deepEqual([1_499, 90_000, 7_200_000, 5 * 86_400_000].map(durationText), [
      '1 s',
      '90 s',
      '2 h',
      '5 d',
    ]);
  });

  it('tells another federation from somebody who opens TLS', () => {
    const shown = { ours: false, vouchedBy: undefined };
    const other = certificateLine('enrol/tls', { ...shown, issuer: 'CN=Tributary fed-1' }, 'hub:443');
    assert.match(other.found, /another federation/);
    const corp = certificateLine('enrol/tls', { ...shown, issuer: 'CN=Proxy, O=Bank' }, 'hub:443');
    assert.match(corp.found, /issued by CN=Proxy, O=Bank/);
    assert.match(corp.fix ?? '', /coordinator\.tunnel/);
    assert.equal(certificateLine('enrol/tls', { ...shown, ours: true, issuer: '' }, 'hub').verdict, 'Ok');
  });

  it('has a cause and a fix for each way in which a proxy refuses', () => {
    const said = [403, 405, 502, 503, 504, 418].map((status) => refusedTunnel(status, 'hub:7443', true));
    for (const { found, fix } of said) assert.ok(found !== '' && fix !== '');
    assert.match(refusedTunnel(407, 'hub:443', false).fix, /set proxy\.username/);
    assert.match(refusedTunnel(407, 'hub:443', true).fix, /correct proxy\.username/);
    assert.match(refusedTunnel(407, 'hub:443', true, 'NTLM').fix, /cntlm or px/);
    assert.match(refusedTunnel(302, 'hub:443', true).fix, /exempt this machine/);
    assert.match(refusedTunnel(403, 'hub:7443', true).fix, /port 443 only/);
    assert.match(refusedTunnel(500, 'hub:7443', true).fix, /resolves that name/);
  });

  it('reads the schemes that a proxy asks for, however they are written', () => {
    const cases: readonly (readonly [string | undefined, readonly string[]])[] = [
      [undefined, []],
      ['NTLM, Negotiate', ['NTLM', 'Negotiate']],
      ['Negotiate YII=, Basic realm="a, NTLM b"', ['Negotiate', 'Basic']],
      ['Digest realm="x", nonce="y", qop = "auth", Kerberos', ['Digest', 'Kerberos']],
      ['Basic realm="a \\" b", charset=utf-8', ['Basic']],
    ];
    for (const [header, schemes] of cases) assert.deepEqual(challengeSchemes(header), schemes, header);
    assert.equal(unspokenSchemes(['Negotiate', 'basic']), undefined);
    assert.equal(unspokenSchemes([]), undefined);
    assert.equal(unspokenSchemes(['Digest']), 'Digest');
    fc.assert(
      fc.property(fc.string(), (header) =>
        challengeSchemes(header).every((one) => /^[\w-]{1,32}$/.test(one)),
      ),
    );
  });

  it('says whose a volume is, how open, how full and how slow', () => {
    const look = { at: '/data', exists: true, owner: 7, mode: 0o700, freeBytes: 5e9, syncMs: 3 };
    assert.equal(volumeLine('/data', look, 7).verdict, 'Ok');
    assert.match(volumeLine('/data', look, 8).fix ?? '', /chown -R 8 \/data/);
    assert.equal(volumeLine('/data', look, 0).verdict, 'Ok');
    assert.match(volumeLine('/data', { ...look, mode: 0o777 }, 7).fix ?? '', /chmod 700/);
    assert.equal(volumeLine('/data', { ...look, freeBytes: 1e6 }, 7).verdict, 'Failed');
    assert.equal(volumeLine('/data', { ...look, freeBytes: 5e8 }, 7).verdict, 'Note');
    assert.match(volumeLine('/data', { ...look, syncMs: 4_000 }, 7).found, /4000 ms/);
  });

  it('sums a policy up by what it lets through and what it refuses', () => {
    const document = policyDocument();
    const spec = (change: object) =>
      parseSitePolicy({ ...document, spec: { ...document.spec, ...change } }).spec;
    const { name } = parseSitePolicy(document).spec.datasets[0] ?? { name: '' };
    const told = policyLine(spec({ requireSecureAggregation: true, minimumCohort: 3 }), [name, 'other']);
    assert.equal(told.verdict, 'Ok');
    for (const words of [
      'without secure aggregation',
      'cohorts under 3',
      'jobs on dataset other',
      'no federation root',
    ])
      assert.ok(told.found.includes(words), told.found);
    assert.equal(policyLine(spec({ authors: [] }), [name]).verdict, 'Note');
    assert.equal(policyLine(spec({}), ['other']).verdict, 'Note');
  });

  it('puts cause and fix below each other, in columns', () => {
    assert.equal(
      checkLines([okLine('a', 'good'), failedLine('bcd', 'bad', 'mend it')]),
      'ok    a   good\nFAIL  bcd bad\n          fix: mend it\n',
    );
  });
});
