import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { loadConfig } from '@tributary/edge-agent/internal/config.js';

import { refusal } from '../../support/refusal.js';
import { temporaryDirectory, type TemporaryDirectory } from '../../support/temporary-directory.js';

describe('brokers of agent.yaml', () => {
  let folder: TemporaryDirectory;
  beforeEach(async () => (folder = await temporaryDirectory()));
  afterEach(() => folder.remove());

  const load = async (brokers: readonly object[]) => {
    const config = join(folder.path, 'agent.yaml');
    const pipelines = ['pipelines/ecg.yaml'];
    await writeFile(config, JSON.stringify({ formatVersion: 1, dataDir: 'data', brokers, pipelines }));
    return loadConfig({ config }, {});
  };

  it('become addresses and absolute paths, MQTT 5 by default', async () => {
    const plain = { name: 'ward', url: 'mqtt://broker.example' };
    const secured = {
      name: 'cloud',
      url: 'mqtts://[::1]:9883',
      protocol: 'V3',
      clientId: 'bed-1',
      username: 'agent',
      passwordFile: 'secrets/password',
      caFile: 'ca.pem',
      certFile: '/etc/cert.pem',
      keyFile: '/etc/key.pem',
    };
    const { brokers, pipelines } = await load([plain, secured]);
    const { url: _, ...kept } = secured;
    assert.deepEqual(brokers, [
      { name: 'ward', host: 'broker.example', port: 1883, tls: false, protocol: 'V5' },
      {
        ...kept,
        host: '::1',
        port: 9883,
        tls: true,
        passwordFile: join(folder.path, 'secrets/password'),
        caFile: join(folder.path, 'ca.pem'),
      },
    ]);
    assert.deepEqual(pipelines, [join(folder.path, 'pipelines/ecg.yaml')]);
  });

  it('are refused where a field is wrong, and secrets in a URL are not repeated', async () => {
    const wrong: [object, RegExp][] = [
      [{ url: 'http://x' }, /brokers\.0\.url: write mqtt/],
      [{ url: 'nonsense' }, /brokers\.0\.url: write mqtt/],
      [{ url: 'mqtt://agent:hunter2@x' }, /^brokers\.0\.url: (?!.*hunter2).*passwordFile/],
      [{ url: 'mqtt://x/topic' }, /brokers\.0\.url/],
      [{ passwordFile: 'p' }, /brokers\.0\.username/],
      [{ url: 'mqtts://x', certFile: 'c' }, /certFile and keyFile together/],
      [{ caFile: 'c' }, /brokers\.0\.caFile: needs TLS/],
      [{ name: 'A B' }, /brokers\.0\.name/],
      [{ protocol: 'V4' }, /brokers\.0\.protocol/],
      [{ password: 'hunter2' }, /(?!.*hunter2).*password: unknown field/],
    ];
    for (const [fields, text] of wrong)
      await assert.rejects(
        load([{ name: 'b', url: 'mqtt://x', ...fields }]),
        refusal('CONFIG_INVALID', text),
      );
    const twice = { name: 'b', url: 'mqtt://x' };
    await assert.rejects(load([twice, twice]), refusal('CONFIG_INVALID', /b occurs twice/));
  });
});
