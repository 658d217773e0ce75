import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { connect as connectTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';

import {
  credentials,
  loadPackageDefinition,
  type Client,
  type ClientReadableStream,
  type ServiceError,
} from '@grpc/grpc-js';
import { readContextFile } from '@tributary/coordinator/internal/cli/context-file.js';
import { decodeJoinToken, ERROR_TABLE } from '@tributary/proto';
import { load } from '@grpc/proto-loader';
import { protoPath } from 'grpc-health-check';
import { stringify } from 'yaml';

import { BINARIES, Daemon, runCommand, type Finished } from '../support/daemon.js';
import { freePort } from '../support/local-ports.js';
import { ScriptedCoordinator } from '../support/scripted-coordinator.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';

interface HealthClient extends Client {
  watch(request: object): ClientReadableStream<{ status: string }>;
  check(request: object, answer: (error: ServiceError | null, response: { status: string }) => void): void;
}

async function healthClient(port: number): Promise<HealthClient> {
  const loaded = loadPackageDefinition(await load(protoPath, { enums: String })) as unknown as {
    readonly grpc: {
      readonly health: {
        readonly v1: { readonly Health: new (address: string, secure: object) => HealthClient };
      };
    };
  };
  return new loaded.grpc.health.v1.Health(`127.0.0.1:${String(port)}`, credentials.createInsecure());
}

/** What a probe of the kubelet hears on a port: SERVING, NOT_SERVING, or undefined where nobody answers. */
async function probe(port: number): Promise<string | undefined> {
  const client = await healthClient(port);
  try {
    return await new Promise((resolve) => {
      client.check({ service: '' }, (error, response) =>
        resolve(error === null ? response.status : undefined),
      );
    });
  } finally {
    client.close();
  }
}

/** Frames of HTTP/2 up to the middle of one: the preface, and the head of SETTINGS that say six bytes more follow. */
const HALF_A_FRAME = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from([0, 0, 6, 4, 0, 0, 0, 0, 0]),
]);

/**
 * Callers that never leave by themselves: one that watches the health, one that has sent half a frame, a scraper that keeps its
 * connection, and one that has sent half a request. The result says what the watcher heard, and lets them go.
 */
async function clingTo(
  health: number,
  metrics: number,
): Promise<{ readonly heard: readonly string[]; readonly leave: () => void }> {
  const client = await healthClient(health);
  const heard: string[] = [];
  const watch = client.watch({ service: '' });
  watch.on('data', ({ status }: { status: string }) => heard.push(status));
  watch.on('error', () => undefined);
  const say = async (port: number, words: string | Buffer): Promise<Socket> => {
    const socket = connectTcp(port, '127.0.0.1');
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    socket.write(words);
    return socket;
  };
  const whole = await say(metrics, 'GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: keep-alive\r\n\r\n');
  const [page] = (await once(whole, 'data')) as [Buffer];
  assert.match(String(page), /^HTTP\/1\.1 200/);
  whole.resume();
  const others = [await say(metrics, 'GET /metrics HT'), await say(health, HALF_A_FRAME)];
  await eventually('the watcher to hear', () => heard.length > 0 || undefined);
  const leave = (): void => {
    client.close();
    for (const socket of [whole, ...others]) socket.destroy();
  };
  return { heard, leave };
}

describe('what a cluster asks of the daemons', function () {
  this.timeout(60_000);
  let folder: TemporaryDirectory;
  let daemon: Daemon | undefined;

  beforeEach(async () => {
    folder = await temporaryDirectory();
  });
  afterEach(async () => {
    await daemon?.stop('SIGKILL');
    daemon = undefined;
    await folder.remove();
  });

  describe('tributary-agent', () => {
    let coordinator: ScriptedCoordinator;
    let config: string;
    let token: string;

    beforeEach(async () => {
      coordinator = await ScriptedCoordinator.start();
      config = join(folder.path, 'agent.yaml');
      token = join(folder.path, 'token');
      await writeFile(token, coordinator.tokenText());
      await writeFile(config, stringify({ formatVersion: 1, dataDir: './data' }));
    });
    afterEach(() => coordinator.stop());

    const join_ = (...more: string[]): Promise<Finished> =>
      runCommand(BINARIES.agent, ['join', '--config', config, '--token-file', token, ...more]);

    it('joins at every start of its pod, and also when the Secret with the token is gone', async () => {
      assert.match((await join_('--keep')).stdout, /Joined as site/);
      assert.match((await join_('--keep')).stdout, /Already joined as site/);
      await rm(token);
      const kept = await join_('--keep');
      assert.equal(kept.code, 0, kept.stderr);
      assert.match(kept.stdout, /Still joined as site/);
      assert.equal((await join_()).code, ERROR_TABLE.CONFIG_INVALID.exit);
    });

    it('does not pass for joined without a token and without an identity', async () => {
      await rm(token);
      const { code, stderr } = await join_('--keep');
      assert.equal(code, ERROR_TABLE.UNAUTHENTICATED.exit);
      assert.match(stderr, /has not joined/);
    });

    it('answers probes in plaintext while its coordinator is away, and no longer when it stops', async () => {
      await join_();
      coordinator.stop();
      const port = await freePort();
      daemon = new Daemon({
        script: BINARIES.agent,
        args: ['run', '--config', config, '--health-port', String(port)],
        logFile: join(folder.path, 'agent.log'),
      });
      await eventually('a probe', async () => ((await probe(port)) === 'SERVING' ? true : undefined));
      assert.deepEqual(await daemon.stop(), { code: 0, signal: null });
      assert.equal(await probe(port), undefined);
    });

    it('ends although callers of health and metrics stay', async () => {
      await join_();
      const [health, metrics] = [await freePort(), await freePort()];
      daemon = new Daemon({
        script: BINARIES.agent,
        args: [
          ...['run', '--config', config, '--health-port', String(health)],
          ...['--metrics-port', String(metrics)],
        ],
        logFile: join(folder.path, 'agent.log'),
      });
      await eventually('a probe', async () => ((await probe(health)) === 'SERVING' ? true : undefined));
      await endsBeside(health, metrics);
    });
  });

  /** It ends in order, long before it would be killed. */
  async function endsBeside(health: number, metrics: number): Promise<void> {
    const { heard, leave } = await clingTo(health, metrics);
    try {
      const late = sleep(30_000, 'late', { ref: false });
      assert.deepEqual(await Promise.race([daemon?.stop(), late]), { code: 0, signal: null });
      assert.deepEqual(heard, ['SERVING', 'NOT_SERVING']);
    } finally {
      leave();
    }
  }

  describe('tributary-coordinator', () => {
    const init = (...more: string[]): Promise<Finished> =>
      runCommand(BINARIES.coordinator, [
        ...['init', '--name', 'clinics', '--host', '127.0.0.1', '--data', join(folder.path, 'hub')],
        ...['--context-file', join(folder.path, 'operator.yaml'), ...more],
      ]);

    it('makes its federation at the first start of its pod only', async () => {
      assert.match((await init('--if-absent')).stdout, /Federation clinics is in/);
      const made = await readFile(join(folder.path, 'hub/coordinator.json'), 'utf8');
      const again = await init('--if-absent');
      assert.equal(again.code, 0, again.stderr);
      assert.match(again.stdout, /holds a federation already/);
      assert.equal(await readFile(join(folder.path, 'hub/coordinator.json'), 'utf8'), made);
      assert.equal((await init()).code, ERROR_TABLE.CONFLICT.exit);
    });

    it('takes no half of a directory for a federation', async () => {
      await writeFile(join(folder.path, 'hub'), '');
      const { code } = await init('--if-absent');
      assert.notEqual(code, 0);
      assert.ok((await stat(join(folder.path, 'hub'))).isFile());
    });

    it('ends although callers of health and metrics stay', async () => {
      await init();
      const ports = ['fleet', 'enrol', 'admin', 'health', 'metrics'].flatMap((name) => [
        `--${name}-port`,
        '0',
      ]);
      daemon = new Daemon({
        script: BINARIES.coordinator,
        args: ['serve', '--data', join(folder.path, 'hub'), '--listen', '127.0.0.1', ...ports],
        logFile: join(folder.path, 'hub.log'),
      });
      const addresses = await eventually('addresses', async () => {
        const text = await readFile(join(folder.path, 'hub/run/addresses.json'), 'utf8').catch(
          () => undefined,
        );
        return text === undefined ? undefined : (JSON.parse(text) as Record<'health' | 'metrics', string>);
      });
      const [health, metrics] = [addresses.health, addresses.metrics].map((one) =>
        Number(one.split(':').at(-1)),
      ) as [number, number];
      await eventually('a probe', async () => ((await probe(health)) === 'SERVING' ? true : undefined));
      await endsBeside(health, metrics);
    });

    it('tells others the addresses of the router before it, and has a certificate for them', async () => {
      await init();
      const told = { fleet: 'fleet.example:443', enrol: 'enrol.example:443', admin: '[2001:db8::7]:443' };
      const [fleet = 0, enrol = 0, admin = 0, health = 0, metrics = 0, tunnel = 0] = await Promise.all(
        Array.from({ length: 6 }, freePort),
      );
      daemon = new Daemon({
        script: BINARIES.coordinator,
        args: ['serve', '--data', join(folder.path, 'hub'), '--listen', '127.0.0.1'],
        logFile: join(folder.path, 'hub.log'),
        env: {
          ...{ TRIBUTARY_FLEET_ADDRESS: told.fleet, TRIBUTARY_ENROL_ADDRESS: told.enrol },
          TRIBUTARY_ADMIN_ADDRESS: told.admin,
          ...{ TRIBUTARY_FLEET_PORT: String(fleet), TRIBUTARY_ENROL_PORT: String(enrol) },
          ...{ TRIBUTARY_ADMIN_PORT: String(admin), TRIBUTARY_HEALTH_PORT: String(health) },
          ...{ TRIBUTARY_METRICS_PORT: String(metrics), TRIBUTARY_TUNNEL_PORT: String(tunnel) },
          TRIBUTARY_TUNNEL_ADDRESS: 'tunnel.example:443',
        },
      });
      await eventually('a probe', async () => ((await probe(health)) === 'SERVING' ? true : undefined));
      const operator = join(folder.path, 'operator.yaml');
      const [context] = (await readContextFile(operator)).contexts;
      assert.equal(context?.server, told.admin);
      const local = join(folder.path, 'local.yaml');
      await writeFile(
        local,
        stringify({
          ...{ formatVersion: 1, currentContext: 'local', authors: [] },
          contexts: [{ name: 'local', server: `unix:${join(folder.path, 'hub/run/admin.sock')}` }],
        }),
        { mode: 0o600 },
      );
      const { stdout, stderr } = await runCommand(BINARIES.tributary, ['--config', local, 'invite', 'north']);
      assert.equal(decodeJoinToken(stdout.trim()).enrolAddress, told.enrol, stderr);
      const names = await namesOfServer(enrol);
      for (const name of ['DNS:fleet.example', 'DNS:enrol.example', 'IP Address:2001:DB8:0:0:0:0:0:7'])
        assert.ok(names.includes(name), `${name} in ${names}`);
      const outside = await namesOfServer(tunnel);
      assert.ok(outside.includes('DNS:tunnel.example'), outside);
    });

    it('does not serve tunnels with a certificate for another host than the one that sites dial', async () => {
      await init();
      const { authority } = await ScriptedCoordinator.start().then((coordinator) => {
        coordinator.stop();
        return coordinator;
      });
      const { chainPem, privateKeyPem } = await authority.issueServer(['hub.example', '192.0.2.7']);
      const [certificate, key] = [join(folder.path, 'tunnel.crt'), join(folder.path, 'tunnel.key')];
      await writeFile(certificate, chainPem);
      await writeFile(key, privateKeyPem);
      const ports = ['fleet', 'enrol', 'admin', 'health', 'metrics', 'tunnel'].flatMap((name) => [
        `--${name}-port`,
        '0',
      ]);
      const { code, stderr } = await runCommand(BINARIES.coordinator, [
        ...['serve', '--data', join(folder.path, 'hub'), '--listen', '127.0.0.1', ...ports],
        ...['--tunnel-cert-file', certificate, '--tunnel-key-file', key],
        ...['--tunnel-address', 'tunnel.example:443'],
      ]);
      assert.equal(code, ERROR_TABLE.CONFIG_INVALID.exit, stderr);
      assert.match(stderr, /--tunnel-cert-file: the certificate is not for tunnel\.example/);
    });
  });
});

function namesOfServer(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ALPNProtocols: ['h2', 'http/1.1'],
    });
    socket.once('secureConnect', () => {
      const names = new X509Certificate(socket.getPeerCertificate().raw).subjectAltName ?? '';
      socket.destroy();
      resolve(names);
    });
    socket.once('error', reject);
  });
}
