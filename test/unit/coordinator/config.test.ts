import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { loadDataDirectory, loadServeConfig } from '@tributary/coordinator/internal/config.js';
import { TributaryError } from '@tributary/proto';

import { temporaryDirectory, type TemporaryDirectory } from '../../support/temporary-directory.js';

describe('configuration of the coordinator', () => {
  let directory: TemporaryDirectory;

  beforeEach(async () => {
    directory = await temporaryDirectory();
  });
  afterEach(() => directory.remove());

  const store = async (content: unknown): Promise<void> => {
    await mkdir(directory.path, { recursive: true });
    const text = typeof content === 'string' ? content : JSON.stringify(content);
    await writeFile(join(directory.path, 'coordinator.json'), text);
  };

  const refusal = (
    flags: Record<string, string>,
    environment: Record<string, string> = {},
  ): TributaryError => {
    try {
      loadServeConfig({ data: directory.path, ...flags }, environment);
    } catch (error) {
      assert.ok(error instanceof TributaryError);
      return error;
    }
    throw new assert.AssertionError({ message: 'nothing was refused' });
  };

  it('has a default for everything but the directory', () => {
    const config = loadServeConfig({ data: directory.path }, {});
    assert.deepEqual(
      [config.fleetPort, config.enrolPort, config.adminPort, config.healthPort, config.metricsPort],
      [7443, 7444, 7445, 7446, 7447],
    );
    assert.equal(config.listen, '0.0.0.0');
    assert.equal(config.logLevel, 'info');
  });

  it('takes an option before the environment, and the environment before the file', async () => {
    await store({ formatVersion: 1, serve: { fleetPort: 1, enrolPort: 2, adminPort: 3 } });
    const config = loadServeConfig(
      { data: directory.path, fleetPort: '10' },
      { TRIBUTARY_FLEET_PORT: '20', TRIBUTARY_ENROL_PORT: '21' },
    );
    assert.deepEqual([config.fleetPort, config.enrolPort, config.adminPort], [10, 21, 3]);
  });

  it('treats an empty variable as unset', () => {
    assert.equal(loadServeConfig({ data: directory.path }, { TRIBUTARY_LISTEN: '' }).listen, '0.0.0.0');
  });

  it('takes addresses as host:port only', () => {
    const given = loadServeConfig(
      { data: directory.path, fleetAddress: '[2001:db8::1]:443' },
      { TRIBUTARY_ENROL_ADDRESS: 'enrol.example.org:443' },
    );
    assert.deepEqual(
      [given.fleetAddress, given.enrolAddress, given.adminAddress],
      ['[2001:db8::1]:443', 'enrol.example.org:443', ''],
    );
    for (const text of ['fleet.example.org', 'https://fleet.example.org:443', 'a b:1', '2001:db8::1:443'])
      assert.match(refusal({ fleetAddress: text }).message, /--fleet-address: an address has the form/);
  });

  it('takes port 0', () => {
    assert.equal(loadServeConfig({ data: directory.path, adminPort: '0' }, {}).adminPort, 0);
  });

  it('names the option, the variable or the field that is wrong', async () => {
    assert.match(refusal({ fleetPort: '70000' }).message, /--fleet-port/);
    assert.match(refusal({}, { TRIBUTARY_METRICS_PORT: 'http' }).message, /TRIBUTARY_METRICS_PORT/);
    assert.match(refusal({ logLevel: 'loud' }).message, /--log-level/);
    await store({ formatVersion: 1, serve: { healthPort: -1 } });
    assert.match(refusal({}).message, /serve\.healthPort/);
  });

  it('refuses unknown settings and files that are no JSON, with CONFIG_INVALID', async () => {
    await store({ formatVersion: 1, serve: { fleetport: 1 } });
    const unknown = refusal({});
    assert.equal(unknown.code, 'CONFIG_INVALID');
    assert.match(unknown.message, /serve\.fleetport/);
    assert.match(unknown.hint ?? '', /fleetPort/);
    await store('{');
    assert.equal(refusal({}).code, 'CONFIG_INVALID');
  });

  it('needs a data directory', () => {
    assert.equal(loadDataDirectory({ data: '/srv/a' }, { TRIBUTARY_DATA: '/srv/b' }), '/srv/a');
    assert.equal(loadDataDirectory({}, { TRIBUTARY_DATA: '/srv/b' }), '/srv/b');
    assert.throws(
      () => loadDataDirectory({}, {}),
      (error) => error instanceof TributaryError && error.code === 'CONFIG_INVALID',
    );
  });
});
