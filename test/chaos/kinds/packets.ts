import { attempt, tool, withoutRoot, withoutTool } from '../../support/system-tools.js';
import { SITES, Template } from '../template.js';
import type { FaultKind } from './kind.js';

/** Names of a case: short enough for an interface, and different for two runs at once. */
const RUN = String(process.pid % 10_000);
const NETWORK = `10.${String(64 + (process.pid % 64))}.${String((process.pid >> 6) % 256)}`;
const HOST = `${NETWORK}.1`;

const namespaceOf = (index: number): string => `chaos${RUN}s${String(index)}`;
const bridge = `chaos${RUN}b`;

/** A switch with a namespace at each port, one for every agent; the coordinator is at its own end. */
function buildNetwork(): void {
  tool('ip', 'link', 'add', bridge, 'type', 'bridge');
  tool('ip', 'address', 'add', `${HOST}/24`, 'dev', bridge);
  tool('ip', 'link', 'set', bridge, 'up');
  for (const index of SITES.keys()) {
    const [own, here, there] = [namespaceOf(index), `ch${RUN}h${String(index)}`, `ch${RUN}a${String(index)}`];
    tool('ip', 'netns', 'add', own);
    tool('ip', 'link', 'add', here, 'type', 'veth', 'peer', 'name', there);
    tool('ip', 'link', 'set', there, 'netns', own);
    tool('ip', 'link', 'set', here, 'master', bridge, 'up');
    tool('ip', '-n', own, 'address', 'add', `${NETWORK}.${String(index + 2)}/24`, 'dev', there);
    tool('ip', '-n', own, 'link', 'set', there, 'up');
    tool('ip', '-n', own, 'link', 'set', 'lo', 'up');
  }
}

/** Both ways, at the end of each agent. */
function dropPackets(percent: number): void {
  for (const index of SITES.keys()) {
    const nft = (...words: readonly string[]): string =>
      tool('ip', 'netns', 'exec', namespaceOf(index), 'nft', ...words);
    nft('flush', 'ruleset');
    if (percent === 0) continue;
    nft('add', 'table', 'inet', 'chaos');
    for (const hook of ['input', 'output']) {
      nft('add', 'chain', 'inet', 'chaos', hook, `{ type filter hook ${hook} priority 0; }`);
      nft(
        'add',
        'rule',
        'inet',
        'chaos',
        hook,
        'numgen',
        'random',
        'mod',
        '100',
        '<',
        String(percent),
        'counter',
        'drop',
      );
    }
  }
}

/** What the rules have dropped so far, by their counters. */
function droppedPackets(): number {
  const rules = SITES.map((_site, index) =>
    tool('ip', 'netns', 'exec', namespaceOf(index), 'nft', 'list', 'ruleset'),
  );
  const counters = rules.flatMap((text) => [...text.matchAll(/counter packets ([0-9]+)/g)]);
  return counters.reduce((sum, [, packets]) => sum + Number(packets), 0);
}

let template: Template | undefined;

/** Packets are lost between the network namespaces of agents and coordinator. */
export const packets: FaultKind = {
  name: 'packets',
  about: 'packets dropped by nftables between network namespaces',
  missing: () =>
    withoutRoot() ??
    withoutTool('ip', 'netns', 'list') ??
    withoutTool('nft', '--version') ??
    withoutTool('unshare', '-n', 'nft', 'add', 'table', 'inet', 'chaos') ??
    withoutTool('unshare', '-n', 'ip', 'link', 'add', 'chaosb', 'type', 'bridge') ??
    withoutTool('unshare', '-n', 'ip', 'link', 'add', 'chaosa', 'type', 'veth', 'peer', 'name', 'chaosc'),
  prepare: async ({ folder }) => {
    buildNetwork();
    template = await Template.make(`${folder}/template`, HOST);
  },
  variants: () => ['5', '20'],
  run: async ({ variant, open }) => {
    const world = await open({ rounds: 4, epochs: 20, ...(template && { template }) });
    for (const [index, site] of SITES.entries())
      world.launches.set(site, { prefix: ['ip', 'netns', 'exec', namespaceOf(index)] });
    world.whenStopped(() => dropPackets(0));
    dropPackets(Number(variant));
    await world.begin();
    await world.ended();
    const count = droppedPackets();
    dropPackets(0);
    return [{ what: 'packets dropped', count }];
  },
  clear: () => {
    // Whatever is there: it may not have been built to its end.
    for (const index of SITES.keys()) attempt('ip', 'netns', 'delete', namespaceOf(index));
    attempt('ip', 'link', 'delete', bridge);
    template = undefined;
    return Promise.resolve();
  },
};
