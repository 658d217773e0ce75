import { spawnSync } from 'node:child_process';

import { networkNamespace } from '../network-namespace.js';
import { attempt, tool, withoutRoot, withoutTool } from '../system-tools.js';
import type { Manifest } from './charts.js';
import { field, listAt } from './field.js';
import { counterOf, nftablesOf, type Addressed } from './policy-rules.js';
import type { Pod } from './traffic.js';

/** Names of a run: short enough for an interface, and different for two runs at once. */
const RUN = String(process.pid % 100_000);
const GATEWAY = '169.254.1.1';
/** `timeout` ends so where nothing was heard. */
const TIMED_OUT = 124;

/** Why no such network can be made here; undefined where it can. */
export const withoutPolicedNetwork = (): string | undefined =>
  withoutRoot() ??
  withoutTool('ip', 'netns', 'list') ??
  withoutTool('nft', '--version') ??
  withoutTool('unshare', '-n', 'nft', 'add', 'table', 'inet', 'probe') ??
  withoutTool('unshare', '-n', 'ip', 'link', 'add', 'probea', 'type', 'veth', 'peer', 'name', 'probeb');

/** Network namespaces as pods, each on a link of its own to a node that routes between them and enforces policies. */
export class PolicedNetwork {
  readonly #ends: readonly Addressed[];

  private constructor(ends: readonly Addressed[]) {
    this.#ends = ends;
  }

  /** Pods by name; undefined for an address outside the cluster. */
  static start(pods: Readonly<Record<string, Pod | undefined>>): PolicedNetwork {
    const node = namespaceOf('node');
    networkNamespace(node);
    const ends = Object.entries(pods).map(([name, pod], index): Addressed => {
      const address = pod === undefined ? `203.0.113.${String(index + 1)}` : `10.244.0.${String(index + 1)}`;
      return { name, address, ...(pod && { pod }) };
    });
    const network = new PolicedNetwork(ends);
    for (const [index, { name, address }] of ends.entries()) {
      const [own, link] = [namespaceOf(name), `pod${String(index)}`];
      const inside = (...words: readonly string[]): string => tool('ip', '-n', own, ...words);
      networkNamespace(own);
      tool('ip', '-n', node, 'link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', own);
      tool('ip', '-n', node, 'address', 'add', `${GATEWAY}/32`, 'dev', link);
      tool('ip', '-n', node, 'link', 'set', link, 'up');
      tool('ip', '-n', node, 'route', 'add', `${address}/32`, 'dev', link);
      inside('address', 'add', `${address}/32`, 'dev', 'eth0');
      inside('link', 'set', 'eth0', 'up');
      inside('route', 'add', GATEWAY, 'dev', 'eth0');
      inside('route', 'add', 'default', 'via', GATEWAY);
    }
    tool('ip', 'netns', 'exec', node, 'sysctl', '-q', '-w', 'net.ipv4.ip_forward=1');
    return network;
  }

  address(name: string): string {
    const found = this.#ends.find((end) => end.name === name);
    if (found === undefined) throw new Error(`no pod ${name}`);
    return found.address;
  }

  /** Words before a program that runs in a pod, or in the node; it resolves names as `resolv` says, a file. */
  prefix(name: string, resolv?: string): readonly string[] {
    const inside = ['ip', 'netns', 'exec', namespaceOf(name)];
    if (resolv === undefined) return inside;
    return [
      ...inside,
      'unshare',
      '-m',
      'sh',
      '-c',
      'mount --bind "$0" /etc/resolv.conf && exec "$@"',
      resolv,
    ];
  }

  /** Enforces these policies, and no others, from now on; counters begin anew. */
  enforce(policies: readonly Manifest[]): void {
    this.#nft(['flush', 'ruleset']);
    if (policies.length > 0) this.#nft(['-f', '-'], nftablesOf(policies, this.#ends));
  }

  /** Packets that the policies of a pod have dropped; 0 where none decide about that direction. */
  dropped(name: string, direction: 'Ingress' | 'Egress'): number {
    const listed = JSON.parse(this.#nft(['-j', 'list', 'counters'])) as unknown;
    const counters = listAt(listed, 'nftables').map((one) => field(one, 'counter'));
    const found = counters.find((counter) => field(counter, 'name') === counterOf(name, direction));
    return Number(field(found, 'packets') ?? 0);
  }

  /** Whether packets get from a pod, or the node, to a TCP port of another: it may refuse the connection. */
  reaches(from: string, to: string, port: number, timeoutMs: number): boolean {
    const connect = `exec 3<>/dev/tcp/${this.address(to)}/${String(port)}`;
    const limit = String(timeoutMs / 1_000);
    const { status } = this.#run(from, ['timeout', limit, 'bash', '-c', connect]);
    return status !== TIMED_OUT;
  }

  /** Likewise, where somebody accepts it. */
  connects(from: string, to: string, port: number): boolean {
    const connect = `exec 3<>/dev/tcp/${this.address(to)}/${String(port)}`;
    return this.#run(from, ['timeout', '10', 'bash', '-c', connect]).status === 0;
  }

  /** Whether a name is resolved in a pod. */
  resolves(from: string, name: string, resolv: string, timeoutMs = 10_000): boolean {
    const ask = ['timeout', String(timeoutMs / 1_000), 'getent', 'hosts', name];
    const [program = '', ...words] = [...this.prefix(from, resolv), ...ask];
    return spawnSync(program, words).status === 0;
  }

  close(): void {
    for (const name of ['node', ...this.#ends.map((end) => end.name)])
      attempt('ip', 'netns', 'delete', namespaceOf(name));
  }

  #run(name: string, command: readonly string[]): ReturnType<typeof spawnSync> {
    const [program = '', ...words] = [...this.prefix(name), ...command];
    return spawnSync(program, words);
  }

  #nft(words: readonly string[], input = ''): string {
    const run = spawnSync('ip', ['netns', 'exec', namespaceOf('node'), 'nft', ...words], {
      input,
      encoding: 'utf8',
    });
    if (run.status !== 0) throw new Error(`nft ${words.join(' ')}: ${run.stderr}\n${input}`);
    return run.stdout;
  }
}

const namespaceOf = (name: string): string => `tp${RUN}${name}`;
