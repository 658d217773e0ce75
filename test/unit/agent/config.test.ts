import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import {
  joinTokenOf,
  loadConfig,
  type AgentConfig,
  type AgentFlags,
  type Environment,
} from '@tributary/edge-agent/internal/config.js';
import { stringify } from 'yaml';

import { refusal } from '../../support/refusal.js';
import { temporaryDirectory, type TemporaryDirectory } from '../../support/temporary-directory.js';

const MINIMAL = { formatVersion: 1, dataDir: './data' };

describe('agent.yaml', () => {
  let folder: TemporaryDirectory;

  before(async () => {
    folder = await temporaryDirectory();
  });

  after(() => folder.remove());

  const load = async (
    content: unknown,
    env: Environment = {},
    flags: AgentFlags = {},
  ): Promise<AgentConfig> => {
    const config = join(folder.path, 'agent.yaml');
    await writeFile(config, typeof content === 'string' ? content : stringify(content));
    return loadConfig({ config, ...flags }, env);
  };

  it('fills in defaults and resolves paths from the file', async () => {
    const config = await load({
      ...MINIMAL,
      policy: 'policy.yaml',
      datasets: [{ name: 'loans', path: '../loans.csv', format: 'Csv' }],
    });
    assert.deepEqual(config, {
      dataDir: join(folder.path, 'data'),
      policyPath: join(folder.path, 'policy.yaml'),
      datasets: [
        {
          name: 'loans',
          sources: [
            {
              name: 'source',
              path: join(folder.path, '../loans.csv'),
              format: 'Csv',
              delimiter: ',',
              quote: '"',
              encoding: 'Utf8',
            },
          ],
        },
      ],
      sealKeyFile: join(folder.path, 'data/seal.key'),
      proxy: undefined,
      caBundlePath: undefined,
      logLevel: 'info',
      metricsPort: undefined,
      healthPort: undefined,
      healthHost: '0.0.0.0',
      tunnel: undefined,
      trainer: { type: 'Tfjs', backend: 'Auto', environment: {} },
      serving: {
        host: '127.0.0.1',
        port: undefined,
        grpcPort: undefined,
        tokenFile: undefined,
        decisions: { retentionDays: 30, maximumBytes: 1_073_741_824, inputs: 'Digest' },
        fits: [],
      },
      brokers: [],
      pipelines: [],
    });
  });

  it('takes flags before the environment, and that before the file', async () => {
    const content = { ...MINIMAL, logLevel: 'warn', metricsPort: 1 };
    const env = {
      TRIBUTARY_AGENT_LOG_LEVEL: 'debug',
      TRIBUTARY_AGENT_METRICS_PORT: '2',
      TRIBUTARY_AGENT_DATA_DIR: '/env',
    };
    const fromEnv = await load(content, env);
    assert.deepEqual([fromEnv.logLevel, fromEnv.metricsPort, fromEnv.dataDir], ['debug', 2, '/env']);
    const fromFlags = await load(content, env, { logLevel: 'trace', metricsPort: '3', data: '/flag' });
    assert.deepEqual([fromFlags.logLevel, fromFlags.metricsPort, fromFlags.dataDir], ['trace', 3, '/flag']);
    assert.equal(fromFlags.sealKeyFile, '/flag/seal.key');
  });

  it('takes the proxy from the file, or from the variables that other tools read', async () => {
    const file = await load(
      { ...MINIMAL, proxy: { url: 'http://proxy:3128', username: 'site', passwordFile: 'secret' } },
      { NO_PROXY: 'a, .b' },
    );
    assert.deepEqual(file.proxy, {
      host: 'proxy',
      port: 3128,
      username: 'site',
      passwordFile: join(folder.path, 'secret'),
      noProxy: ['a', '.b'],
    });
    const env = await load(MINIMAL, { https_proxy: 'http://us%40er:pa%3Ass@proxy' });
    assert.deepEqual(env.proxy, {
      host: 'proxy',
      port: 80,
      username: 'us@er',
      password: 'pa:ss',
      noProxy: [],
    });
    const sixth = await load({ ...MINIMAL, proxy: { url: 'http://[2001:db8::1]:3128' } });
    assert.equal(sixth.proxy?.host, '2001:db8::1');
    assert.equal((await load(MINIMAL, { HTTPS_PROXY: '' })).proxy, undefined);
  });

  it('takes datasets of several sources, with a view and a key', async () => {
    const sources = [
      { name: 'people', path: 'people.parquet', format: 'Parquet' },
      { name: 'values', glob: '../values-*.csv', format: 'Csv', delimiter: ';' },
      {
        name: 'patient',
        path: 'p.ndjson',
        format: 'FhirNdJson',
        columns: [{ name: 'born', path: '$.birthDate' }],
      },
    ];
    const long = { name: 'trial', sources, view: 'SELECT 1 AS y', key: 'id' };
    const [dataset] = (await load({ ...MINIMAL, datasets: [long] })).datasets;
    assert.deepEqual([dataset?.view, dataset?.key], ['SELECT 1 AS y', 'id']);
    assert.deepEqual(dataset?.sources, [
      { ...sources[0], path: join(folder.path, 'people.parquet') },
      { ...sources[1], glob: join(folder.path, '../values-*.csv'), quote: '"', encoding: 'Utf8' },
      { ...sources[2], path: join(folder.path, 'p.ndjson') },
    ]);
    for (const [wrong, words] of [
      [{ ...long, view: undefined }, /datasets\.0\.view: with several sources/],
      [{ name: 'a', format: 'Csv' }, /datasets\.0\.path: source source needs either path or glob/],
      [{ name: 'a', path: 'b', glob: 'c', format: 'Csv' }, /either path or glob/],
      [{ name: 'a', glob: '*/c.csv', format: 'Csv' }, /last part of the path only/],
      [{ name: 'a', path: 'b', format: 'Excel' }, /Csv, Parquet, Json, NdJson or FhirNdJson/],
      [{ name: 'a', path: 'b', format: 'Parquet', delimiter: ';' }, /datasets\.0\.delimiter: unknown field/],
      [{ ...long, sources: [sources[0], { ...sources[1], name: 'People' }] }, /occurs twice/],
    ] as const)
      await assert.rejects(load({ ...MINIMAL, datasets: [wrong] }), refusal('CONFIG_INVALID', words));
  });

  it('gives the join token of the environment', () => {
    assert.equal(joinTokenOf({ TRIBUTARY_JOIN_TOKEN: 't' }), 't');
  });

  const REFUSALS: readonly (readonly [title: string, content: unknown, env: Environment, text: RegExp])[] = [
    [
      'an unknown field',
      { ...MINIMAL, polisy: 'x' },
      {},
      /polisy: unknown field; remove it or correct its spelling/,
    ],
    [
      'an unknown field of a dataset',
      { ...MINIMAL, datasets: [{ name: 'a', path: 'b', format: 'Csv', rows: 1 }] },
      {},
      /datasets\.0\.rows: unknown field/,
    ],
    ['a newer format', { ...MINIMAL, formatVersion: 2 }, {}, /write "formatVersion: 1"/],
    ['no data directory', { formatVersion: 1 }, {}, /dataDir/],
    [
      'a dataset declared twice',
      { ...MINIMAL, datasets: [1, 2].map(() => ({ name: 'a', path: 'b', format: 'Csv' })) },
      {},
      /the name a occurs twice/,
    ],
    ['another trainer', { ...MINIMAL, trainer: { type: 'Exec' } }, {}, /trainer\.type/],
    ['text that is no YAML', 'a: [', {}, /not readable as YAML/],
    ['aliases', 'a: &x 1\nb: *x', {}, /not readable as YAML/],
    ['a list', '- 1', {}, /the file: /],
    ['a TLS proxy', { ...MINIMAL, proxy: { url: 'https://proxy' } }, {}, /proxy\.url: only http:\/\//],
    [
      'a user that Basic has no room for',
      { ...MINIMAL, proxy: { url: 'http://proxy', username: 'a:b' } },
      {},
      /proxy\.username: has no ":"/,
    ],
    ['a proxy that is no URL', MINIMAL, { HTTPS_PROXY: 'proxy:secret@' }, /^HTTPS_PROXY: (write|only) http/],
    [
      'a proxy with a broken password',
      MINIMAL,
      { HTTPS_PROXY: 'http://u:100%@proxy' },
      /^HTTPS_PROXY: write % /,
    ],
    ['a log level', MINIMAL, { TRIBUTARY_AGENT_LOG_LEVEL: 'loud' }, /logLevel: one of fatal/],
    ['a port', MINIMAL, { TRIBUTARY_AGENT_METRICS_PORT: 'x' }, /metricsPort: a port/],
    ['a probed port', MINIMAL, { TRIBUTARY_AGENT_HEALTH_PORT: '-1' }, /healthPort: a port/],
  ];
  for (const [title, content, env, text] of REFUSALS) {
    it(`refuses ${title}, naming place and fix`, async () => {
      await assert.rejects(
        load(content, env),
        (error) => refusal('CONFIG_INVALID', text)(error) && !String(error).includes('secret'),
      );
    });
  }

  it('says that a file is needed, or is not there', () => {
    assert.throws(() => loadConfig({}, {}), refusal('CONFIG_INVALID', /--config/));
    assert.throws(
      () => loadConfig({ config: join(folder.path, 'none.yaml') }, {}),
      refusal('CONFIG_INVALID', /none\.yaml: does not exist/),
    );
  });
});
