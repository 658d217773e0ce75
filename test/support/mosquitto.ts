import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { canConnect, freePort } from './local-ports.js';
import { eventually } from './waiting.js';

const MOSQUITTO = '/usr/sbin/mosquitto';

/** True where Debian's mosquitto is installed. */
export const mosquittoInstalled = (): boolean => existsSync(MOSQUITTO);

/** A real Mosquitto that remembers sessions and messages across restarts, and drops nothing. */
export class Mosquitto {
  readonly port: number;
  readonly #configuration: string;
  #child: ChildProcess | undefined;

  private constructor(port: number, configuration: string) {
    this.port = port;
    this.#configuration = configuration;
  }

  /** `lines` are added to its configuration. */
  static async start(folder: string, lines: readonly string[] = []): Promise<Mosquitto> {
    const port = await freePort();
    // As root it drops to its own user, which must reach what it reads and writes.
    await chmod(folder, 0o777);
    const configuration = join(folder, 'mosquitto.conf');
    const all = [
      'per_listener_settings false',
      `listener ${String(port)} 127.0.0.1`,
      ...(lines.some((line) => line.startsWith('password_file')) ? [] : ['allow_anonymous true']),
      'persistence true',
      `persistence_location ${folder}/`,
      'max_queued_messages 0',
      'max_inflight_messages 0',
      'set_tcp_nodelay true',
      'log_dest none',
      ...lines,
    ];
    await writeFile(configuration, `${all.join('\n')}\n`);
    const broker = new Mosquitto(port, configuration);
    await broker.comeBack();
    return broker;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async comeBack(): Promise<void> {
    const child = spawn(MOSQUITTO, ['-c', this.#configuration], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
    this.#child = child;
    await eventually('mosquitto to listen', async () => {
      if (child.exitCode !== null) throw new Error(`mosquitto ended: ${said}`);
      return (await canConnect(this.port)) || undefined;
    });
  }

  /** It writes what it knows to disk, and ends. */
  async leave(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  }
}
