import assert from 'node:assert/strict';
import { rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';

import { TunnelRelay } from '@tributary/edge-agent/internal/adapters/tunnel/tunnel-relay.js';

import { refusal } from '../support/refusal.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

describe('the sockets that lead into tunnels', () => {
  it('listen anew where somebody removed them, or where they could not be made', async () => {
    const directory = await temporaryDirectory();
    const folder = join(directory.path, 'run');
    let asked = 0;
    const relay = new TunnelRelay(() => {
      asked += 1;
      return Promise.reject(new Error('no way'));
    }, folder);
    const dialled = async (): Promise<void> => {
      const socket = connect(await relay.path('fleet'));
      await new Promise((resolve, reject) => socket.once('close', resolve).once('error', reject).resume());
    };
    await writeFile(folder, 'in the way');
    await assert.rejects(relay.path('fleet'), refusal('CONFIG_INVALID', /fleet\.sock/));
    await rm(folder);
    await dialled();
    await rm(folder, { recursive: true });
    await dialled();
    await rm(await relay.path('fleet'));
    await dialled();
    assert.equal(asked, 3);
    assert.equal((await stat(await relay.path('fleet'))).mode & 0o777, 0o600);
    assert.equal(await relay.path('fleet'), join(folder, 'fleet.sock'));
    await directory.remove();
  });
});
