import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { canConnect, freePort } from './local-ports.js';
import { eventually } from './waiting.js';

const SQUID = '/usr/sbin/squid';
const PASSWORD_HELPER = '/usr/lib/squid/basic_ncsa_auth';

/** True where Debian's squid and openssl are installed. */
export function squidInstalled(): boolean {
  return existsSync(SQUID) && existsSync(PASSWORD_HELPER) && spawnSync('openssl', ['version']).status === 0;
}

/** A real Squid that tunnels CONNECT for one user and refuses everyone else. */
export class Squid {
  readonly port: number;
  readonly #folder: string;
  readonly #child: ChildProcess;

  private constructor(folder: string, port: number, child: ChildProcess) {
    this.#folder = folder;
    this.port = port;
    this.#child = child;
  }

  /** `rules` come before those that let the user through. */
  static async start(
    folder: string,
    username: string,
    password: string,
    rules: readonly string[] = [],
  ): Promise<Squid> {
    const port = await freePort();
    const hash = spawnSync('openssl', ['passwd', '-apr1', password], { encoding: 'utf8' }).stdout.trim();
    const users = join(folder, 'users');
    await writeFile(users, `${username}:${hash}\n`);
    // As root Squid drops to its own user, which must reach what it reads and writes.
    await chmod(folder, 0o777);
    const configuration = [
      `http_port 127.0.0.1:${String(port)}`,
      `auth_param basic program ${PASSWORD_HELPER} ${users}`,
      'acl known proxy_auth REQUIRED',
      ...rules,
      'http_access allow CONNECT known',
      'http_access deny all',
      'cache deny all',
      `access_log stdio:${join(folder, 'access.log')}`,
      `cache_log ${join(folder, 'cache.log')}`,
      `pid_filename none`,
      `coredump_dir ${folder}`,
      'shutdown_lifetime 0 seconds',
    ];
    const file = join(folder, 'squid.conf');
    await writeFile(file, `${configuration.join('\n')}\n`);
    const child = spawn(SQUID, ['-N', '-f', file], { stdio: 'ignore' });
    const squid = new Squid(folder, port, child);
    await eventually('squid to listen', async () => {
      if (child.exitCode !== null)
        throw new Error(`squid ended: ${await readFile(join(folder, 'cache.log'), 'utf8').catch(() => '')}`);
      return (await canConnect(port)) || undefined;
    });
    return squid;
  }

  /** Lines of the access log: one per request that has ended. */
  async accessLog(): Promise<string[]> {
    const text = await readFile(join(this.#folder, 'access.log'), 'utf8').catch(() => '');
    return text.split('\n').filter((line) => line !== '');
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGTERM');
    await ended;
  }
}
