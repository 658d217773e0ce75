import { execFile } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { promisify } from 'node:util';

import { networkNamespace, type NetworkNamespace } from '../../network-namespace.js';
import { tool } from '../../system-tools.js';

const run = promisify(execFile);
const ip = async (...args: readonly string[]): Promise<void> => void (await run('ip', [...args]));

/**
 * A bridge of this machine with a network namespace for each pod: 256 addresses for pods and 256 for Services, out of a net
 * that is drawn by lot so that several may run side by side. Needs root.
 */
export class BridgeNetwork {
  readonly #tag = randomBytes(3).toString('hex');
  readonly #net: string;
  readonly #third: number;
  readonly #pods = new Map<string, NetworkNamespace>();
  #next = 2;

  private constructor() {
    this.#net = `10.${String(randomInt(128, 250))}`;
    this.#third = randomInt(0, 120) * 2;
  }

  static async create(): Promise<BridgeNetwork> {
    const network = new BridgeNetwork();
    await ip('link', 'add', network.#bridge, 'type', 'bridge');
    await ip('addr', 'add', `${network.gateway}/24`, 'dev', network.#bridge);
    await ip('link', 'set', network.#bridge, 'up');
    process.on('exit', network.#abandon);
    return network;
  }

  get #bridge(): string {
    return `tb-${this.#tag}`;
  }

  /** The node's own address among the pods. */
  get gateway(): string {
    return `${this.podPrefix}1`;
  }

  get podPrefix(): string {
    return `${this.#net}.${String(this.#third)}.`;
  }

  get servicePrefix(): string {
    return `${this.#net}.${String(this.#third + 1)}.`;
  }

  /** Path of the namespace of a pod, as runc takes it. */
  path(uid: string): string {
    const namespace = this.#pods.get(uid);
    if (namespace === undefined) throw new Error(`${uid} has no network`);
    return namespace.path;
  }

  /** Makes the namespace of a pod; gives its address. */
  async addPod(uid: string): Promise<string> {
    const number = this.#next++;
    const address = `${this.podPrefix}${String(number)}`;
    const [outside, inside] = [`tv-${this.#tag}${String(number)}`, `tw-${this.#tag}${String(number)}`];
    const namespace = networkNamespace(`tp-${this.#tag}-${uid.slice(0, 8)}`);
    this.#pods.set(uid, namespace);
    await ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', inside);
    await ip('link', 'set', inside, 'netns', namespace.name);
    await ip('link', 'set', outside, 'master', this.#bridge, 'up');
    const within = (...args: readonly string[]): Promise<void> => ip('-n', namespace.name, ...args);
    await within('link', 'set', inside, 'name', 'eth0');
    await within('addr', 'add', `${address}/24`, 'dev', 'eth0');
    await within('link', 'set', 'eth0', 'up');
    await within('route', 'add', 'default', 'via', this.gateway);
    return address;
  }

  removePod(uid: string): void {
    const namespace = this.#pods.get(uid);
    this.#pods.delete(uid);
    namespace?.remove();
  }

  /** Gives this machine the address of a Service. */
  async addService(address: string): Promise<void> {
    await ip('addr', 'replace', `${address}/32`, 'dev', this.#bridge);
  }

  async close(): Promise<void> {
    process.off('exit', this.#abandon);
    for (const uid of [...this.#pods.keys()]) this.removePod(uid);
    await ip('link', 'del', this.#bridge);
  }

  /** A test that dies leaves no network behind. */
  readonly #abandon = (): void => {
    for (const namespace of this.#pods.values()) namespace.remove();
    tool('ip', 'link', 'del', this.#bridge);
  };
}
