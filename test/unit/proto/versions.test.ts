import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { FORMAT_VERSION, negotiate, requireFormat, SOFTWARE_VERSION, WIRE_VERSIONS } from '@tributary/proto';

import { refusal } from '../../support/refusal.js';

const minorOf = (version: string): number => Number(version.split('.')[1]);
const majorOf = (version: string): number => Number(version.split('.')[0]);

describe('wire versions', () => {
  it('agree on the newest that both sides speak, whatever the order of the list', () => {
    assert.equal(negotiate(['1.2', '1.1'], ['1.3', '1.2', '1.1']), '1.2');
    assert.equal(negotiate(['1.1', '1.2'], ['1.2', '1.1']), '1.2');
    assert.equal(negotiate(['99.0', '1.2']), '1.2');
  });

  it('let a coordinator serve agents of the previous minor version', () => {
    const [agent, hub] = [
      ['1.4', '1.3'],
      ['1.5', '1.4'],
    ];
    assert.equal(negotiate(agent, hub), '1.4');
    assert.throws(
      () => negotiate(['1.3', '1.2'], hub),
      refusal('VERSION_UNSUPPORTED', /1\.3, 1\.2.*1\.5, 1\.4/),
    );
  });

  it('are listed newest first, and hold the previous minor version where there is one', () => {
    const [newest] = WIRE_VERSIONS;
    assert.ok(newest);
    for (const [index, version] of WIRE_VERSIONS.entries()) {
      assert.equal(majorOf(version), majorOf(newest));
      assert.equal(minorOf(version), minorOf(newest) - index);
    }
    assert.ok(WIRE_VERSIONS.length >= Math.min(2, minorOf(newest) + 1));
  });

  it('are refused where nothing is shared, or the list is malformed', () => {
    assert.throws(() => negotiate([]), refusal('VERSION_UNSUPPORTED', /nothing/));
    assert.throws(() => negotiate(['2.0']), refusal('VERSION_UNSUPPORTED'));
    for (const list of [
      ['1'],
      ['01.0'],
      ['1.0.0'],
      ['1.99999'],
      [''],
      Array.from({ length: 17 }, () => '1.0'),
    ]) {
      assert.throws(() => negotiate(list), refusal('INVALID_ARGUMENT', /versions/));
    }
  });
});

describe('other versions', () => {
  it('of the software are those of its package', () => {
    const manifest = JSON.parse(
      readFileSync(new URL('../../../../proto/package.json', import.meta.url), 'utf8'),
    ) as { version: string };
    assert.equal(SOFTWARE_VERSION, manifest.version);
  });

  it('of formats are refused when newer', () => {
    requireFormat(FORMAT_VERSION, 'the directory');
    assert.throws(
      () => requireFormat(FORMAT_VERSION + 1, 'the directory'),
      refusal('FORMAT_UNSUPPORTED', /the directory/),
    );
  });
});
