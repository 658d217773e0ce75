import assert from 'node:assert/strict';

import { trainerConfigOf, trainerFile } from '@tributary/edge-agent/internal/trainer-config.js';

const at = (path: string): string => `/etc/tributary/${path}`;

describe('trainer of agent.yaml', () => {
  it('is TensorFlow.js with the backends in their order, unless the site says otherwise', () => {
    assert.deepEqual(trainerConfigOf(undefined, {}, at), { type: 'Tfjs', backend: 'Auto', environment: {} });
    const given = { type: 'Tfjs', backend: 'NativeCpu', nativeCpuPackage: 'native' } as const;
    assert.deepEqual(trainerConfigOf(given, {}, at), {
      type: 'Tfjs',
      backend: 'NativeCpu',
      nativeCpuPackage: '/etc/tributary/native',
      environment: {},
    });
  });

  it('gives other processes what libraries are found by, and none of our variables', () => {
    const env = {
      ...{ PATH: '/bin', LD_LIBRARY_PATH: '/cuda', CUDA_VISIBLE_DEVICES: '0', EMPTY: undefined },
      ...{
        TRIBUTARY_JOIN_TOKEN: 'secret',
        HTTPS_PROXY: 'http://user:secret@proxy',
        MYPATH: 'x',
        PATH_SECRET: 'x',
      },
    };
    const { environment } = trainerConfigOf(undefined, env, at);
    assert.deepEqual(environment, { PATH: '/bin', LD_LIBRARY_PATH: '/cuda', CUDA_VISIBLE_DEVICES: '0' });
  });

  it('is another process where the site names its socket', () => {
    const command = ['/opt/train', '--fast'];
    const given = { type: 'Socket' as const, path: 'run/own.sock', command };
    assert.deepEqual(trainerConfigOf(given, {}, at), {
      type: 'Socket',
      path: '/etc/tributary/run/own.sock',
      command: ['/opt/train', '--fast'],
      environment: {},
    });
    for (const wrong of [
      { type: 'Socket' },
      { type: 'Socket', path: 'x', command: [] },
      { type: 'Socket', path: 'x', command: 'sh -c x' },
      { type: 'Socket', path: 'x', backend: 'Cpu' },
      { type: 'Tfjs', backend: 'Cuda' },
    ])
      assert.equal(trainerFile.safeParse(wrong).success, false, JSON.stringify(wrong));
  });
});
