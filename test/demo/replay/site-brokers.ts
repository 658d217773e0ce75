import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const MAIN = join(import.meta.dirname, 'broker-main.js');

/**
 * An embedded MQTT 3.1.1 broker for each site: rows stay at their own. They run in a process apart from the one that
 * publishes and takes the time.
 */
export class SiteBrokers {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #ports: ReadonlyMap<string, number>;

  private constructor(child: ChildProcess, ended: Promise<unknown>, ports: ReadonlyMap<string, number>) {
    this.#child = child;
    this.#ended = ended;
    this.#ports = ports;
  }

  static async start(sites: readonly string[]): Promise<SiteBrokers> {
    const child = spawn(process.execPath, [MAIN, String(sites.length)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const printed = once(createInterface({ input: child.stdout }), 'line') as Promise<[string]>;
    const ended = once(child, 'exit');
    const line = await Promise.race([printed.then(([text]) => text), ended.then(() => undefined)]);
    if (line === undefined) throw new Error('the brokers ended before they listened');
    const ports = JSON.parse(line) as readonly number[];
    return new SiteBrokers(child, ended, new Map(sites.map((site, index) => [site, ports[index] ?? 0])));
  }

  portOf(site: string): number {
    const port = this.#ports.get(site);
    if (port === undefined) throw new Error(`no broker of ${site}`);
    return port;
  }

  urlOf(site: string): string {
    return `mqtt://127.0.0.1:${String(this.portOf(site))}`;
  }

  /** What agent.yaml of a site says of its broker. */
  brokersOf(site: string): readonly Readonly<Record<string, string>>[] {
    return [{ name: 'site', url: this.urlOf(site), protocol: 'V3' }];
  }

  async stop(): Promise<void> {
    this.#child.stdin?.end();
    await this.#ended;
  }
}
