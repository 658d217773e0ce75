import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { cp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { credentials } from '@grpc/grpc-js';
import { ERROR_TABLE, LIMITS, type ErrorCode } from '@tributary/proto';
import { Admin, channelOptions } from '@tributary/proto/grpc';

import { call } from '../support/channels.js';
import { BINARIES, Daemon, runCommand, type Finished } from '../support/daemon.js';
import type { Addresses } from '../support/federation.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';

const PORTS = ['fleet', 'enrol', 'admin', 'health', 'metrics'].flatMap((name) => [`--${name}-port`, '0']);

describe('the process of the coordinator', function () {
  this.timeout(90_000);
  let directory: TemporaryDirectory;
  let data: string;
  const daemons: Daemon[] = [];

  beforeEach(async () => {
    directory = await temporaryDirectory();
    data = join(directory.path, 'data');
    const made = await command(
      'init',
      '--data',
      data,
      '--name',
      'trial',
      '--host',
      '127.0.0.1',
      '--context-file',
      contextFile(),
    );
    assert.equal(made.code, 0, made.stderr);
  });
  afterEach(async () => {
    await Promise.all(daemons.splice(0).map((daemon) => daemon.stop('SIGKILL')));
    await directory.remove();
  });

  const contextFile = (): string => join(directory.path, 'operator.yaml');
  const command = (...args: readonly string[]): Promise<Finished> =>
    runCommand(BINARIES.coordinator, args, { TRIBUTARY_LOG_LEVEL: 'info' });

  async function serve(
    from = data,
    ...more: readonly string[]
  ): Promise<{ daemon: Daemon; addresses: Addresses }> {
    const started = Date.now();
    const args = ['serve', '--data', from, '--listen', '127.0.0.1', ...PORTS, ...more];
    const daemon = new Daemon({
      script: BINARIES.coordinator,
      args,
      logFile: join(directory.path, `log-${String(daemons.length)}`),
    });
    daemons.push(daemon);
    const addresses = await eventually('the daemon to serve', async () => {
      if (!daemon.running) throw new Error(await daemon.log());
      const path = join(from, 'run/addresses.json');
      const written = await stat(path).catch(() => undefined);
      return written !== undefined && written.mtimeMs >= started - 10
        ? (JSON.parse(await readFile(path, 'utf8')) as Addresses)
        : undefined;
    });
    return { daemon, addresses };
  }

  async function throughSocket<T>(
    { socket }: Addresses,
    use: (admin: InstanceType<typeof Admin>) => Promise<T>,
  ): Promise<T> {
    const admin = new Admin(`unix:${socket}`, credentials.createInsecure(), channelOptions());
    try {
      return await use(admin);
    } finally {
      admin.close();
    }
  }

  const sizeOf = (addresses: Addresses): Promise<string> =>
    throughSocket(
      addresses,
      async (admin) => (await call(admin, Admin.service, 'GetVersion', {})).ledgerSize,
    );
  const invite = (addresses: Addresses, site: string): Promise<unknown> =>
    throughSocket(addresses, (admin) => call(admin, Admin.service, 'CreateInvitation', { site }));

  it('says what to do next after init, keeps secrets to its owner, and does not overwrite', async () => {
    const again = await command('init', '--data', data, '--name', 'trial', '--context-file', contextFile());
    assert.equal(again.code, ERROR_TABLE.CONFLICT.exit);
    assert.match(again.stderr, /holds a federation already\n {2}try: serve it/);
    assert.equal((await stat(contextFile())).mode & 0o777, 0o600);
    assert.equal((await stat(data)).mode & 0o777, 0o700);
    assert.equal((await stat(join(data, 'seal.key'))).mode & 0o777, 0o600);
    const other = await command(
      'init',
      '--data',
      join(directory.path, 'other'),
      '--name',
      'trial',
      '--context-file',
      contextFile(),
    );
    assert.equal(other.code, 0);
    assert.match(other.stdout, /tributary-coordinator serve/);
    const contexts = await readFile(contextFile(), 'utf8');
    assert.match(contexts, /name: trial\n/);
    assert.match(contexts, /name: trial-2\n/, 'the context of the first federation was replaced');
  });

  it('stops cleanly on SIGTERM and SIGINT, and goes on where it was', async () => {
    const first = await serve();
    await invite(first.addresses, 'north');
    const size = await sizeOf(first.addresses);
    const began = Date.now();
    assert.deepEqual(await first.daemon.stop('SIGTERM'), { code: 0, signal: null });
    assert.ok(Date.now() - began < LIMITS.drainMs, 'it took as long as if a call had hung');
    const second = await serve();
    assert.equal(await sizeOf(second.addresses), size);
    assert.deepEqual(await second.daemon.stop('SIGINT'), { code: 0, signal: null });
    assert.match(await second.daemon.log(), /"msg":"stopped"/);
  });

  it('ends an open watch when it stops, instead of waiting for it', async () => {
    const { daemon, addresses } = await serve();
    const admin = new Admin(`unix:${addresses.socket}`, credentials.createInsecure(), channelOptions());
    const stream = admin.WatchObjects({ kind: 'site' });
    const ended = new Promise<string>((resolve) => {
      stream.on('error', (error) => {
        resolve(error.message);
      });
    });
    stream.on('data', () => undefined);
    await eventually('the first bookmark', () => (stream.readableDidRead ? true : undefined));
    const began = Date.now();
    assert.equal((await daemon.stop('SIGTERM')).code, 0);
    assert.match(await ended, /stops/);
    assert.ok(Date.now() - began < LIMITS.drainMs);
    admin.close();
  });

  it('loses nothing that it answered when it is killed', async () => {
    const first = await serve();
    for (const site of ['a', 'b', 'c']) await invite(first.addresses, site);
    const size = await sizeOf(first.addresses);
    await first.daemon.stop('SIGKILL');
    const second = await serve();
    assert.equal(await sizeOf(second.addresses), size);
  });

  it('refuses a second process on the same directory', async () => {
    await serve();
    const second = await command('serve', '--data', data, '--listen', '127.0.0.1', ...PORTS);
    assert.equal(second.code, ERROR_TABLE.STORE_LOCKED.exit);
    assert.match(second.stderr, /STORE_LOCKED/);
  });

  it('names a port that is taken, and leaves the directory free', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => holder.once('listening', resolve));
    const address = holder.address();
    const taken = String(address !== null && typeof address === 'object' ? address.port : 0);
    for (const port of ['--admin-port', '--metrics-port']) {
      const refused = await command('serve', '--data', data, '--listen', '127.0.0.1', ...PORTS, port, taken);
      assert.equal(refused.code, ERROR_TABLE.CONFIG_INVALID.exit);
      assert.match(refused.stderr, new RegExp(taken));
    }
    holder.close();
    await serve();
  });

  it('explains wrong command lines and directories with the exit code of the table', async () => {
    const cases: readonly [readonly string[], number, RegExp][] = [
      [['serve', '--data', join(directory.path, 'nowhere')], ERROR_TABLE.NOT_FOUND.exit, /init/],
      [['serve'], ERROR_TABLE.CONFIG_INVALID.exit, /--data/],
      [['serve', '--data', data, '--fleet-port', 'x'], ERROR_TABLE.CONFIG_INVALID.exit, /--fleet-port/],
      [
        ['serve', '--data', data, '--seal-key-file', join(directory.path, 'none')],
        ERROR_TABLE.CONFIG_INVALID.exit,
        /sealing key/,
      ],
      [['init', '--data', join(directory.path, 'n')], ERROR_TABLE.USAGE.exit, /--name/],
      [
        ['init', '--data', join(directory.path, 'n'), '--name', 'No Name'],
        ERROR_TABLE.INVALID_ARGUMENT.exit,
        /--name/,
      ],
      [['dance'], ERROR_TABLE.USAGE.exit, /dance/],
    ];
    for (const [args, code, message] of cases) {
      const { stderr, code: found } = await command(...args);
      assert.equal(found, code, `${args.join(' ')}: ${stderr}`);
      assert.match(stderr, message);
    }
    const wrongKey = join(directory.path, 'wrong.key');
    await writeFile(wrongKey, Buffer.alloc(32, 5).toString('base64'), { mode: 0o600 });
    const sealed = await command('serve', '--data', data, '--seal-key-file', wrongKey);
    assert.equal(sealed.code, ERROR_TABLE.SEAL_BROKEN.exit);
  });

  it('refuses a directory that a newer version wrote', async () => {
    const path = join(data, 'coordinator.json');
    await writeFile(path, (await readFile(path, 'utf8')).replace('"formatVersion": 1', '"formatVersion": 2'));
    const { code } = await command('serve', '--data', data);
    assert.equal(code, ERROR_TABLE.FORMAT_UNSUPPORTED.exit);
  });

  it('says what is missing or in the way, and shows no stack', async () => {
    const broken = join(directory.path, 'broken');
    const refused = async (damage: () => Promise<unknown>, code: ErrorCode, says: RegExp): Promise<void> => {
      await rm(broken, { recursive: true, force: true });
      await cp(data, broken, { recursive: true });
      await damage();
      const { code: exit, stderr } = await command('serve', '--data', broken);
      assert.match(stderr, says);
      assert.equal(exit, ERROR_TABLE[code].exit, stderr);
      assert.doesNotMatch(stderr, /^ +at /m);
    };
    await refused(() => rm(join(broken, 'ca.pem')), 'STORE_CORRUPT', /ca\.pem.*\n.*restore a backup/);
    await refused(() => writeFile(join(broken, 'ca.pem'), 'half a cert'), 'STORE_CORRUPT', /ca\.pem/);
    await refused(() => rm(join(broken, 'keys/tree-head.sealed')), 'STORE_CORRUPT', /tree-head/);
    await refused(() => rm(join(broken, 'ledger'), { recursive: true }), 'STORE_CORRUPT', /ledger/);
    const asFile = async (name: string): Promise<void> => {
      await rm(join(broken, name), { recursive: true, force: true });
      await writeFile(join(broken, name), '');
    };
    for (const name of ['run', 'blobs', 'spool', 'keys'])
      await refused(() => asFile(name), 'CONFIG_INVALID', new RegExp(`${name}.*not a directory`));
  });

  it('writes a backup into files only, and says where it cannot', async () => {
    const to = async (path: string, says: RegExp): Promise<void> => {
      const { code, stderr } = await command('backup', '--data', data, '--to', path);
      assert.match(stderr, says);
      assert.equal(code, ERROR_TABLE.CONFIG_INVALID.exit, stderr);
    };
    // A socket or a device must not be replaced by a file, though the user may be allowed to.
    const { daemon, addresses } = await serve();
    await to(addresses.socket, /not a file/);
    assert.ok((await stat(addresses.socket)).isSocket());
    await to(directory.path, /not a file/);
    await to(join(directory.path, 'nowhere/backup.tar'), /backup\.tar.*directory does not/);
    await daemon.stop();
    await to(join(directory.path, 'nowhere/backup.tar'), /backup\.tar.*directory does not/);
  });

  it('backs up while it serves and when it does not, and restores to a federation that goes on', async () => {
    const backups = {
      online: join(directory.path, 'online.tar'),
      offline: join(directory.path, 'offline.tar'),
    };
    const { daemon, addresses } = await serve();
    await invite(addresses, 'north');
    const online = await command('backup', '--data', data, '--to', backups.online);
    assert.equal(online.code, 0, online.stderr);
    assert.match(online.stdout, /running daemon/);
    const size = await sizeOf(addresses);
    await daemon.stop();
    const offline = await command('backup', '--data', data, '--to', backups.offline);
    assert.equal(offline.code, 0, offline.stderr);
    await cp(join(data, 'seal.key'), join(directory.path, 'kept.key'));
    for (const [name, file] of Object.entries(backups)) {
      assert.equal((await stat(file)).mode & 0o777, 0o600);
      const into = join(directory.path, `restored-${name}`);
      const keyless = await command('restore', '--data', into, '--from', file);
      assert.equal(keyless.code, ERROR_TABLE.CONFIG_INVALID.exit);
      const key = ['--seal-key-file', join(directory.path, 'kept.key')] as const;
      const restored = await command('restore', '--data', into, '--from', file, ...key);
      assert.equal(restored.code, 0, restored.stderr);
      const again = await serve(into, ...key);
      assert.equal(await sizeOf(again.addresses), size);
      await invite(again.addresses, 'after');
      await again.daemon.stop();
    }
    const cut = join(directory.path, 'cut.tar');
    await writeFile(cut, (await readFile(backups.online)).subarray(0, 5_000));
    const refused = await command(
      'restore',
      '--data',
      join(directory.path, 'cut'),
      '--from',
      cut,
      '--seal-key-file',
      join(directory.path, 'kept.key'),
    );
    assert.equal(refused.code, ERROR_TABLE.STORE_CORRUPT.exit);
  });

  it('keeps the address of the first context current', async () => {
    const { addresses } = await serve();
    await eventually('the context to follow', async () =>
      (await readFile(contextFile(), 'utf8')).includes(addresses.admin) ? true : undefined,
    );
  });

  it('serves from a directory whose path is too long for a socket', async () => {
    const long = join(directory.path, 'x'.repeat(120));
    assert.equal(
      (await command('init', '--data', long, '--name', 'long', '--context-file', contextFile())).code,
      0,
    );
    const { daemon, addresses } = await serve(long);
    assert.equal(await sizeOf(addresses), '2');
    assert.equal((await daemon.stop()).code, 0);
    await assert.rejects(stat(addresses.socket));
  });
});
